"""The read-only dicts of sdp-transform."""

import sys
from types import SimpleNamespace

import pytest

from imsmediasec.errors import LocalError
from imsmediasec.sdp.dict_view import as_dict
from imsmediasec.sdp.document import SessionDescription

DOC = SessionDescription.parse(
    "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
)


def test_view() -> None:
    """The dicts that programs for sdp-transform expect, nested, and none of them can be changed."""
    view = as_dict(DOC)
    assert view["media"][0]["port"] == 4000
    assert view["media"][0]["rtp"][0]["codec"] == "PCMU"
    with pytest.raises(TypeError):
        view["media"][0]["port"] = 1
    assert isinstance(view["media"], tuple)


def test_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without sdp-transform the error names the extra to install."""
    monkeypatch.setitem(sys.modules, "sdp_transform", None)
    with pytest.raises(LocalError, match=r"imsmediasec\[dicts\]"):
        as_dict(DOC)


def test_it_trips(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it raises becomes an error of ours that shows nothing of the body."""

    def parse(text: str) -> None:
        raise RuntimeError(text)

    monkeypatch.setitem(sys.modules, "sdp_transform", SimpleNamespace(parse=parse))
    with pytest.raises(LocalError, match="RuntimeError") as caught:
        as_dict(DOC)
    assert "PCMU" not in str(caught.value)
