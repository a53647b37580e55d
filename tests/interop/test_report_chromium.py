"""The report of a call, as a browser shows it: real forked calls, hostile texts, no scripts, no requests, no keys."""

from __future__ import annotations

import html
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import imsmediasec as ims
from imsmediasec.agent import SecureForking
from imsmediasec.agent.call import Call
from imsmediasec.agent.journal import CallJournal, JournalObserver
from imsmediasec.agent.report import render, write_report
from imsmediasec.agent.sip_dialog import Face
from imsmediasec.sip import SipMessage

from .agents import TestAgent, Witness
from .browser import Browser
from .conftest import Lab
from .forked import Network, keys_in, sip_of
from .peers.raw import RawUa


class Reporter(Witness):
    """A witness that keeps a journal too, and writes the report into `folder` when the call ends."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.reports: list[Path] = []
        self.journals: list[CallJournal] = []
        self._folder = folder
        self._observer = JournalObserver(ended=self._write)

    def _write(self, journal: CallJournal) -> None:
        self.journals.append(journal)
        self.reports.append(write_report(journal, self._folder))

    def sip(self, face: Face, *, incoming: bool, message: SipMessage) -> None:
        self._observer.sip(face, incoming=incoming, message=message)
        super().sip(face, incoming=incoming, message=message)

    def call_started(self, call: Call) -> None:
        self._observer.call_started(call)
        super().call_started(call)

    def event(self, call: Call, event: ims.Event) -> None:
        self._observer.event(call, event)
        super().event(call, event)

    def call_ended(self, call: Call) -> None:
        self._observer.call_ended(call)
        super().call_ended(call)


def seen(dom: str) -> str:
    """The text of a document, tags out and entities resolved."""
    body = dom.partition("<body>")[2]
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", body)))


@pytest.fixture
def browser(lab: Lab) -> Browser:
    """Skips, or fails in CI, without Chromium."""

    class Stopped(Browser):
        def stop(self) -> None:
            pass

    return lab.start(Stopped, lab.folder)


@pytest.mark.parametrize("forking", list(SecureForking))
def test_a_forked_call(lab: Lab, browser: Browser, forking: SecureForking) -> None:
    """Kamailio forks to two baresips and a pjsua behind an agent, which takes the call; both agents report."""
    reporter = Reporter(lab.folder / "reports")
    network = Network(lab, witness=reporter, secure_forking=forking)
    network.ring()
    network.take("bob3")
    reporter.wait_confirmed()
    network.talk("bob3")
    network.hang_up("bob3")
    (report,) = reporter.reports
    dom = browser.dom(report)
    browser.picture(report, lab.folder / "report.png")
    text = seen(dom)
    assert "Protected end to end; only the terminal that took the call" in text
    assert re.search(rf"sip:alice@127\.0\.0\.1\S* called {re.escape(network.target)}", text), text
    assert "Forking: confirmed" in text
    dialogs = text.partition("Dialogs")[2].partition("What the rules did")[0].partition("Messages")[0]
    assert len(re.findall(r"dialog \d :", dialogs)) == 3, dialogs
    assert dialogs.count(": took the call") == 1, dialogs
    assert dialogs.count("200 OK") == 1, dialogs
    hearing = text.partition("Who can hear it, since when")[2].partition("Warnings")[0]
    rows = re.findall(r"\d+\.\d{3} s 0 audio .*?(?= \d+\.\d{3} s|$)", hearing)
    first, last = rows[0], rows[-1]
    assert "yes AEAD_AES_256_GCM" in last
    assert "every SIP node on the path" in last
    assert "every terminal that the INVITE reached" not in last
    # With an offer in the INVITE the three had a key until the re-key; the report tells since when not any more.
    assert ("every terminal that the INVITE reached" in first) is (forking is SecureForking.REKEY)
    ladder = text.partition("Messages")[2]
    for message in ("INVITE", "180 Ringing", "200 OK + SDP", "ACK", "BYE"):
        assert message in ladder
    keys = [key for bob in (network.alice, *network.bobs.values()) for key in keys_in(sip_of(bob))]
    assert keys
    for line in keys:
        assert line.partition("inline:")[2].split("|")[0].strip() not in report.read_text()
    assert "inline:" not in dom


def test_both_agents_of_a_call_write_into_one_folder(lab: Lab) -> None:
    """They share Call-ID and second; neither report overwrites the other."""
    folder = lab.folder / "reports"
    alice = lab.start(TestAgent, witness=Reporter(folder))
    bob = lab.start(TestAgent, witness=Reporter(folder))
    phones = [lab.pjsua("alice", srtp=0, outbound=alice.proxy), lab.pjsua("bob", srtp=0, outbound=bob.proxy, tone=880)]
    bob.agent.core.contacts.add("bob", phones[1].contact)
    phones[0].call(f"sip:bob@{bob.network}")
    alice.witness.wait_confirmed()
    phones[0].hangup()
    for agent in (alice, bob):
        agent.witness.wait(lambda w: w.ended)
    assert len(list(folder.iterdir())) == 2
    texts = [seen(file.read_text()) for file in folder.iterdir()]
    assert sorted(" was called by " in text for text in texts) == [False, True]
    assert all("Protected end to end" in text for text in texts)


HOSTILE = "<script>document.title='taken'</script><img src=x onerror=document.title='taken'>"


def test_hostile_peers(lab: Lab, browser: Browser) -> None:
    """What a stranger writes into URIs, display names and reasons is shown as text."""
    reporter = Reporter(lab.folder / "reports")
    phone = RawUa()
    lab.stops(phone)
    agent = lab.start(TestAgent, witness=reporter, softphone=phone.uri)
    stranger = lab.raw(f"sip:me@{agent.network}")
    name = HOSTILE.replace('"', "'")
    stranger.local = f'"{name}" <sip:{"a%3Cb%3E&<x>"[:9]}@x.example>;tag=1'
    stranger.request("INVITE", stranger.sdp(None), headers=f'P-Asserted-Identity: "{name}" <sip:x@x>\r\n')
    reporter.wait(lambda w: any(not incoming for _, incoming, _ in w.messages))
    agent.stop()
    made = CallJournal(
        call_id="c", local=HOSTILE, remote=f"sip:{HOSTILE}", started=0.0, outgoing=True, dialogs={HOSTILE: HOSTILE}
    )
    page = write_report(made, lab.folder)
    for report in (page, *reporter.reports):
        dom = browser.dom(report)
        assert "<title>Call" in dom and "taken</title>" not in dom
        assert "<script" not in dom and "<img" not in dom
    assert HOSTILE in seen(browser.dom(page).replace("&lt;", "&amp;lt;")).replace("&lt;", "<").replace("&gt;", ">")


class Ears(ThreadingHTTPServer):
    """A web server that writes down what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                self.send_response(404)
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def stop(self) -> None:
        self.shutdown()
        self.server_close()


def test_the_page_asks_nobody(lab: Lab, browser: Browser) -> None:
    """Even if a link, a picture and a style sheet got into the page, its policy lets nothing out; no script runs."""
    ears = lab.start(Ears)
    page = lab.folder / "page.html"
    bait = (
        f'<img src="{ears.url}/img"><script src="{ears.url}/src"></script><iframe src="{ears.url}/frame"></iframe>'
        f'<style>@import "{ears.url}/css";body{{background:url({ears.url}/bg)}}</style>'
        f"<script>document.title='taken';fetch('{ears.url}/fetch')</script>"
    )
    page.write_text(f"<body>{bait}</body>")
    assert "taken</title>" in browser.dom(page), "without the policy the bait works"
    assert {"/img", "/src", "/css"} <= set(ears.asked)
    ears.asked.clear()
    report = render(CallJournal(call_id="c", local="a", remote="b", started=0.0, outgoing=True))
    page.write_text(report.replace("<body>", f"<body>{bait}"))
    assert "<title>Call a – b</title>" in browser.dom(page)
    assert ears.asked == []
