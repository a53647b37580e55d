"""No key and no password in any log, repr, str, traceback, error text, report, journal or output (design rule 6).

What is secret is recorded where it is made (`Secret`, key derivation), and every text is searched for it in every form.
"""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import logging
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import rich.console
import rich.traceback

import imsmediasec as ims
from imsmediasec.agent.call_dialog import CallDialog
from imsmediasec.agent.config import Account
from imsmediasec.agent.journal import CallJournal
from imsmediasec.agent.media import _DialogText
from imsmediasec.agent.report import render
from imsmediasec.media import MediaStream, PylibsrtpBackend
from imsmediasec.sdp import redact
from imsmediasec.secret import Secret
from imsmediasec.sip.digest import authorization, best_challenge

ROOT = Path(__file__).parent.parent
HOOK = Path(__file__).parent / "leak_hook"
BACKEND = PylibsrtpBackend()
SHORTEST = 6
"""Shorter secrets (there are none) would be found by chance."""


def forms(octets: bytes) -> set[str]:
    """How these octets could stand in a text."""
    base64_text = base64.b64encode(octets).decode()
    written = {
        octets.hex(),
        octets.hex().upper(),
        octets.hex(" "),
        octets.hex(":"),
        base64_text,
        base64_text.rstrip("="),
        base64.urlsafe_b64encode(octets).decode().rstrip("="),
        octets.decode("latin-1"),
        repr(octets)[2:-1],
        repr(list(octets)),
        str(int.from_bytes(octets, "big")),
    }
    return written | {json.dumps(form)[1:-1] for form in written} | {repr(form)[1:-1] for form in written}


def leaks(text: str, secrets: Iterable[bytes]) -> list[str]:
    """Forms of secrets that stand in the text."""
    whole = [octets for octets in set(secrets) if len(octets) >= SHORTEST and any(octets)]
    return [form for octets in whole for form in forms(octets) if form in text]


class Vault:
    """The secrets made while it watches, and the texts to be searched."""

    def __init__(self) -> None:
        self.secrets: set[bytes] = set()
        self.texts: list[str] = []

    def look(self, thing: object) -> None:
        """Everything that a thing says of itself."""
        self.texts += [repr(thing), str(thing), f"{thing}", f"{[thing]!r}"]
        if dataclasses.is_dataclass(thing) and not isinstance(thing, type):
            fields = {field.name: getattr(thing, field.name) for field in dataclasses.fields(thing)}
            self.texts += [repr(fields), json.dumps(fields, default=str)]

    def look_back(self, error: BaseException) -> None:
        """An error and its traceback, with the locals of every frame, as the two usual formatters show them."""
        self.look(error)
        self.texts += traceback.TracebackException.from_exception(error, capture_locals=True).format()
        output = io.StringIO()
        shown = rich.traceback.Traceback.from_exception(
            type(error), error, error.__traceback__, show_locals=True, locals_max_length=10_000
        )
        rich.console.Console(file=output, width=100_000).print(shown)
        self.texts.append(output.getvalue())

    def check(self) -> None:
        assert self.secrets, "nothing was secret: the test is blind"
        found = [(text[:200], leaked[0][:8]) for text in self.texts if (leaked := leaks(text, self.secrets))]
        assert found == []


class _Lines(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__(logging.DEBUG)
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(logging.Formatter("%(name)s %(message)s").format(record))


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch) -> Iterator[Vault]:
    """Records each `Secret`, and all logs, DEBUG included."""
    found = Vault()
    make = Secret.__init__

    def made(self: Secret, octets: bytes) -> None:
        found.secrets.add(bytes(octets))
        make(self, octets)

    monkeypatch.setattr(Secret, "__init__", made)
    root, handler = logging.getLogger(), _Lines(found.texts)
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield found
    root.removeHandler(handler)
    root.setLevel(level)


