"""Whatever SDP is accepted comes back as it was, and an edit touches what it names."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imsmediasec.errors import MalformedInput
from imsmediasec.sdp.document import SessionDescription

ENDS = st.sampled_from(["\r\n", "\n"])
NAMES = st.sampled_from(["crypto", "mid", "rtpmap", "sendrecv", "x", "crypt", "cryptography"])
VALUES = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=("Cs",)), max_size=20)
ATTRIBUTES = st.builds(lambda name, value: f"a={name}{value and ':' + value}", NAMES, VALUES)
LINES = st.one_of(ATTRIBUTES, st.builds(lambda kind, value: f"{kind}={value}", st.sampled_from("bciky"), VALUES))
MEDIA = st.builds(
    lambda kind, port, proto, lines: [f"m={kind} {port} {proto} 0", *lines],
    st.sampled_from(["audio", "video", "message"]),
    st.integers(0, 65535),
    st.sampled_from(["RTP/AVP", "RTP/SAVP", "TCP/MSRP"]),
    st.lists(LINES, max_size=5),
)


@st.composite
def bodies(draw: st.DrawFn) -> str:
    """SDP with any lines, CRLF or LF line by line, perhaps without the last line end."""
    lines = ["v=0", *draw(st.lists(LINES, max_size=4))]
    for section in draw(st.lists(MEDIA, max_size=3)):
        lines += section
    text = "".join(line + draw(ENDS) for line in lines)
    return text if draw(st.booleans()) else text.rstrip("\r\n")


@given(st.binary(max_size=200))
def test_any_octets(octets: bytes) -> None:
    """Octets are refused with our error, or written as they were read."""
    for data in (octets, b"v=0\r\n" + octets, b"v=0\r\na=" + octets):
        try:
            doc = SessionDescription.parse(data)
        except MalformedInput:
            continue
        assert bytes(doc) == data


@given(st.text(max_size=100))
def test_any_text(text: str) -> None:
    """The same for text, lone surrogates included."""
    for data in (text, f"v=0\n{text}", f"v=0\nm=audio 1 RTP/AVP 0\na={text}"):
        try:
            doc = SessionDescription.parse(data)
        except MalformedInput:
            continue
        assert str(doc) == data
        bytes(doc)


@given(bodies())
def test_identity(text: str) -> None:
    """Every body of the right shape is accepted and comes back, as text and as octets."""
    doc = SessionDescription.parse(text)
    assert str(doc) == text
    assert bytes(SessionDescription.parse(text.encode())) == text.encode()
    assert len(doc.media) == text.count("\nm=")


@given(bodies(), st.data())
def test_reading_agrees_with_the_lines(text: str, data: st.DataObject) -> None:
    """Looking up an attribute finds what a plain walk over the lines finds."""
    doc = SessionDescription.parse(text)
    name = data.draw(NAMES)
    for section in (doc.session, *doc.media):
        walked = [line[2:].partition(":") for line in section.lines if line.startswith("a=")]
        assert section.values(name) == [value for found, _, value in walked if found == name]
        assert section.has(name) == bool(section.values(name))
        assert section.value(name) == next(iter(section.values(name)), None)
        first = next((line[2:] for line in section.lines if line.startswith("c=")), None)
        assert section.line("c") == first


@settings(max_examples=300)
@given(bodies(), st.data())
def test_edits_touch_their_line_only(text: str, data: st.DataObject) -> None:
    """Any series of edits: the lines that no edit names are there, byte for byte and in their order."""
    doc = SessionDescription.parse(text)
    names: set[str] = set()
    for _ in range(data.draw(st.integers(1, 4))):
        section = data.draw(st.sampled_from([doc.session, *doc.media]))
        name = data.draw(NAMES)
        names.add(f"a={name}".lower())
        match data.draw(st.integers(0, 3)):
            case 0:
                section.remove_attributes(name)
            case 1:
                section.replace_attribute(name, "new")
            case 2:
                section.add_attributes([f"{name}:new"], section.remove_attributes(name))
            case 3:
                section.add_attributes([name, f"{name}:new"])
    for number, media in enumerate(doc.media):
        media.set_media(port=number)

    def others(body: str) -> list[str]:
        lines = [line.rstrip("\r") for line in body.split("\n")]
        return [line for line in lines if line and line[:2] != "m=" and line.partition(":")[0].lower() not in names]

    assert others(str(doc)) == others(text)
    again = SessionDescription.parse(str(doc))
    assert [media.port for media in again.media] == list(range(len(doc.media)))


@pytest.mark.parametrize("size", [1_000, 100_000])
def test_time_is_linear(size: int) -> None:
    """Long lines, many lines and many attributes of one name are read in time (and not squared)."""
    import time

    for text in (
        "v=0\r\na=" + "x" * size,
        "v=0\r\n" + "a=crypto\r\n" * (size // 10),
        "v=0\r\nm=audio 1 RTP/AVP " + "0 " * (size // 2),
        "v=0\r\nm=audio 1 RTP/AVP 0\r\n" + "a=crypto:1 X inline:A|1:1\r\n" * (size // 30),
    ):
        started = time.process_time()
        doc = SessionDescription.parse(text)
        for media in doc.media:
            _ = (media.crypto, media.formats, media.direction)
            media.remove_attributes("crypto")
        assert time.process_time() - started < 0.5
