"""`SessionDescription`: read and edited without loss."""

from pathlib import Path

import pytest

from imsmediasec.errors import MalformedInput
from imsmediasec.sdp.document import MAX_OCTETS, SessionDescription

FIXTURES = sorted((Path(__file__).parents[2] / "fixtures/sdp").glob("*.sdp"))
KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd"
CRYPTO = f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"
BODY = (
    "v=0\r\no=- 1 2 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\na=recvonly\r\n"
    "m=audio 4000/2 RTP/SAVP 0 101\r\na=rtpmap:0 PCMU/8000\r\na=mid:a\r\n"
    f"a=crypto:{CRYPTO}\r\na=crypto:x\r\na=sendonly\r\n"
    "m=video 0 RTP/AVP 31\r\nc=IN IP6 2001:db8::1\r\na=rtcp-mux\r\n"
)


@pytest.mark.parametrize("file", FIXTURES, ids=lambda file: file.stem)
def test_lossless(file: Path) -> None:
    """Every octet of every body comes back; so does the text of it."""
    octets = file.read_bytes()
    assert bytes(SessionDescription.parse(octets)) == octets
    text = octets.decode("utf-8", "replace")
    assert str(SessionDescription.parse(text)) == text


def test_fields() -> None:
    """Everything typed, and what holds for each m-line."""
    doc = SessionDescription.parse(BODY)
    audio, video = doc.media
    assert (audio.media_type, audio.port, audio.port_count, audio.proto) == ("audio", 4000, 2, "RTP/SAVP")
    assert (audio.formats, audio.mid, audio.direction) == (("0", "101"), "a", "sendonly")
    assert (video.port_count, video.mid, video.direction) == (1, None, None)
    assert (doc.direction(audio), doc.direction(video)) == ("sendonly", "recvonly")
    assert (doc.connection(audio), doc.connection(video)) == ("IN IP4 192.0.2.1", "IN IP6 2001:db8::1")
    assert [crypto.tag for crypto in audio.crypto] == [1]
    assert [error.reason for error in audio.crypto_errors] == ["a=crypto needs a tag, a suite and key parameters"]
    assert repr(doc) == "<SessionDescription audio RTP/SAVP, video RTP/AVP>"
    assert KEY not in repr(doc)


def test_defaults() -> None:
    """Without a direction it is sendrecv, without c= there is none."""
    doc = SessionDescription.parse("v=0\nm=audio 1 RTP/AVP\n")
    assert doc.direction(doc.media[0]) == "sendrecv"
    assert doc.connection(doc.media[0]) is None
    assert repr(SessionDescription.parse("v=0")) == "<SessionDescription without media>"


def test_lines_and_values() -> None:
    """Lines and attributes can be looked up by name, whole names only."""
    session = SessionDescription.parse("v=0\r\na=x:1\r\na=x\r\na=xy:2\r\nb=AS:1\r\na=x:\r\n").session
    assert session.lines == ("v=0", "a=x:1", "a=x", "a=xy:2", "b=AS:1", "a=x:")
    assert session.values("x") == ["1", "", ""]
    assert (session.value("x"), session.value("xy"), session.value("y")) == ("1", "2", None)
    assert (session.has("xy"), session.has("y")) == (True, False)
    assert (session.line("v"), session.line("b"), session.line("c")) == ("0", "AS:1", None)
    unterminated = SessionDescription.parse("v=0\r\na=x:1").session
    assert (unterminated.value("x"), unterminated.lines) == ("1", ("v=0", "a=x:1"))
    assert unterminated.value("") is None
    assert SessionDescription.parse("v=0\nb=1").session.line("b") == "1"


@pytest.mark.parametrize(
    ("body", "offset"),
    [
        ("", 0),
        ("v=1\r\n", 0),
        ("V=0\r\n", 0),
        ("v=0 \r\n", 0),
        ("\r\nv=0\r\n", 0),
        ("v=0\r\nhello\r\n", 5),
        ("v=0\r\nA=b\r\n", 5),
        ("v=0\r\n\r\na=x\r\n", 5),
        ("v=0\r\na=x\0y\r\n", 8),
        ("v=0\r\na=\0\r\nb\r\n", 7),
        ("v=0\r\nb\r\na=\0\r\n", 5),
        ("v=0\r\n \0\r\n", 5),
        ("v=0\r\nm=audio RTP/AVP 0\r\n", 5),
        ("v=0\r\ns=x\r\nm=audio 65536 RTP/AVP 0\r\n", 10),
        ("v=0\r\nm=audio 1 RTP/AVP 0\r\na=x\r\nm=audio -1 RTP/AVP 0\r\n", 31),
        ("v=0\r\nm=audio \u0661 RTP/AVP 0\r\n", 5),
        ("v=0\r\nm=\r\n", 5),
    ],
)
def test_malformed(body: str, offset: int) -> None:
    """What is no SDP at all, and where."""
    with pytest.raises(MalformedInput) as caught:
        SessionDescription.parse(body)
    assert caught.value.offset == offset