PLAIN = (
    "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    "m=audio 4000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
)
KEY = base64.b64encode(bytes(range(7, 37))).decode()
AES = "AES_CM_128_HMAC_SHA1_80"
BAD_ANSWERS = {
    "unoffered tag": f"a=crypto:9 {AES} inline:{KEY}\r\n",
    "lifetime": f"a=crypto:3 {AES} inline:{KEY}|2^99\r\n",
    "zero tag": f"a=crypto:03 {AES} inline:{KEY}\r\n",
    "fec key": f"a=crypto:3 {AES} inline:{KEY} FEC_KEY=inline:{KEY}\r\n",
    "too long": f"a=crypto:3 {AES} inline:{KEY}AAAA\r\n",
    "unpadded": f"a=crypto:1 AEAD_AES_256_GCM inline:{KEY}AAA\r\n",
    "two lines": f"a=crypto:3 {AES} inline:{KEY}\r\na=crypto:2 {AES} inline:{KEY}\r\n",
    "two keys without MKI": f"a=crypto:3 {AES} inline:{KEY};inline:{KEY}|1:4\r\n",
    "unknown suite": f"a=crypto:3 ROT13 inline:{KEY}\r\n",
    "no tag": f"a=crypto:x {AES} inline:{KEY}\r\n",
    "no method": f"a=crypto:3 {AES} {KEY}\r\n",
    "unknown parameter": f"a=crypto:3 {AES} inline:{KEY} HELLO=x\r\n",
    "none": "",
}


def negotiation(side: ims.Side, **options: object) -> ims.Negotiation:
    return ims.Negotiation(
        ims.SecurityPolicy(**options),  # type: ignore[arg-type]
        side=side,
        capabilities=BACKEND.capabilities,
        local_identity="sip:a@x",
        remote_target="sip:b@x",
        signalling=ims.Hop.PROTECTED,
    )


def drain(neg: ims.Negotiation, vault: Vault) -> list[ims.Event]:
    """All events, looked at from all sides."""
    events = []
    while (event := neg.next_event()) is not None:
        events.append(event)
        vault.look(event)
        if isinstance(event, ims.KeysReady | ims.KeysRetired):
            vault.look(event.keys)
            for master in event.keys.master_keys:
                vault.look(master)
                vault.look(master.key)
    vault.look(neg)
    vault.look(neg.status)
    vault.look(vars(neg))
    return events


def test_a_whole_negotiation(vault: Vault) -> None:
    """Offer, answer, re-key, media, end; text, keys and states say nothing of themselves."""
    alice, bob = negotiation(ims.Side.UAC), negotiation(ims.Side.UAS)
    media = {alice: MediaStream(BACKEND), bob: MediaStream(BACKEND)}

    def pump() -> None:
        for side, stream in media.items():
            for event in drain(side, vault):
                if isinstance(event, ims.KeysReady):
                    stream.install(event.direction, event.keys)

    for dialog in (None, "d"):
        offer = alice.create_offer(PLAIN, dialog=dialog, now=0)
        vault.texts.append(redact(offer))
        bob.receive_offer(offer, dialog="d", now=0)
        answer = bob.create_answer(PLAIN, dialog="d", now=0)
        alice.receive_answer(answer, dialog="d", now=0)
        if dialog is None:
            alice.confirm(dialog="d", now=0)
            bob.confirm(dialog="d", now=0)
        pump()
        for doc in (ims.sdp.SessionDescription.parse(offer), ims.sdp.SessionDescription.parse(answer)):
            vault.texts.append(repr(doc))  # str() is the text itself, to be sent
            vault.texts += map(repr, doc.media[0].crypto)
    packet = b"\x80\x00\x00\x01" + bytes(8) + b"voice" * 32
    protected = media[alice].protect(packet)
    assert media[bob].unprotect(protected) == packet
    with pytest.raises(ims.MediaSecurityError) as caught:
        media[bob].unprotect(protected)
    vault.look(caught.value)
    for stream in media.values():
        vault.look(stream)
        stream.close()
    assert len(vault.secrets) >= 8
    vault.check()


