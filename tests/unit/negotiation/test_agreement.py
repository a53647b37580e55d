"""From one agreement to the next: keys into force and out of it, gates, the fork phase."""

from collections import deque

import pytest

import imsmediasec as ims
from imsmediasec.keymgmt import sdes
from imsmediasec.negotiation.agreement import RECEIVE_GRACE, Agreement
from imsmediasec.negotiation.dialog import Dialog, Ends, Form, MediaPlan
from imsmediasec.negotiation.forking import ForkPhase
from imsmediasec.negotiation.ledger import Disclosure, KeyLedger
from imsmediasec.negotiation.timers import Timer, TimerQueue
from imsmediasec.policy import Quirk
from imsmediasec.sdp.crypto import CryptoAttribute
from imsmediasec.suites import AEAD_AES_128_GCM, AES_CM_128_HMAC_SHA1_80
from imsmediasec.terms import Direction, Gate, Hop, Side
from tests.pair import counter

POLICY = ims.SecurityPolicy()
ASK = ims.SecurityPolicy(on_unprotected=ims.OnFailure.ASK)
HERE, THERE = ("IN IP4 192.0.2.1", 4000), ("IN IP4 192.0.2.2", 5000)
RANDOM = counter()


def crypto(suite: ims.SrtpSuite = AEAD_AES_128_GCM) -> CryptoAttribute:
    return sdes.new_crypto(1, suite, POLICY, RANDOM)


def plan(
    form: Form = Form.SECURE,
    local: CryptoAttribute | None = None,
    remote: CryptoAttribute | None = None,
    *,
    here: tuple[str | None, int] = HERE,
    there: tuple[str | None, int] = THERE,
    media_type: str = "audio",
) -> MediaPlan:
    return MediaPlan(
        form=form, local=local, remote=remote, local_transport=here, remote_transport=there, media_type=media_type
    )


class World:
    def __init__(self, side: Side = Side.UAC) -> None:
        self.ledger = KeyLedger()
        self.timers = TimerQueue()
        self.queue: deque[ims.Event] = deque()
        self.agreement = Agreement(side, self.ledger, self.timers, self.queue)
        self.dialog = Dialog(id="d")

    def reach(self, *plans: MediaPlan, policy: ims.SecurityPolicy = POLICY, now: float = 0.0) -> list[str]:
        self.lost = self.agreement.reach(self.dialog, plans, policy, now)
        return self.took()

    def took(self) -> list[str]:
        """The events as short words."""
        words = []
        while self.queue:
            event = self.queue.popleft()
            match event:
                case ims.KeysReady(direction=x, keys=k):
                    words.append(f"ready {x.value}{'' if k.same_transport else ' moved'}")
                case ims.KeysRetired(direction=x):
                    words.append(f"retired {x.value}")
                case ims.MediaGate(gate=gate):
                    words.append(gate.value)
                case _:
                    words.append(type(event).__name__)
        return words

    def share(self, line: CryptoAttribute) -> CryptoAttribute:
        self.ledger.record(line, Disclosure(dialog=None, hop=Hop.PROTECTED))
        return line


FIRST = ["ready receive moved", "ready send moved"]


def test_first_agreement_and_the_same_again() -> None:
    """Receive keys first, then send keys; what is agreed once more makes no event (peers.md 25)."""
    world = World()
    one = plan(local=crypto(), remote=crypto())
    assert world.reach(one) == [*FIRST, "keepalive-only"]
    assert world.dialog.phase is ForkPhase.EARLY_PRIVATE
    assert world.reach(one) == []
    assert world.dialog.phase is ForkPhase.EARLY_PRIVATE


