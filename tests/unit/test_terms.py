"""The shared words."""

import copy
import pickle
from enum import Enum

import pytest

from imsmediasec import terms


def words() -> list[type[Enum]]:
    return [value for value in vars(terms).values() if isinstance(value, type) and issubclass(value, terms.Word)]


@pytest.mark.parametrize("word", [word for word in words() if len(word)], ids=lambda word: word.__name__)
def test_words(word: type[Enum]) -> None:
    """Members are unique, hash by identity, and stay themselves when copied."""
    members = list(word)
    assert len(dict.fromkeys(members, 1)) == len(members)
    for member in members:
        assert hash(member) == object.__hash__(member)
        assert copy.deepcopy(member) is member
        assert pickle.loads(pickle.dumps(member)) is member
        assert word(member.value) is member
