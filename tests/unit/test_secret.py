"""`Secret`: nothing but `reveal` gives the octets away."""

import copy
import json
import pickle
import traceback
from dataclasses import asdict, dataclass

import pytest

from imsmediasec.secret import Secret

OCTETS = b"key material \x00\xff"


def test_nothing_prints_it() -> None:
    """repr, str, format, f-strings, dataclasses and tracebacks show a placeholder."""
    secret = Secret(OCTETS)

    @dataclass
    class Holder:
        inner: Secret

    try:
        raise ValueError(secret)
    except ValueError as error:
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    texts = [repr(secret), str(secret), f"{secret}", f"{secret!r:>30}", repr(asdict(Holder(secret))), shown]
    for text in texts:
        assert "<Secret>" in text
        assert "material" not in text


def test_no_copies() -> None:
    """Copying gives the same object; pickle and json refuse."""
    secret = Secret(OCTETS)
    assert copy.copy(secret) is secret
    assert copy.deepcopy([secret])[0] is secret
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        json.dumps({"key": secret})


def test_equality() -> None:
    """By value between secrets only; there is no hash."""
    assert Secret(OCTETS) == Secret(bytearray(OCTETS))
    assert Secret(OCTETS) != Secret(OCTETS[1:])
    assert Secret(OCTETS) != OCTETS
    with pytest.raises(TypeError):
        hash(Secret(OCTETS))


def test_wipe() -> None:
    """After `wipe` there is nothing left."""
    secret = Secret(OCTETS)
    assert (secret.reveal(), len(secret)) == (OCTETS, len(OCTETS))
    secret.wipe()
    assert (secret.reveal(), len(secret)) == (b"", 0)
