"""A read-only view of an SDP body in the dicts of sdp-transform, for programs that are written for them.

Nothing in this library reads or writes SDP by way of it: sdp-transform drops what it does not know
(every a=crypto session parameter after the first, for one).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from imsmediasec.errors import LocalError
from imsmediasec.sdp.document import SessionDescription


def as_dict(doc: SessionDescription) -> Mapping[str, Any]:
    """What ``sdp_transform.parse`` makes of the body; nothing in it can be changed.

    Raises LocalError if sdp-transform is not installed, or cannot read the body. The values hold the keys.
    """
    try:
        import sdp_transform
    except ImportError:
        raise LocalError("the dict view needs sdp-transform: pip install 'imsmediasec[dicts]'") from None
    try:
        parsed = sdp_transform.parse(str(doc))
    except Exception as error:  # whatever it trips over; it documents no error
        raise LocalError(f"sdp-transform cannot read this body ({type(error).__name__})") from None
    frozen: Mapping[str, Any] = _frozen(parsed)
    return frozen


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return MappingProxyType({key: _frozen(item) for key, item in value.items()})
    if isinstance(value, list):
        return tuple(map(_frozen, value))
    return value
