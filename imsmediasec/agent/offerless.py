"""Two answers out of two offers: how a call is joined whose INVITE went out without an offer.

The softphone has made an offer, the far end another one (in its 2xx). Each gets an answer made of the
other's offer, with the codecs that both have (RFC 3264 6; the idea is that of RFC 3725, flow I).
"""

from __future__ import annotations

from imsmediasec.errors import NoCommonSecurity
from imsmediasec.sdp import MediaDescription, SessionDescription

# RFC 3551 6: static payload types that need no a=rtpmap.
_STATIC = {
    "0": "pcmu/8000", "3": "gsm/8000", "4": "g723/8000", "5": "dvi4/8000", "6": "dvi4/16000", "7": "lpc/8000",
    "8": "pcma/8000", "9": "g722/8000", "10": "l16/44100/2", "11": "l16/44100", "12": "qcelp/8000",
    "13": "cn/8000", "15": "g728/8000", "18": "g729/8000", "26": "jpeg/90000", "31": "h261/90000",
    "32": "mpv/90000", "33": "mp2t/90000", "34": "h263/90000",
}  # fmt: skip
# Lines that describe one payload type, "<fmt> …".
_BY_FORMAT = ("rtpmap", "fmtp", "rtcp-fb")
_NOT_SPEECH = ("telephone-event", "cn")
_DIRECTIONS = {
    (True, True): "sendrecv",
    (True, False): "sendonly",
    (False, True): "recvonly",
    (False, False): "inactive",
}
"""By whether its writer sends, and receives (RFC 8866 6.7)."""
_BY_ANSWER = ("mid", *_DIRECTIONS.values())
"""Lines of an answer that follow from the offer too, not from the answerer alone."""


def join(phone_offer: bytes, far_offer: bytes) -> tuple[bytes, bytes]:
    """(answer for the softphone, answer for the far end), both plain. Raises NoCommonSecurity (488) if they
    have no codec in common."""
    phone = SessionDescription.parse(phone_offer)
    far = SessionDescription.parse(far_offer)
    to_phone, to_far = SessionDescription.parse(phone_offer), SessionDescription.parse(far_offer)
    common: list[dict[str, str]] = []
    for index in range(max(len(phone.media), len(far.media))):
        mine = phone.media[index] if index < len(phone.media) else None
        theirs = far.media[index] if index < len(far.media) else None
        common.append(_common(mine, theirs))
    if not any(common):
        raise NoCommonSecurity("softphone and far end have no codec in common", clause="RFC 3264 6")
    _fill(to_phone, far, common)
    _fill(to_far, phone, common)
    return bytes(to_phone), bytes(to_far)


def _common(mine: MediaDescription | None, theirs: MediaDescription | None) -> dict[str, str]:
    """Codecs that both have, with the far end's payload type, in the far end's order."""
    if mine is None or theirs is None or not mine.port or not theirs.port:
        return {}
    if mine.media_type != theirs.media_type or mine.proto != theirs.proto:
        return {}
    known = set(_codecs(mine).values())
    codecs = _codecs(theirs)
    found = {codecs[fmt]: fmt for fmt in theirs.formats if codecs.get(fmt) in known}
    return found if any(codec.split("/")[0] not in _NOT_SPEECH for codec in found) else {}


def _codecs(media: MediaDescription) -> dict[str, str]:
    codecs = {fmt: _STATIC[fmt] for fmt in media.formats if fmt in _STATIC}
    for value in media.values("rtpmap"):
        fmt, _, codec = value.strip().partition(" ")
        name = codec.strip().lower()
        codecs[fmt] = name.removesuffix("/1") if name.count("/") == 2 else name
    return codecs


def _fill(answer: SessionDescription, other: SessionDescription, common: list[dict[str, str]]) -> None:
    """Turn `answer`, a copy of one side's offer, into what the other side says to it.

    Payload types are the far end's on both sides, so that media passes as it is.
    """
    for line in ("o", "s", "c"):
        value = other.session.line(line)
        if value is not None and answer.session.line(line) is not None:
            answer.session.replace_line(line, value)
    for index, media in enumerate(answer.media):
        if common[index]:
            theirs = other.media[index]
            lines = _section(theirs, common[index])
            if media.mid is not None:
                lines.append(f"a=mid:{media.mid}")  # an answer names streams as the offer does (RFC 5888 9.1)
            lines.append(f"a={_direction(answer.direction(media), other.direction(theirs))}")
            media.rewrite(lines)
            connection = other.connection(theirs)
            if connection is not None and answer.connection(media) != connection:
                media.insert_second("c", connection)
        else:
            media.set_media(port=0)


def _section(source: MediaDescription, common: dict[str, str]) -> list[str]:
    """The lines of `source` with these codecs only, numbered as the far end does."""
    renumbered = {fmt: common[codec] for fmt, codec in _codecs(source).items() if codec in common}
    lines = [f"m={source.media_type} {source.port} {source.proto} {' '.join(common.values())}"]
    for line in source.lines[1:]:
        name, _, value = line[2:].partition(":")
        if line.startswith("a=") and name in _BY_FORMAT:
            fmt, _, rest = value.strip().partition(" ")
            if fmt == "*":
                lines.append(line)
            elif fmt in renumbered:
                lines.append(f"a={name}:{renumbered[fmt]} {rest}")
        elif not (line.startswith("a=") and name in _BY_ANSWER):
            lines.append(line)
    return lines


def _direction(offered: str, wanted: str) -> str:
    """What to answer to a direction, by who would offer `wanted` (RFC 3264 6.1)."""
    sends, receives = (next(key for key, name in _DIRECTIONS.items() if name == one) for one in (wanted, offered))
    return _DIRECTIONS[sends[0] and receives[1], sends[1] and receives[0]]
