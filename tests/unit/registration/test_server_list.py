"""registration/server_list.py against RFC 3329 2.3.1."""

from __future__ import annotations

import pytest

from imsmediasec.errors import DowngradeDetected
from imsmediasec.registration.server_list import ServerList
from imsmediasec.sip.security_agreement import parse_security_mechanisms


def names(known: ServerList) -> list[str]:
    return [entry.name for entry in known.entries]


def test_updates() -> None:
    full = parse_security_mechanisms(["tls, sdes-srtp;mediasec"])
    known = ServerList().updated(full, complete=True)
    assert known.updated([], complete=False) is known
    assert names(known.updated(full[1:], complete=False)) == ["tls", "sdes-srtp"]
    assert names(known.updated(full[:1], complete=False)) == ["tls", "sdes-srtp"]
    more = parse_security_mechanisms(["dtls-srtp;mediasec, SDES-srtp;mediasec, TLS;q=1"])
    assert names(known.updated(more, complete=False)) == ["dtls-srtp", "SDES-srtp", "TLS"]
    for listed in (full[:1], full[1:], []):
        with pytest.raises(DowngradeDetected):
            known.updated(listed, complete=True)
    with pytest.raises(DowngradeDetected):
        known.forgotten().updated(parse_security_mechanisms(["tls, sdes-srtp"]), complete=True)
    assert names(known.forgotten()) == []
