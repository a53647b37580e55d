"""`Secret`: key material that does not print, compare, pickle or copy like ordinary bytes."""

from __future__ import annotations

import hmac
from typing import NoReturn


class Secret:
    """Octets that must not leak.

    `repr`, `str`, `format`, tracebacks with locals, `dataclasses.asdict`, `pickle` and `json` show
    nothing. Equality takes constant time for equal lengths. The one way out is `reveal()`, and a
    test keeps the list of files that call it short. `wipe()` overwrites the octets this object
    holds; copies that Python or a C library made meanwhile are out of reach.
    """

    __slots__ = ("_octets",)

    def __init__(self, octets: bytes | bytearray) -> None:
        self._octets = bytearray(octets)

    def reveal(self) -> bytes:
        """The octets, as an ordinary `bytes`. Keep the result in a local name, briefly."""
        return bytes(self._octets)

    def wipe(self) -> None:
        """Overwrite the octets and empty the object."""
        self._octets[:] = bytes(len(self._octets))
        self._octets.clear()

    def __len__(self) -> int:
        return len(self._octets)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._octets, other._octets)

    __hash__ = None  # type: ignore[assignment]  # a hash would be an oracle for equality

    def __repr__(self) -> str:
        return "<Secret>"

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled")
