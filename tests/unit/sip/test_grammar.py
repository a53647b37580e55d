"""sip/grammar.py against RFC 3261 7.3.1 and 25.1."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imsmediasec.errors import MalformedInput
from imsmediasec.sip.grammar import Parameters, is_token, number, quote, spans, split, unquote


@pytest.mark.parametrize(
    ("text", "elements"),
    [
        ("", []),
        (" \t", []),
        ("a", ["a"]),
        (" a ,b\r\n , c", ["a", "b", "c"]),
        ('"x,y" <sip:a,b@c>, <sip:d>', ['"x,y" <sip:a,b@c>', "<sip:d>"]),
        (r'"quote \" , inside" <sip:a>,b', [r'"quote \" , inside" <sip:a>', "b"]),
        ('"<" <sip:a>,b', ['"<" <sip:a>', "b"]),
    ],
)
def test_lists_part_at_commas_outside_quotes_and_brackets(text: str, elements: list[str]) -> None:
    assert split(text) == elements


@pytest.mark.parametrize(
    ("text", "offset"), [("a,,b", 2), (",a", 0), ("a,", 2), ('a, "b', 3), ("a, <b", 3), ('"\\"', 0)]
)
def test_an_empty_element_or_an_open_quote_is_malformed(text: str, offset: int) -> None:
    with pytest.raises(MalformedInput) as caught:
        spans(text)
    assert caught.value.offset == offset


def test_parameters_keep_order_spelling_and_quotes() -> None:
    parameters = Parameters.parse('Tag=a ; LR;x="y;\\"z"; empty=')
    assert parameters.items == (("Tag", "a"), ("LR", None), ("x", '"y;\\"z"'), ("empty", ""))
    assert parameters.get("tag") == "a" and parameters.get("lr") is None and parameters.has("lr")
    assert parameters.get("none") is None and parameters.text("none") is None and parameters.text("X") == 'y;"z'
    assert str(parameters) == ';Tag=a;LR;x="y;\\"z";empty='
    assert str(parameters.replaced("TAG", "b").without("x")) == ";Tag=b;LR;empty="
    assert str(Parameters().replaced("a", None)) == ";a"


@pytest.mark.parametrize("text", ["a=b c", ";a", "a;", "a;;b", "=b", "a;A=1", "a=<b>", 'a="b'])
def test_broken_parameters_are_malformed(text: str) -> None:
    with pytest.raises(MalformedInput):
        Parameters.parse(text)


def test_numbers_are_ascii_and_bounded() -> None:
    assert number("007", 255, "it", "") == 7
    for text in ("", "-1", "+1", "256", "٣", "1" * 50, "1 2"):
        with pytest.raises(MalformedInput):
            number(text, 255, "it", "")


def test_tokens() -> None:
    assert is_token("!interesting-Method0123456789_*+`.%indeed'~")
    assert not is_token("a b") and not is_token("") and not is_token("a\n")


@given(st.text())
def test_unquote_undoes_quote(text: str) -> None:
    assert unquote(quote(text)) == text


def test_text_without_quotes_stays() -> None:
    assert unquote('a"b') == 'a"b' and unquote('"') == '"'


@pytest.mark.parametrize("piece", ['"\\"', '"', "<", ",", '"a', "\\", " ", ";", "a", '"",'])
def test_hostile_lists_take_linear_time(piece: str) -> None:
    text = piece * (60_000 // len(piece))
    started = time.perf_counter()
    for read in (split, Parameters.parse):
        with contextlib.suppress(MalformedInput):
            read(text)
    assert time.perf_counter() - started < 2.0
