"""`quick_init`: the same frozen dataclass, made faster."""

from dataclasses import FrozenInstanceError, asdict, dataclass, field, fields, replace

import pytest

from imsmediasec.records import filler, quick_init


@dataclass(frozen=True, kw_only=True, slots=True)
class Base:
    name: str


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True)
class Record(Base):
    number: int = 7
    places: dict[int, int] = field(default_factory=dict)


def test_fields_defaults_and_factories() -> None:
    """Given values are kept, defaults filled in, and every object gets a container of its own."""
    one, other = Record(name="a"), Record(name="a", number=8, places={1: 2})
    assert (one.name, one.number, one.places) == ("a", 7, {})
    assert (other.number, other.places) == (8, {1: 2})
    assert Record(name="b").places is not one.places


def test_it_stays_a_frozen_dataclass() -> None:
    """Equality, `replace`, `asdict` and the refusal to change are those of the dataclass."""
    record = Record(name="a")
    assert replace(record, number=9) == Record(name="a", number=9)
    assert asdict(record) == {"name": "a", "number": 7, "places": {}}
    assert [f.name for f in fields(record)] == ["name", "number", "places"]
    with pytest.raises(FrozenInstanceError):
        record.number = 8  # type: ignore[misc]


@pytest.mark.parametrize("arguments", [{}, {"name": "a", "color": 1}], ids=["missing", "unknown"])
def test_wrong_arguments(arguments: dict[str, object]) -> None:
    """A missing or unknown field is a TypeError, as ever."""
    with pytest.raises(TypeError):
        Record(**arguments)  # type: ignore[arg-type]


def test_names_in_tracebacks() -> None:
    """The generated method has the name and annotations of what it replaces."""
    assert Record.__init__.__qualname__ == "Record.__init__"
    assert Record.__init__.__annotations__["number"] in (int, "int")


def test_filler() -> None:
    """All fields by position, without `__init__`; the object is like any other."""
    fill = filler(Record)
    assert fill("a", 8, {1: 2}) == Record(name="a", number=8, places={1: 2})
    with pytest.raises(TypeError):
        fill("a")
    with pytest.raises(FrozenInstanceError):
        fill("a", 8, {}).number = 9  # type: ignore[misc]
