"""What is fuzzed. A target takes octets and says how far they got; anything but an answer of our error tree is a
finding, as is a broken promise (an AssertionError)."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import imsmediasec as ims
from imsmediasec.negotiation.dialog import Stream
from imsmediasec.sdp.capneg import potential_configurations
from tests.pair import D, Pair, Party, body

REJECTED, READ, ANSWERED = "rejected", "read", "answered"
"""Not past the first stage; read as SDP; led to an agreement."""

POLICY = ims.SecurityPolicy(
    requirement=ims.Requirement.PREFERRED,
    tolerate=ims.TOLERANT,
    suites=ims.ALL_SUITES,
    accept_unencrypted=True,
    on_protection_lost=ims.OnFailure.WARN,
)
STRICT = ims.SecurityPolicy(tolerate=ims.STRICT)


class Standing:
    """A confirmed call that is put up once, and used again as long as every input leaves it as it was."""

    def __init__(self, policy: ims.SecurityPolicy) -> None:
        self._policy = policy
        self._set_up()

    def _set_up(self) -> None:
        pair = Pair(self._policy, self._policy)
        pair.confirmed()
        self.party = pair.alice
        self.before = state(self.party)

    def as_offer(self, data: bytes) -> bool:
        """The input as a re-offer. True if it was taken."""
        party = self.party
        new = party.receive_offer(data)  # type: ignore[arg-type]
        if party.of(ims.NegotiationFailed, new):
            assert state(party) == self.before, "a refused offer left something behind"
            return False
        taken = answer(party, data, D)
        self._set_up()
        return taken

    def as_answer(self, data: bytes) -> bool:
        """The input as the answer to a re-offer of ours. True if it was taken."""
        party = self.party
        party.offer()
        party.drain()
        new = party.receive_answer(data)  # type: ignore[arg-type]
        if party.of(ims.NegotiationFailed, new):
            assert state(party) == self.before, "a refused answer left something behind"
            return False
        self._set_up()
        return True


def state(party: Party) -> object:
    """All that a Negotiation knows of its call, quick to take: what cannot change is compared by identity."""
    call = party.negotiation._call
    dialogs = [
        (
            {**vars(d), "streams": None},
            [[getattr(stream, name) for name in Stream.__slots__] for stream in d.streams.values()],
        )
        for d in call.dialogs.values()
    ]
    rest = (call.live, list(call.timers._heap), dict(call.notes), call.policy, call.retargeted_to, call.remote_target)
    return dialogs, rest, party.negotiation._invite_offer


_standing: dict[int, Standing] = {}


def standing(policy: ims.SecurityPolicy) -> Standing:
    """The call that stands for this policy."""
    if id(policy) not in _standing:
        _standing[id(policy)] = Standing(policy)
    return _standing[id(policy)]


def sdp(data: bytes) -> str:
    """An SDP body: read and written, every typed field, as offer and as answer, in new and in standing calls."""
    try:
        doc = ims.sdp.SessionDescription.parse(data)
    except ims.MalformedInput:
        return REJECTED
    assert bytes(doc) == data, "it was not written as it was read"
    read_all(doc)
    ways = (
        lambda: first_offer(data),
        lambda: first_answer(data, doc),
        lambda: standing(POLICY).as_offer(data),
        lambda: standing(POLICY).as_answer(data),
        lambda: standing(STRICT).as_offer(data),
        lambda: standing(STRICT).as_answer(data),
    )
    # A first exchange and one within a call for each input: which ones, the input itself decides.
    choice = zlib.crc32(data)
    taken = any([ways[choice % 2](), ways[2 + choice // 2 % 4]()])
    edited(doc, data)
    return ANSWERED if taken else READ


def read_all(doc: ims.sdp.SessionDescription) -> None:
    """Every typed field; what is read of a=crypto can be written and read again."""
    repr(doc)
    assert "inline:A" not in ims.sdp.redact(str(doc))
    for media in doc.media:
        _ = (media.media_type, media.port, media.port_count, media.proto, media.formats, media.mid, media.lines)
        _ = (doc.direction(media), doc.connection(media), media.crypto_errors)
        for config in potential_configurations(doc, media):
            config.actual(config.optional)
        for crypto in media.crypto:
            again = ims.sdp.CryptoAttribute.parse_value(crypto.value())
            assert (again.tag, again.suite, again.session_params) == (crypto.tag, crypto.suite, crypto.session_params)
            assert [(k.key_salt, k.lifetime, k.mki, k.mki_length) for k in again.keys] == [
                (k.key_salt, k.lifetime, k.mki, k.mki_length) for k in crypto.keys
            ]


def edited(doc: ims.sdp.SessionDescription, data: bytes) -> None:
    """An edit touches its own line only."""
    for number, media in enumerate(doc.media):
        media.set_media(port=4242)
        media.remove_attributes("crypto")
        media.add_attributes(["x-mark"])
        assert media.port == 4242 and not media.crypto and media.has("x-mark"), number
    assert _others(data) == _others(bytes(doc)), "an edit touched another line"


def _others(data: bytes) -> list[bytes]:
    """The lines that `edited` has no business with."""
    lines = [line.rstrip(b"\r") for line in data.split(b"\n") if line.strip()]
    ours = (b"m=", b"a=crypto:", b"a=x-mark")
    return [line for line in lines if not line.lower().startswith(ours) and line.lower() != b"a=crypto"]


def answer(party: Party, data: bytes, dialog: str) -> bool:
    """Answer the open offer as an application would that takes everything. True if it could be."""
    try:
        party.negotiation.create_answer(data, dialog=dialog, now=party.now)
    except ims.LocalError:
        return False
    party.drain()
    return True


def first_offer(data: bytes) -> bool:
    """The offer of an INVITE."""
    bob = Party(ims.Side.UAS, POLICY)
    new = bob.receive_offer(data)  # type: ignore[arg-type]
    if bob.of(ims.NegotiationFailed, new):
        assert not bob.keys and not bob.gates
        return False
    taken = answer(bob, data, D)
    bob.confirm()
    return taken


def first_answer(data: bytes, doc: ims.sdp.SessionDescription) -> bool:
    """The answer to an INVITE that had the same m-lines."""
    alice = Party(ims.Side.UAC, POLICY)
    media = [f"{line.media_type} 4000 {'RTP/AVP' if 'RTP' in line.proto else line.proto} 0" for line in doc.media]
    alice.offer(body(*media), dialog=None)
    new = alice.receive_answer(data)  # type: ignore[arg-type]
    if alice.of(ims.NegotiationFailed, new):
        assert not alice.keys and not alice.gates
        return False
    alice.confirm()
    alice.wait(40)
    return True


TARGETS: dict[str, Callable[[bytes], str]] = {"sdp": sdp}