@pytest.mark.parametrize("case", BAD_ANSWERS)
def test_bad_answers(vault: Vault, case: str) -> None:
    """The reason names the place and the clause, never the key."""
    alice = negotiation(ims.Side.UAC)
    alice.create_offer(PLAIN, now=0)
    answer = PLAIN.replace("RTP/AVP", "RTP/SAVP") + BAD_ANSWERS[case]
    vault.secrets |= {bytes(range(7, 37))}
    alice.receive_answer(answer, dialog="d", now=0)
    events = drain(alice, vault)
    for event in events:
        if isinstance(event, ims.NegotiationFailed):
            vault.look(event.error)
    for fault in ims.sdp.SessionDescription.parse(answer).media[0].crypto_errors:
        vault.look(fault)
    assert KEY not in redact(answer)
    vault.check()


@pytest.mark.parametrize("case", ["unoffered tag", "too long", "two lines"])
def test_tracebacks_of_kept_errors(vault: Vault, case: str) -> None:
    """The error in an event may be logged with its traceback, locals included."""
    alice = negotiation(ims.Side.UAC)
    alice.create_offer(PLAIN, now=0)
    alice.receive_answer(PLAIN.replace("RTP/AVP", "RTP/SAVP") + BAD_ANSWERS[case], dialog="d", now=0)
    (failed,) = [event for event in drain(alice, vault) if isinstance(event, ims.NegotiationFailed)]
    vault.secrets |= {bytes(range(7, 37))}
    vault.look_back(failed.error)
    vault.check()


def test_tracebacks_of_misuse(vault: Vault) -> None:
    """What the library raises at its user, in a call that has keys."""
    alice, bob = negotiation(ims.Side.UAC), negotiation(ims.Side.UAS)
    offer = alice.create_offer(PLAIN, now=0)
    bob.receive_offer(offer, dialog="d", now=0)
    del offer  # the application's own variables are its own business
    answer = bob.create_answer(PLAIN, dialog="d", now=0)
    alice.receive_answer(answer, dialog="d", now=0)
    alice.confirm(dialog="d", now=0)
    del answer
    keys = [event.keys for event in drain(alice, vault) if isinstance(event, ims.KeysReady)]
    attempts = [
        lambda: alice.create_offer("nonsense", dialog="d", now=0),
        lambda: alice.create_offer(PLAIN, now=0),
        lambda: bob.create_answer(PLAIN, dialog="d", now=0),
        lambda: bob.create_answer(PLAIN, dialog="other", now=0),
        lambda: BACKEND.open(ims.Direction.SEND, keys[0]).unprotect(bytes(40)),
        lambda: BACKEND.open(ims.Direction.RECEIVE, keys[1]).unprotect(bytes(40)),
        lambda: pickle.dumps(keys[0].master_keys[0].key),
        lambda: json.dumps(dataclasses.asdict(keys[0].master_keys[0])),
        lambda: sorted([keys[0].master_keys[0].key, 5]),  # type: ignore[list-item]
    ]
    for attempt in attempts:
        with pytest.raises((ims.MediaSecurityError, TypeError, AttributeError, ValueError)) as caught:
            attempt()
        vault.look_back(caught.value)
    vault.check()


def test_accounts(vault: Vault) -> None:
    """A password is in no repr, and not in the header that it makes."""
    account = Account(username="alice", password=Secret(b"correct horse"))
    vault.look(account)
    challenge = best_challenge(['Digest realm="x", nonce="y", algorithm=SHA-256, qop="auth"'])
    assert challenge is not None
    header = authorization(
        challenge, username="alice", password=account.password, method="BYE", uri="sip:x", cnonce="z", body=b""
    )
    vault.look(header)
    vault.check()


@pytest.mark.parametrize("what", ["dialog", "texts"])
def test_records_of_the_agent(vault: Vault, what: str) -> None:
    """What stands in the locals of a traceback through the agent."""
    offer = negotiation(ims.Side.UAC).create_offer(PLAIN, now=0)
    vault.texts += [
        repr(CallDialog(id="d", invite_sdp=offer.encode()) if what == "dialog" else _DialogText(remote=offer))
    ]
    vault.check()