def test_new_keys() -> None:
    """The old receive key stays for the grace period, the old send key goes at once; the ROC goes on."""
    world = World()
    old = plan(local=crypto(), remote=crypto())
    world.reach(old)
    assert world.reach(plan(local=crypto(), remote=old.remote), now=1) == ["ready send", "retired send"]
    assert world.reach(plan(local=world.dialog.streams[0].local, remote=crypto()), now=1) == ["ready receive"]
    (timer,) = world.timers.due(1 + RECEIVE_GRACE)
    assert timer.keys is not None and timer.keys.direction is Direction.RECEIVE


@pytest.mark.parametrize(
    ("here", "there", "words"),
    [
        (("x", 1), THERE, ["ready receive", "ready send moved", "retired send"]),
        (HERE, ("x", 1), ["ready receive moved", "ready send", "retired send"]),
    ],
)
def test_moved(here: tuple[str, int], there: tuple[str, int], words: list[str]) -> None:
    """RFC 4568 7.1.4: with another transport a new key starts its counter at 0, in that direction."""
    world = World()
    world.reach(plan(local=crypto(), remote=crypto()))
    assert world.reach(plan(local=crypto(), remote=crypto(), here=here, there=there)) == words


def test_protection_comes_and_goes() -> None:
    """Plain to protected and back: keys, gates, and the word that protection was lost."""
    world = World()
    assert world.reach(plan(Form.PLAIN)) == ["open"]
    assert world.dialog.phase is None
    assert world.reach(plan(Form.CAPNEG, crypto(), crypto())) == [*FIRST, "keepalive-only"]
    assert world.dialog.streams[0].form is Form.SECURE
    assert not world.lost
    assert world.reach(plan(Form.PLAIN)) == ["retired send", "retired receive", "open"]
    assert world.lost
    world.reach(plan(Form.PLAIN))
    assert not world.lost


def test_media_removed() -> None:
    """A refused m-line loses its keys, once; its slot can be used again, for other media."""
    world = World()
    world.reach(plan(local=crypto(), remote=crypto()))
    assert world.reach(plan(Form.REFUSED)) == ["retired send", "retired receive", "MediaRemoved"]
    assert not world.lost
    assert world.reach(plan(Form.REFUSED)) == []
    assert world.reach(plan(Form.PASS)) == []
    assert world.reach(plan(local=crypto(), remote=crypto(), media_type="video"))[:1] == ["ready receive"]
    assert world.dialog.streams[0].media_type == "video"
    assert world.reach(plan(Form.PASS, there=(None, 0))) == ["retired send", "retired receive", "MediaRemoved"]
    assert not world.lost


def test_protection_goes_with_the_profile() -> None:
    """The m-line goes on with something that is not ours to protect."""
    world = World()
    world.reach(plan(local=crypto(), remote=crypto()))
    assert world.reach(plan(Form.PASS)) == ["retired send", "retired receive", "MediaRemoved"]
    assert world.lost
    world.reach(plan(Form.PASS))
    assert not world.lost


def test_not_ours() -> None:
    """An m-line that never was ours makes no event."""
    world = World()
    assert world.reach(plan(Form.PASS)) == []
    assert world.dialog.streams[0].form is Form.PASS


def test_refused_from_the_start() -> None:
    """It is reported as removed, so that the application knows."""
    assert World().reach(plan(Form.REFUSED)) == ["MediaRemoved"]


def test_quirks_are_reported() -> None:
    """Before what follows from them."""
    world = World()
    one = plan(local=crypto(), remote=crypto())
    one.quirks = ((Quirk.UNPADDED_BASE64, "x"),)
    assert world.reach(one)[0] == "PeerQuirk"


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("shared", [False, True])
def test_first_phase(live: bool, shared: bool) -> None:
    """By what the ledger says of the keys, in either direction."""
    world = World()
    world.dialog.live = live
    local = world.share(crypto()) if shared else crypto()
    world.reach(plan(local=local, remote=crypto()))
    expected = {
        (False, False): ForkPhase.EARLY_PRIVATE,
        (False, True): ForkPhase.EARLY_SHARED,
        (True, False): ForkPhase.LIVE_PRIVATE,
        (True, True): ForkPhase.LIVE_SHARED,
    }
    assert world.dialog.phase is expected[live, shared]
    world = World(Side.UAS)
    world.dialog.live = live
    remote = world.share(crypto()) if shared else crypto()
    world.reach(plan(local=crypto(), remote=remote))
    assert world.dialog.phase is expected[live, shared]