def test_too_long() -> None:
    """A body beyond the limit is not even looked at."""
    SessionDescription.parse("v=0\r\n" + "a=x\r\n" * ((MAX_OCTETS - 5) // 5))
    with pytest.raises(MalformedInput, match="is not read"):
        SessionDescription.parse(b"v=0\r\n" + b"a" * MAX_OCTETS)


@pytest.mark.parametrize("tail", ["", "\r\n", "\r\n\r\n", "\n\n", " \r\n\t\r\n", "\r\n\r", "\r\n  "])
def test_blank_end(tail: str) -> None:
    """Blank lines at the end do no harm, and an edit goes before them."""
    body = f"v=0\r\nm=audio 1 RTP/AVP 0\r\na=x{tail}"
    doc = SessionDescription.parse(body)
    assert str(doc) == body
    doc.media[0].add_attributes(["y"])
    blank = tail.removeprefix("\r\n") if tail.startswith("\r\n") else ""
    assert str(doc).endswith(blank)
    assert "a=y" in str(doc).split("m=audio", 1)[1]
    assert SessionDescription.parse(str(doc)).media[0].has("y")


def test_odd_octets() -> None:
    """Octets that are no UTF-8 leave as they came; so do lone surrogates of a str."""
    octets = b"v=0\r\ns=M\xfcller\xff\r\n"
    assert bytes(SessionDescription.parse(octets)) == octets
    assert bytes(SessionDescription.parse(bytearray(octets))) == octets
    assert bytes(SessionDescription.parse("v=0\r\ns=\ud800\r\n")) == b"v=0\r\ns=\xed\xa0\x80\r\n"


@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_edits_touch_one_line(end: str) -> None:
    """Each edit changes what it names and uses the line ends that are there."""
    body = BODY.replace("\r\n", end)
    lines = body.split(end)

    def after(change: str) -> list[str]:
        doc = SessionDescription.parse(body)
        exec(change, {"doc": doc, "audio": doc.media[0]})
        return str(doc).split(end)

    def edited(old: str, *new: str) -> list[str]:
        at = lines.index(old)
        return [*lines[:at], *new, *lines[at + 1 :]]

    m = "m=audio 4000/2 RTP/SAVP 0 101"
    assert after("audio.set_media(port=5)") == edited(m, "m=audio 5/2 RTP/SAVP 0 101")
    assert after("audio.set_media(proto='RTP/AVP')") == edited(m, "m=audio 4000/2 RTP/AVP 0 101")
    assert after("audio.set_media(proto='A', port=0)") == edited(m, "m=audio 0/2 A 0 101")
    assert after("audio.set_media(proto='RTP/SAVP')") == lines
    assert after("audio.set_media()") == lines
    assert after("doc.session.replace_line('s', 'new')") == edited("s=-", "s=new")
    assert after("doc.session.replace_line('v', '0')") == lines
    assert after("doc.session.replace_line('b', 'AS:1')") == edited("a=recvonly", "a=recvonly", "b=AS:1")
    assert after("audio.replace_attribute('mid', 'b')") == edited("a=mid:a", "a=mid:b")
    assert after("audio.replace_attribute('mid', '')") == edited("a=mid:a", "a=mid")
    assert after("audio.replace_attribute('mi', 'b')") == lines
    assert after("audio.insert_second('c', 'x')") == edited(m, m, "c=x")
    assert after("doc.session.remove_lines('o')") == edited("o=- 1 2 IN IP4 192.0.2.1")
    assert after("doc.session.remove_lines('v')") == lines
    assert after("audio.remove_attributes('nothing')") == lines
    assert after("audio.remove_attributes('sendonly')") == edited("a=sendonly")
    assert after("audio.add_attributes(['x', 'y:1'])") == edited("a=sendonly", "a=sendonly", "a=x", "a=y:1")
    assert after("audio.add_attributes([])") == lines
    at = lines.index(f"a=crypto:{CRYPTO}")
    assert after("audio.add_attributes(['z'], audio.remove_attributes('crypto', 'mid'))") == [
        *lines[: at - 1],
        "a=z",
        *lines[at + 2 :],
    ]


def test_results_of_edits() -> None:
    """What the edits return, and that typed fields follow them."""
    doc = SessionDescription.parse(BODY)
    audio = doc.media[0]
    assert audio.crypto is audio.crypto
    assert audio.replace_attribute("mid", "b") is True
    assert audio.replace_attribute("none", "b") is False
    assert audio.mid == "b"
    assert audio.remove_attributes("none") is None
    place = audio.remove_attributes("crypto")
    assert audio.crypto == audio.crypto_errors == ()
    audio.add_attributes([f"crypto:{CRYPTO}", f"crypto:{CRYPTO}"], place)
    assert [crypto.tag for crypto in audio.crypto] == [1]
    assert [error.reason for error in audio.crypto_errors] == ["crypto tag 1 stands twice"]
    audio.set_media(port=7)
    assert (audio.port, audio.crypto[0].tag) == (7, 1)


def test_last_line_without_end() -> None:
    """The body keeps its missing line end, and the line before an added one gets the usual."""
    doc = SessionDescription.parse("v=0\r\nm=audio 1 RTP/AVP 0")
    audio = doc.media[0]
    audio.add_attributes([])
    assert str(doc) == "v=0\r\nm=audio 1 RTP/AVP 0"
    audio.insert_second("c", "x")
    assert str(doc) == "v=0\r\nm=audio 1 RTP/AVP 0\r\nc=x"
    audio.add_attributes(["a", "b"])
    assert str(doc) == "v=0\r\nm=audio 1 RTP/AVP 0\r\nc=x\r\na=a\r\na=b"
    audio.replace_attribute("b", "2")
    assert str(doc) == "v=0\r\nm=audio 1 RTP/AVP 0\r\nc=x\r\na=a\r\na=b:2"
    audio.remove_attributes("b")
    audio.replace_attribute("a", "1")
    assert str(doc) == "v=0\r\nm=audio 1 RTP/AVP 0\r\nc=x\r\na=a:1\r\n"
    audio.remove_attributes("a")
    assert str(doc) == "v=0\r\nm=audio 1 RTP/AVP 0\r\nc=x\r\n"


@pytest.mark.parametrize(
    "change",
    [
        "audio.add_attributes(['x\\r\\na=y'])",
        "audio.add_attributes(['x\\n'])",
        "audio.add_attributes(['x\\0'])",
        "audio.replace_attribute('mid', 'x\\n')",
        "audio.insert_second('c', 'x\\n')",
        "doc.session.replace_line('s', 'x\\r')",
        "audio.set_media(proto='RTP AVP')",
        "audio.set_media(proto='')",
        "audio.set_media(proto='x\\r\\na=y')",
        "audio.set_media(port=-1)",
        "audio.set_media(port=65536)",
        "audio.set_media(port=10000000)",
    ],
)
def test_no_line_can_be_smuggled_in(change: str) -> None:
    """A value that would make another line, or an m-line that cannot be read, is a ValueError; nothing changes."""
    doc = SessionDescription.parse(BODY)
    with pytest.raises(ValueError):
        exec(change, {"doc": doc, "audio": doc.media[0]})
    assert str(doc) == BODY
    assert doc.media[0].port == 4000


def test_blanks_in_the_m_line() -> None:
    """Runs of blanks, tabs and a trailing blank are read, and stay where they are."""
    doc = SessionDescription.parse("v=0\r\nm=Audio  4000\tRTP/AVP   0  8 \r\n")
    (audio,) = doc.media
    assert (audio.media_type, audio.port, audio.formats) == ("audio", 4000, ("0", "8"))
    audio.set_media(port=6)
    assert str(doc) == "v=0\r\nm=Audio  6\tRTP/AVP   0  8 \r\n"


@pytest.mark.parametrize("end", ["\r\n", ""])
def test_rewrite(end: str) -> None:
    """A section can be replaced as a whole; the body keeps its last line end, or its lack."""
    doc = SessionDescription.parse(f"v=0\r\nm=audio 1 RTP/AVP 0\r\na=x{end}")
    (audio,) = doc.media
    audio.rewrite(["m=video 2 RTP/AVP 31", "a=y"])
    assert str(doc) == f"v=0\r\nm=video 2 RTP/AVP 31\r\na=y{end}"
    assert (audio.media_type, audio.port) == ("video", 2)
    for lines in ([], ["a=y"], ["m=video 65536 RTP/AVP 31"], ["m=video 1 RTP/AVP 31\r\na=x"]):
        with pytest.raises(ValueError):
            audio.rewrite(lines)
    assert audio.port == 2


@pytest.mark.parametrize("line", ["a=x\rm=audio 1 RTP/AVP 0", "s=x\rc=IN IP4 192.0.2.9", "a=x\r y"])
@pytest.mark.parametrize("end", ["\r\n", "\n", "\r\r\n", ""])
def test_a_cr_within_a_line(line: str, end: str) -> None:
    """Readers that take it for a line end would see a line that is none here."""
    with pytest.raises(MalformedInput, match="CR within"):
        SessionDescription.parse(f"v=0\r\nm=audio 4000 RTP/AVP 0\r\n{line}{end}")


@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_keep_first_line(end: str) -> None:
    """Lines of one kind behind the first go; all others stay."""
    lines = ["v=0", "c=1", "t=0", "c=2", "m=audio 4000 RTP/AVP 0", "c=3", "c=4", "a=c=5", "c=6"]
    doc = SessionDescription.parse(end.join(lines))
    for section in (doc.session, doc.media[0]):
        section.keep_first_line("c")
        section.keep_first_line("b")
    assert str(doc).split(end) == ["v=0", "c=1", "t=0", "m=audio 4000 RTP/AVP 0", "c=3", "a=c=5", ""]


def test_attributes_are_removed_in_any_case() -> None:
    doc = SessionDescription.parse("v=0\r\na=RTCP:1\r\na=Rtcp\r\na=rtcp:2\r\na=rtcp-mux\r\n")
    doc.session.remove_attributes("rtcp")
    assert str(doc) == "v=0\r\na=rtcp-mux\r\n"
