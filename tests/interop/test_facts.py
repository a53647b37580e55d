"""The facts of FACTS.md that our rules stand on. If one of these fails, a peer has changed, and the rules can too."""

import pytest

from .conftest import Lab
from .journal import until
from .peers.baresip import Baresip
from .peers.pjsua import Pjsua
from .peers.raw import RawUa, audio_port, status
from .wire import Key, Kind, crypto_lines, judge

COUNT = 20


def phone(lab: Lab, kind: str) -> Baresip | Pjsua:
    """A stock phone that answers at once."""
    if kind == "baresip":
        return lab.baresip("bob")
    return lab.pjsua("bob", cryptos=("AES_CM_128_HMAC_SHA1_80",), auto=(200,))


def accepted(peer: Baresip | Pjsua, raw: RawUa, key: Key, port: int, first: int, roc: int = 0) -> bool:
    """Whether the peer takes all the packets under this key (True), or none of them (False)."""

    def refused() -> int:
        """What baresip says it could not decrypt; pjsip says what it got."""
        if isinstance(peer, Baresip):
            return peer.trace().count("failed to decrypt RTP packet")
        return -int(peer.info()["received"])

    before = refused()
    raw.play(key, port, first, COUNT, roc=roc)
    if isinstance(peer, Pjsua):
        try:
            until(lambda: before - refused() >= COUNT, 0.5, "packets", interval=0.1)
        except TimeoutError:
            assert refused() == before
            return False
        return True
    try:
        until(lambda: refused() - before >= COUNT, 0.5, "refusals", interval=0.1)
    except TimeoutError:
        assert refused() == before
        return True
    return False


@pytest.mark.parametrize(("kind", "switches"), [("baresip", False), ("pjsua", True)])
def test_rekey_by_reinvite(lab: Lab, kind: str, switches: bool) -> None:
    """pjsip switches to the new key at once; baresip says 200 and keeps the old one. Neither changes its own key."""
    peer = phone(lab, kind)
    raw = lab.raw(peer.contact)
    old, new = Key.fresh(), Key.fresh()
    answer = raw.call(old)
    port = audio_port(answer)
    assert accepted(peer, raw, old, port, 100)
    again = raw.offer("INVITE", new)
    assert status(again) == 200
    assert crypto_lines(again) == crypto_lines(answer)
    assert accepted(peer, raw, new, port, 200) is switches
    assert accepted(peer, raw, old, port, 300) is not switches


@pytest.mark.parametrize("kind", ["baresip", "pjsua"])
def test_offerless_invite_shows_our_key_to_the_winner_only(lab: Lab, kind: str) -> None:
    """Both peers offer in their 200, and take our key from the ACK: no fork ever saw it."""
    peer = phone(lab, kind)
    raw = lab.raw(peer.contact)
    key = Key.fresh()
    number = raw.request("INVITE")
    offer = raw.final("INVITE")
    raw.request("ACK", raw.sdp(key), cseq=number)
    assert accepted(peer, raw, key, audio_port(offer), 100)
    theirs = {"theirs": Key.from_crypto(crypto_lines(offer)[0])}
    kinds = {judge(packet, theirs).kind for packet in raw.heard()}
    assert Kind.OPENED_RTP in kinds
    assert not kinds & {Kind.OPAQUE_RTP, Kind.CLEAR_RTP}


@pytest.mark.parametrize(("roc", "heard"), [(1, True), (0, False)])
def test_pjsip_wants_the_rollover_counter_continued(lab: Lab, roc: int, heard: bool) -> None:
    """After a wrap and a re-key under the same SSRC pjsip hears us only with the old counter (RFC 3711 3.3.1)."""
    peer = phone(lab, "pjsua")
    raw = lab.raw(peer.contact)
    old, new = Key.fresh(), Key.fresh()
    port = audio_port(raw.call(old))
    assert accepted(peer, raw, old, port, 65526)
    assert status(raw.offer("INVITE", new)) == 200
    assert accepted(peer, raw, new, port, 30, roc=roc) is heard


@pytest.mark.parametrize(("kind", "code"), [("baresip", 501), ("pjsua", 200)])
def test_update_with_a_new_key(lab: Lab, kind: str, code: int) -> None:
    """pjsip can be re-keyed by UPDATE, baresip does not know the method."""
    peer = phone(lab, kind)
    raw = lab.raw(peer.contact)
    port = audio_port(raw.call(Key.fresh()))
    new = Key.fresh()
    assert status(raw.offer("UPDATE", new)) == code
    assert accepted(peer, raw, new, port, 100) is (code == 200)


@pytest.mark.parametrize(("kind", "switches"), [("baresip", False), ("pjsua", True)])
def test_caller_whose_2xx_comes_from_another_dialog_than_its_18x(lab: Lab, kind: str, switches: bool) -> None:
    """pjsip goes over to the key of the 2xx, baresip stays with that of the first answer it saw."""
    raw = lab.raw()
    peer = phone(lab, kind)
    first, second = Key.fresh(), Key.fresh()
    if isinstance(peer, Baresip):
        peer.dial(raw.uri)
    else:
        peer.call(raw.uri)
    invite = raw.receive("INVITE")
    port = audio_port(invite)
    raw.respond(invite, 183, raw.sdp(first), tag="loser")
    if isinstance(peer, Baresip):
        peer.wait_event("CALL_MENC")
    else:
        peer.wait_event("media", active=True)
    raw.respond(invite, 200, raw.sdp(second), tag="winner")
    raw.receive("ACK")
    assert accepted(peer, raw, second, port, 100) is switches
    assert accepted(peer, raw, first, port, 200) is not switches