def test_fresh_and_back() -> None:
    """A fresh key makes the dialog private and answers the question; the INVITE's key makes it shared again."""
    world = World()
    world.dialog.live = True
    shared = world.share(crypto())
    remote = crypto()
    assert world.reach(plan(local=shared, remote=remote)) == [*FIRST, "keepalive-only"]
    world.dialog.exposed = True
    assert world.reach(plan(local=crypto(), remote=remote))[-1] == "open"
    assert world.dialog.phase is ForkPhase.LIVE_PRIVATE
    assert not world.dialog.exposed
    assert world.reach(plan(local=shared, remote=remote))[-1] == "keepalive-only"
    assert world.dialog.phase is ForkPhase.LIVE_SHARED


def test_one_shared_stream_shares_the_dialog() -> None:
    """Audio with a fresh key and video without: not private."""
    world = World()
    world.dialog.live = True
    world.reach(plan(local=crypto(), remote=crypto()), plan(local=world.share(crypto()), remote=crypto()))
    assert world.dialog.phase is ForkPhase.LIVE_SHARED


@pytest.mark.parametrize("phase", [ForkPhase.LIVE_REKEYING, ForkPhase.LIVE_SHARED])
def test_rekey_answered_without_protection(phase: ForkPhase) -> None:
    """An answer that leaves nothing protected is no re-key."""
    world = World()
    world.reach(plan(local=world.share(crypto()), remote=crypto()))
    world.dialog.phase = phase
    world.reach(plan(Form.PLAIN))
    assert world.dialog.phase is ForkPhase.LIVE_SHARED


def test_exposure_by_policy() -> None:
    """Forking EXPOSED opens the gate at once."""
    world = World()
    exposed = ims.SecurityPolicy(forking=ims.Forking.EXPOSED)
    assert world.reach(plan(local=world.share(crypto()), remote=crypto()), policy=exposed)[-1] == "open"


def test_asked_about() -> None:
    """An unprotected stream waits while the user is asked, and no longer."""
    world = World()
    assert world.reach(plan(Form.PLAIN), policy=ASK) == ["keepalive-only"]
    assert world.dialog.awaiting_decision
    world.dialog.unprotected_accepted = True
    world.agreement.set_gates(world.dialog)
    assert world.took() == ["open"]


def test_dropped_keys() -> None:
    """At the end gates shut and every key goes, those in their grace period too; other timers are void."""
    world = World()
    world.reach(plan(local=crypto(), remote=crypto()), plan(Form.PLAIN))
    world.reach(plan(local=crypto(AES_CM_128_HMAC_SHA1_80), remote=crypto(AES_CM_128_HMAC_SHA1_80)), plan(Form.PLAIN))
    world.timers.add(Timer(at=9.0, dialog="d", what="rekey"))
    world.dialog.phase = ForkPhase.RETIRED
    world.agreement.drop_keys(world.dialog)
    assert world.took() == ["keepalive-only", "retired receive", "retired send", "retired receive"]
    assert world.timers.next() is None
    assert Gate.OPEN not in {stream.gate for stream in world.dialog.streams.values()}


def test_ends_at_the_edge() -> None:
    """No other terminal sees a key that the access edge takes out: private, though it stood in the INVITE."""
    world = World()
    world.dialog.live = True
    one = plan(local=world.share(crypto()), remote=crypto())
    one.ends = Ends.EDGE
    assert world.reach(one)[-1] == "open"
    assert world.dialog.phase is ForkPhase.LIVE_PRIVATE
