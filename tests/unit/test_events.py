"""The events."""

from imsmediasec import events
from imsmediasec.keys import MasterKey, SrtpKeys
from imsmediasec.policy import Quirk
from imsmediasec.secret import Secret
from imsmediasec.suites import AEAD_AES_128_GCM
from imsmediasec.terms import DialogExit, Direction, Gate, KeyManagement


def test_they_match_by_class() -> None:
    """What a program writes in `match` works, and defaults are the usual case."""
    keys = SrtpKeys(suite=AEAD_AES_128_GCM, master_keys=(MasterKey(key=Secret(b"k" * 16), salt=Secret(b"s" * 12)),))
    seen = []
    for event in (
        events.KeysReady(dialog="d", index=0, mid="a", direction=Direction.SEND, keys=keys),
        events.RekeyRequired(dialog="d"),
        events.MediaGate(dialog="d", index=0, gate=Gate.OPEN),
        events.RetryWith(dialog=None, key_management=KeyManagement.SDES),
        events.DialogRetired(dialog="d", how=DialogExit.BYE),
        events.PeerQuirk(dialog="d", index=0, quirk=Quirk.TAG_RENUMBERED, detail="x"),
    ):
        match event:
            case events.KeysReady(dialog=d, index=i, direction=x, keys=k):
                seen.append((d, i, x, k is keys))
            case events.RekeyRequired(early=early):
                seen.append(early)
            case events.Event(dialog=d):
                seen.append(d)
    assert seen == [("d", 0, Direction.SEND, True), False, "d", None, "d", "d"]


def test_nothing_shows_a_key() -> None:
    """An event in a log holds no key."""
    keys = SrtpKeys(suite=AEAD_AES_128_GCM, master_keys=(MasterKey(key=Secret(b"k" * 16), salt=Secret(b"s" * 12)),))
    event = events.KeysRetired(dialog="d", index=0, mid=None, direction=Direction.RECEIVE, keys=keys)
    assert "kkkk" not in repr(event) and "Secret" in repr(event)
