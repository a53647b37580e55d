"""agent/report.py: the verdict, who can hear what since when, and a page that shows hostile text as text."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

import imsmediasec as ims
from imsmediasec.agent.journal import CallJournal, Message, Note
from imsmediasec.agent.report import render, verdict, write_report
from imsmediasec.agent.sip_dialog import Face

SIP_NODES = ims.KeyHolder(
    kind=ims.HolderKind.SIGNALLING_PATH,
    name="every SIP node on the path",
    reason="SDES",
    directions=frozenset(ims.Direction),
)


def stream(**options: Any) -> ims.StreamStatus:
    values: dict[str, Any] = {
        "index": 0,
        "mid": None,
        "media_type": "audio",
        "send_protected": True,
        "receive_protected": True,
        "may_send": True,
        "scope": ims.Scope.END_TO_END,
        "key_management": ims.KeyManagement.SDES,
        "suite": ims.suite_by_name("AEAD_AES_256_GCM"),
        "key_holders": (SIP_NODES,),
    }
    return ims.StreamStatus(**(values | options))


PLAIN = stream(send_protected=False, receive_protected=False, suite=None, scope=None, key_management=None)


def status(*streams: ims.StreamStatus, fork_state: ims.ForkState = ims.ForkState.CONFIRMED, **more: Any) -> Any:
    identity = ims.Identity(uri="sip:bob@x", source=ims.IdentitySource.CLAIMED)
    return ims.SecurityStatus(
        dialog="b", streams=streams, terminating_entity=identity, fork_state=fork_state, **({"warnings": ()} | more)
    )


def journal(**options: Any) -> CallJournal:
    values: dict[str, Any] = {
        "call_id": "c4b75@host",
        "local": "sip:alice@x",
        "remote": "sip:bob@x",
        "started": 1_700_000_000.0,
        "outgoing": True,
    }
    return CallJournal(**(values | options))


def message(name: str, **options: Any) -> Message:
    values: dict[str, Any] = {"at": 0.5, "face": Face.NETWORK, "incoming": True, "far_tag": "", "with_sdp": False}
    return Message(name=name, **(values | options))


def text(page: str) -> str:
    """What a reader sees, roughly."""
    body = page.partition("<body>")[2]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body))


@pytest.mark.parametrize(
    ("shown", "colour", "sentence"),
    [
        (None, "bad", "No media was agreed."),
        (status(), "bad", "No media was agreed."),
        (status(PLAIN), "bad", "Not protected: whoever is on the path can hear this call."),
        (status(stream(), PLAIN), "fair", "Partly protected: see the streams."),
        (status(stream(receive_protected=False), stream()), "fair", "Partly protected: see the streams."),
        (status(stream(scope=ims.Scope.END_TO_ACCESS_EDGE)), "fair", "Protected to the access edge"),
        (status(stream(scope=ims.Scope.END_TO_MIDDLE_TO_END)), "fair", "Protected, but not end to end"),
        (status(stream(), fork_state=ims.ForkState.UNKNOWN), "fair", "other terminals may hold a key"),
        (status(stream(), fork_state=ims.ForkState.EXPOSED), "fair", "other terminals may hold a key"),
        (status(stream(), fork_state=ims.ForkState.REKEYING), "fair", "other terminals may hold a key"),
        (status(stream()), "good", "Protected end to end"),
    ],
)
def test_verdicts(shown: ims.SecurityStatus | None, colour: str, sentence: str) -> None:
    assert verdict(shown)[0] == colour
    assert sentence in verdict(shown)[1]
    page = render(journal(statuses=[] if shown is None else [(1.0, shown)]))
    assert f'class="verdict {colour}"' in page


def test_a_call_that_was_clear_for_a_while_is_not_called_good() -> None:
    page = render(journal(statuses=[(1.0, status(stream()))], lost_protection=True))
    assert 'class="verdict fair"' in page
    assert "not all the time" in page
    assert 'class="verdict bad"' in render(journal(statuses=[(1.0, status(PLAIN))], lost_protection=True))


def test_who_can_hear_it_since_when() -> None:
    forked = dataclasses.replace(SIP_NODES, name="every terminal that the INVITE reached", reason="it forked")
    states = [
        (1.0, status(stream(key_holders=(SIP_NODES, forked)))),
        (1.5, status(stream(key_holders=(SIP_NODES, forked)), fork_state=ims.ForkState.REKEYING)),
        (2.0, status(stream())),
        (9.0, status(PLAIN)),
    ]
    seen = text(render(journal(statuses=states)))
    rows = re.findall(r"(\d\.\d{3}) s 0 audio (yes|no) (\S+) (.*?)(?= \d\.\d{3} s|Warnings)", seen)
    assert [(row[0], row[1], row[2], row[3].strip()) for row in rows] == [
        ("1.000", "yes", "AEAD_AES_256_GCM",
         "every SIP node on the path: SDES every terminal that the INVITE reached: it forked"),
        ("2.000", "yes", "AEAD_AES_256_GCM", "every SIP node on the path: SDES"),
        ("9.000", "no", "none", "everybody on the path: the media is not protected"),
    ]  # fmt: skip


def test_the_whole_page() -> None:
    warned = status(
        stream(),
        warnings=(ims.SecurityWarning(code="x", text="nobody vouches"),),
        retargeted_to=("sip:carol@x", "sip:dave@x"),
    )
    seen = text(
        render(
            journal(
                statuses=[(1.0, warned)],
                messages=[
                    message("INVITE", face=Face.PHONE, with_sdp=True),
                    message("INVITE", incoming=False),
                    message("180 Ringing", far_tag="b"),
                    message("180 Ringing", far_tag="c"),
                    message("100 trying -- your call is important to us", far_tag="b"),
                    message("200 OK", far_tag="b", with_sdp=True),
                    message("200 OK", face=Face.PHONE, incoming=False, far_tag="b"),
                    message("ACK", incoming=False, far_tag="d"),
                ],
                notes=[
                    Note(at=0.25, text="lied", dialog="b", serious=True),
                    Note(at=0.75, text="tolerated: x", dialog=None),
                ],
                dialogs={"b": "took the call", "e": "was ended"},
                ended=61.5,
                left_out=7,
            )
        )
    )
    for wanted in (
        "sip:alice@x called sip:bob@x",
        "2023-11-14 22:13:20 UTC, 61.5 s",
        "sip:bob@x — known by: claimed. Forking: confirmed. The call was passed on to sip:carol@x, then sip:dave@x.",
        "nobody vouches 0.250 s: lied",
        "dialog 1 : took the call (180 Ringing, 200 OK)",
        "dialog 2 : rang, did not take the call (180 Ringing)",
        "dialog 3 : no answer",
        "dialog 4 : was ended",
        "0.250 s, dialog 1: lied",
        "0.750 s, call: tolerated: x",
        "INVITE + SDP 0.500 s",
        "200 OK + SDP 0.500 s dialog 1",
        "100 trying -- your call is im… 0.500 s dialog 1",
        "7 further entries were not kept",
    ):
        assert wanted in seen, (wanted, seen)


def test_a_call_of_which_nothing_is_known() -> None:
    seen = text(render(journal(local="", remote="", outgoing=False)))
    assert "? was called by ?" in seen
    assert "Warnings none" in seen
    assert "further entries" not in seen


HOSTILE = "</svg></title><script>alert(1)</script><img src=x onerror=alert(2)>\"'{{ 7*7 }}\x1b\ud800\u202e"


def test_hostile_text_is_text() -> None:
    hostile = journal(
        local=HOSTILE,
        remote=HOSTILE,
        call_id=HOSTILE,
        statuses=[
            (
                1.0,
                status(
                    stream(media_type=HOSTILE, key_holders=(dataclasses.replace(SIP_NODES, name=HOSTILE),)),
                    warnings=(ims.SecurityWarning(code="x", text=HOSTILE),),
                    retargeted_to=(HOSTILE,),
                ),
            )
        ],
        messages=[message(HOSTILE, far_tag=HOSTILE)],
        notes=[Note(at=1, text=HOSTILE, dialog=HOSTILE, serious=True)],
        dialogs={HOSTILE: HOSTILE},
    )
    page = render(hostile)
    assert page.count("<script") == page.count("<img") == page.count("49") == 0
    assert page.count("</svg>") == page.count("</title>") == 1
    assert "&lt;script&gt;" in page
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\ud800-\udfff]", page)


def test_the_page_asks_nobody() -> None:
    page = render(journal(statuses=[(1.0, status(stream()))]))
    assert "default-src 'none'" in page
    for reference in re.findall(r"""(?:src|href|url|@import)\W*[=(]\s*["']?([^"')\s>]*)""", page):
        assert reference.startswith("#"), reference


def test_files_are_never_overwritten(tmp_path: Path) -> None:
    """Both agents of a call may write into one folder."""
    folder = tmp_path / "made" / "at need"
    paths = [write_report(journal(), folder) for _ in range(3)]
    assert [path.name for path in paths] == [
        "20231114-221320-c4b75-host.html",
        "20231114-221320-c4b75-host-2.html",
        "20231114-221320-c4b75-host-3.html",
    ]
    assert all("sip:alice@x" in path.read_text() for path in paths)


@pytest.mark.parametrize("call_id", ["../../etc/passwd", "", "/", "." * 500, "\ud800", "x" * 500])
def test_a_hostile_call_id_names_a_file_in_the_folder(tmp_path: Path, call_id: str) -> None:
    path = write_report(journal(call_id=call_id), tmp_path)
    assert path.parent == tmp_path
    assert re.fullmatch(r"20231114-221320-[A-Za-z0-9-]{1,40}\.html", path.name)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        write_report(journal(), tmp_path / "file" / "below")