def test_journal_and_report(vault: Vault) -> None:
    """A status of a call that has keys, as a page."""
    alice, bob = negotiation(ims.Side.UAC), negotiation(ims.Side.UAS)
    bob.receive_offer(alice.create_offer(PLAIN, now=0), dialog="d", now=0)
    alice.receive_answer(bob.create_answer(PLAIN, dialog="d", now=0), dialog="d", now=0)
    journal = CallJournal(call_id="c", local="a", remote="b", started=0, outgoing=True)
    journal.statuses.append((0.0, alice.status))
    vault.look(journal)
    vault.texts.append(render(journal))
    vault.check()


@pytest.mark.interop
@pytest.mark.parametrize("example", ["embed_sans_io", "protected_call", "baresip_with_agent"])
def test_examples(tmp_path: Path, request: pytest.FixtureRequest, example: str) -> None:
    """Every process of an example, with DEBUG on everywhere: output, logs and reports."""
    work = Path(tempfile.mkdtemp())  # not below tmp_path: baresip cuts long paths
    request.addfinalizer(lambda: shutil.rmtree(work))
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / f"{example}.py"), *(["--keep"] if "_with_" in example else [])],
        capture_output=True,
        text=True,
        timeout=120,
        env={
            **os.environ,
            "PYTHONPATH": f"{HOOK}:{ROOT}",
            "PYTHONASYNCIODEBUG": "1",
            "LEAK_FOLDER": str(tmp_path),
            "TMPDIR": str(work),
        },
    )
    assert done.returncode == 0, done.stdout + done.stderr
    secrets = {bytes.fromhex(line) for file in tmp_path.glob("*.secrets") for line in file.read_text().split()}
    logs = [file.read_text() for file in tmp_path.glob("*.log")]
    # Not the peers' own logs and recordings: baresip writes down the SDP of the loopback side, which has no key.
    pages = [file.read_text() for file in work.rglob("*.html")]
    assert len(secrets) >= 6, "the hook was not there"
    assert all("watching" in log for log in logs) and logs
    assert len(pages) == (2 if example == "baresip_with_agent" else 0)
    assert leaks("\n".join([done.stdout, done.stderr, *logs, *pages]), secrets) == []


def test_a_planted_leak_is_found(vault: Vault) -> None:
    """Each form of it, alone in a page of text, in a log and in a traceback."""
    secret = Secret(bytes.fromhex("00ff80c3a9") + os.urandom(25))
    octets = secret.reveal()
    for form in forms(octets):
        assert leaks(f"so long {form} and thanks", {octets}), form
    assert not leaks("so long " + os.urandom(2000).hex(), {octets})
    logging.getLogger("imsmediasec.planted").debug("key %s", octets.hex())
    with pytest.raises(AssertionError):
        vault.check()
    vault.texts.clear()
    vault.check()

    def fails(revealed: bytes) -> None:
        raise ValueError("no word of it")

    try:
        fails(octets)
    except ValueError as error:
        vault.look_back(error)
    with pytest.raises(AssertionError):
        vault.check()


def test_a_planted_leak_in_an_example_is_found(tmp_path: Path) -> None:
    """The hook sees the secrets of another process, and what it logs."""
    script = tmp_path / "leaky.py"
    script.write_text(
        "import logging\nfrom imsmediasec import Secret\n"
        "key = Secret(b'0123456789abcdef')\nlogging.getLogger('x').debug('%s', key.reveal().hex())\n"
    )
    environment = {**os.environ, "PYTHONPATH": f"{HOOK}:{ROOT}", "LEAK_FOLDER": str(tmp_path)}
    subprocess.run([sys.executable, str(script)], check=True, env=environment, timeout=60)
    (secrets,) = [file.read_text().split() for file in tmp_path.glob("*.secrets")]
    (log,) = [file.read_text() for file in tmp_path.glob("*.log")]
    assert leaks(log, map(bytes.fromhex, secrets))


def test_the_search_is_quick() -> None:
    begin = time.monotonic()
    assert not leaks("x" * 1_000_000, {os.urandom(30) for _ in range(50)})
    assert time.monotonic() - begin < 20
