"""The session description in a body, alone or as a part of a multipart (RFC 3261 7.4, RFC 2046 5.1).

A body is never written anew: one part's octets are exchanged, all others stay.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from imsmediasec.errors import LocalError, MalformedInput
from imsmediasec.sip.fields import HeaderFields, parse_fields
from imsmediasec.sip.grammar import LWS, Parameters
from imsmediasec.sip.message import SipMessage

SDP = "application/sdp"
MAX_DEPTH = 3
"""Multiparts within multiparts, at most."""
MAX_PARTS = 100

# A media or connection line of an SDP, whatever ends lines there.
_SDP_LINE = re.compile(rb"(?:\A|[\r\n])[ \t]*[mc]=")
_PLAIN_ENCODINGS = ("", "7bit", "8bit", "binary", "identity")


@dataclass(frozen=True, kw_only=True, slots=True)
class BodyPart:
    """One part that is no multipart itself. The whole body of a message can be one."""

    content_type: str
    """In lower case, without parameters."""
    disposition: str
    """Content-Disposition in lower case, without parameters; "" if there is none."""
    start: int
    """Offset in the message body."""
    end: int
    fields: HeaderFields | None = None
    """Of the part; None if the body is no multipart."""
    head: int = 0
    """Where `fields` begin in the message body."""
    encoded: bool = False
    """It stands in an encoding (Content-Encoding, Content-Transfer-Encoding) and cannot be read here."""


def body_parts(message: SipMessage) -> tuple[BodyPart, ...]:
    """All parts in order, nested ones included; () without a body.

    `MalformedInput` if a multipart lacks its boundary or its end, or has more parts or levels than
    this module's limits.
    """
    if not message.body:
        return ()
    found: list[BodyPart] = []
    _collect(message, message.body, 0, len(message.body), None, 0, found, 0)
    return tuple(found)


def session_description(message: SipMessage) -> bytes | None:
    """The SDP that offers or answers in `message`, or None.

    A part with a disposition other than "session", such as "early-session" (RFC 3959), is not it.
    `MalformedInput`: two such parts (nobody could say which counts), or an encoded one (status 415); or
    `has_stray_description`.
    """
    part = _session_part(message)
    if _has_stray(message, part):
        raise MalformedInput(
            "what may be read as a session description does not say that it is the one",
            clause="RFC 3261 7.4.1",
            sip_status_hint=415,
        )
    return None if part is None else message.body[part.start : part.end]


def has_stray_description(message: SipMessage) -> bool:
    """Whether the body holds lines of an SDP that `session_description` does not give: under another type or
    disposition, between the parts, behind the end. There are readers that take any body for SDP.
    """
    return _has_stray(message, _session_part(message))


def replace_session_description(message: SipMessage, sdp: bytes) -> None:
    """Put `sdp` in place of the one `session_description` gives; Content-Length follows.

    `LocalError` if there is none, or if `sdp` holds a boundary of the multipart.
    """
    part = _session_part(message)
    if part is None:
        raise LocalError("the message has no session description to replace")
    body = message.body
    head = body[part.head : part.start]
    if part.fields is not None and part.fields.has("Content-Length"):
        part.fields.set("Content-Length", str(len(sdp)))
        blank = head[-2:] if head.endswith(b"\r\n") else b"\n"
        head = "".join(field.raw for field in part.fields._fields).encode("latin-1") + blank
    changed = message.copy()
    changed.set_body(body[: part.head] + head + sdp + body[part.end :])
    if part.fields is not None and not _is_whole(changed, sdp):
        raise LocalError("the session description holds a boundary of the multipart")
    message.set_body(changed.body)


def _has_stray(message: SipMessage, part: BodyPart | None) -> bool:
    rest = [message.trailing]
    rest += [message.body] if part is None else [message.body[: part.start], message.body[part.end :]]
    return any(_SDP_LINE.search(octets) for octets in rest)


def _is_whole(message: SipMessage, sdp: bytes) -> bool:
    try:
        return session_description(message) == sdp
    except MalformedInput:
        return False


def _session_part(message: SipMessage) -> BodyPart | None:
    parts = [p for p in body_parts(message) if p.content_type == SDP and p.disposition in ("", "session")]
    if len(parts) > 1:
        raise MalformedInput("more than one session description", clause="RFC 3261 13.2.1")
    if parts and parts[0].encoded:
        raise MalformedInput("an encoded session description", clause="RFC 3261 8.2.3", sip_status_hint=415)
    return parts[0] if parts else None


def _collect(
    headers: HeaderFields,
    body: bytes,
    start: int,
    end: int,
    fields: HeaderFields | None,
    head: int,
    found: list[BodyPart],
    depth: int,
) -> None:
    # RFC 2046 5.1: a part without Content-Type is plain text; of a message nobody knows what it is.
    value = headers.get("Content-Type") or ("text/plain" if depth else "")
    kind, _, tail = value.partition(";")
    kind = kind.strip(LWS).lower()
    encodings = [headers.get(name) or "" for name in ("Content-Encoding", "Content-Transfer-Encoding")]
    encoded = any(encoding.strip(LWS).lower() not in _PLAIN_ENCODINGS for encoding in encodings)
    if kind.startswith("multipart/") and not encoded:
        if depth == MAX_DEPTH:
            raise MalformedInput("too many levels of multipart", clause="RFC 2046 5.1", offset=start)
        for part_start, part_end in _boundaries(body, start, end, Parameters.parse(tail).text("boundary")):
            inner, content = _part_fields(body, part_start, part_end)
            _collect(inner, body, content, part_end, inner, part_start, found, depth + 1)
        return
    if len(found) == MAX_PARTS:
        raise MalformedInput("too many body parts", offset=start)
    disposition = (headers.get("Content-Disposition") or "").partition(";")[0].strip(LWS).lower()
    found.append(
        BodyPart(
            content_type=kind,
            disposition=disposition,
            start=start,
            end=end,
            fields=fields,
            head=head if fields is not None else start,
            encoded=encoded,
        )
    )


def _boundaries(body: bytes, start: int, end: int, boundary: str | None) -> list[tuple[int, int]]:
    if not boundary or len(boundary) > 70:
        raise MalformedInput("a multipart without a usable boundary", clause="RFC 2046 5.1.1", offset=start)
    delimiter = re.compile(rb"^--" + re.escape(boundary.encode("latin-1")) + rb"(--)?[ \t]*(?:\r?\n|\Z)", re.MULTILINE)
    parts: list[tuple[int, int]] = []
    region = body[start:end]
    opened: int | None = None
    for match in delimiter.finditer(region):
        if opened is not None:
            # The line end before a delimiter belongs to the delimiter.
            content = region[opened : match.start()].removesuffix(b"\n")
            content = content.removesuffix(b"\r") if content != region[opened : match.start()] else content
            parts.append((start + opened, start + opened + len(content)))
        if match[1]:
            return parts
        if len(parts) == MAX_PARTS:
            raise MalformedInput("too many body parts", offset=start)
        opened = match.end()
    raise MalformedInput("a multipart without its end", clause="RFC 2046 5.1.1", offset=end)


def _part_fields(body: bytes, start: int, end: int) -> tuple[HeaderFields, int]:
    text = body[start:end].decode("latin-1")
    fields, position = parse_fields(text + "\r\n\r\n", 0)
    blank = 2 if text[position : position + 2] == "\r\n" else 1
    ending = "\r\n" if "\r\n" in text else "\n"
    return HeaderFields(fields, ending), min(start + position + blank, end)
