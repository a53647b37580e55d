"""sip/fields.py: reading and editing header fields in place (RFC 3261 7.3)."""

from __future__ import annotations

import pytest

from imsmediasec.errors import LocalError, MalformedInput
from imsmediasec.sip import SipMessage
from imsmediasec.sip.fields import COMPACT_FORMS, MAX_FIELDS, HeaderFields, field_key, new_fields, parse_fields

HEAD = (
    "v: SIP/2.0/UDP a;branch=1 , SIP/2.0/UDP b;branch=2\r\n"
    "VIA  :\tSIP/2.0/UDP\r\n c;branch=3\t \r\n"
    "Route: <sip:one;lr>\n"
    "x-Odd:   \r\n"
    "Subject: one\r\n \r\n\ttwo  \r\n"
    "\r\n"
)


def fields(text: str = HEAD) -> HeaderFields:
    return HeaderFields(parse_fields(text, 0)[0], "\r\n")


def written(headers: HeaderFields) -> str:
    return "".join(field.raw for field in headers._fields)


def test_values_are_unfolded_and_names_compare_in_any_form() -> None:
    headers = fields()
    assert headers.headers == (
        ("v", "SIP/2.0/UDP a;branch=1 , SIP/2.0/UDP b;branch=2"),
        ("VIA", "SIP/2.0/UDP c;branch=3"),
        ("Route", "<sip:one;lr>"),
        ("x-Odd", ""),
        ("Subject", "one  two"),
    )
    assert headers.get("S") == "one  two" and headers.get("X-ODD") == "" and headers.get("Date") is None
    assert headers.has("route") and not headers.has("Record-Route")
    assert len(headers.get_all("via")) == 2 and headers.get_all("Date") == []
    assert headers.get_list("Via") == ["SIP/2.0/UDP a;branch=1", "SIP/2.0/UDP b;branch=2", "SIP/2.0/UDP c;branch=3"]
    assert written(headers) == HEAD[:-2]


def test_compact_forms() -> None:
    assert field_key("I") == "call-id" and field_key("q") == "q" and field_key("VIA") == "via"
    assert all(len(name) == 1 for name in COMPACT_FORMS)


@pytest.mark.parametrize(
    ("index", "old", "new"),
    [
        (0, "SIP/2.0/UDP a;branch=1", "NEW"),
        (1, "SIP/2.0/UDP b;branch=2", "NEW"),
        (2, "SIP/2.0/UDP\r\n c;branch=3", "NEW"),
    ],
)
def test_one_element_is_replaced(index: int, old: str, new: str) -> None:
    headers = fields()
    headers.replace_item("Via", index, new)
    assert written(headers) == HEAD[:-2].replace(old, new)


@pytest.mark.parametrize(
    ("index", "old"),
    [
        (0, "SIP/2.0/UDP a;branch=1 , "),
        (1, " , SIP/2.0/UDP b;branch=2"),
        (2, "VIA  :\tSIP/2.0/UDP\r\n c;branch=3\t \r\n"),
    ],
)
def test_one_element_is_removed(index: int, old: str) -> None:
    headers = fields()
    headers.remove_item("via", index)
    assert written(headers) == HEAD[:-2].replace(old, "")


def test_an_element_that_is_not_there() -> None:
    for name, index in (("Via", 3), ("Via", -1), ("Date", 0)):
        with pytest.raises(LocalError):
            fields().remove_item(name, index)
        with pytest.raises(LocalError):
            fields().replace_item(name, index, "x")
    assert written(fields()) == HEAD[:-2]


def test_set_touches_one_value() -> None:
    headers = fields()
    headers.set("Via", "NEW", index=1)
    headers.set("Subject", " three ")
    headers.set("X-Odd", "four")
    assert written(headers) == (
        HEAD[:-2]
        .replace("SIP/2.0/UDP\r\n c;branch=3\t ", "NEW\t ")
        .replace("one\r\n \r\n\ttwo", "three")
        .replace("x-Odd:   ", "x-Odd:   four")
    )
    headers.set("Date", "now")
    assert headers.headers[-1] == ("Date", "now")
    for name, index in (("Via", 2), ("Via", -1), ("Expires", 1)):
        with pytest.raises(LocalError):
            headers.set(name, "x", index=index)


def test_insertions() -> None:
    headers = new_fields([("B", "1"), ("B", "2"), ("C", "3")], "\r\n")
    headers.prepend("B", "0")
    headers.append("B", "2b")
    headers.prepend("A", "top")
    headers.append("Z", "end")
    headers.insert("X", "before", before="B")
    headers.insert("Y", "after", after="b")
    headers.insert("W", "nowhere", after="none")
    assert [value for _, value in headers.headers] == [
        "top",
        "before",
        "0",
        "1",
        "2",
        "2b",
        "after",
        "3",
        "end",
        "nowhere",
    ]
    assert headers.remove("b") == 4 and headers.remove("b") == 0
    for both in ({}, {"before": "a", "after": "b"}):
        with pytest.raises(LocalError):
            headers.insert("X", "x", **both)


def test_no_value_can_end_its_line() -> None:
    headers = fields()
    for value in ("a\r\nEvil: 1", "a\nb", "a\rb", "a\0", "\u20ac"):
        for edit in (headers.append, headers.prepend, headers.set):
            with pytest.raises(LocalError):
                edit("Subject", value)
    for name in ("", "A B", "A:", "A\n"):
        with pytest.raises(LocalError):
            headers.append(name, "x")
    assert written(headers) == HEAD[:-2]


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("A: b\r\n", 6),
        ("A: b\r\nno field\r\n\r\n", 6),
        (": b\r\n\r\n", 0),
        (" A: b\r\n\r\n", 0),
        ("A\r\n : b\r\n\r\n", 0),
        ("A: b\r\n" * (MAX_FIELDS + 1) + "\r\n", 6 * MAX_FIELDS),
    ],
)
def test_broken_headers_are_malformed(text: str, offset: int) -> None:
    with pytest.raises(MalformedInput) as caught:
        parse_fields(text, 0)
    assert caught.value.offset == offset


def test_no_fields_at_all() -> None:
    assert parse_fields("\n", 0) == ([], 0)
    assert SipMessage.parse(b"A sip:b SIP/2.0\n\n").headers == ()
