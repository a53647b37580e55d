"""The error tree: who is at fault, and what to answer."""

import pytest

from imsmediasec import errors


@pytest.mark.parametrize(
    ("kind", "base", "status"),
    [
        (errors.LocalError, errors.MediaSecurityError, None),
        (errors.KeyLifetimeExhausted, errors.LocalError, None),
        (errors.RemoteError, errors.MediaSecurityError, 488),
        (errors.MalformedInput, errors.RemoteError, 400),
        (errors.PeerMisbehaved, errors.RemoteError, 488),
        (errors.NoCommonSecurity, errors.RemoteError, 488),
        (errors.AuthenticationFailed, errors.RemoteError, 403),
        (errors.ReplayDetected, errors.AuthenticationFailed, 403),
        (errors.KmsError, errors.MediaSecurityError, 500),
        (errors.DowngradeDetected, errors.MediaSecurityError, 488),
    ],
)
def test_tree(kind: type[errors.MediaSecurityError], base: type[Exception], status: int | None) -> None:
    """Every error has its place in the tree and a status to answer with."""
    error = kind("why", clause="RFC 4568 6.1")
    assert isinstance(error, base)
    assert error.sip_status_hint == status
    assert (str(error), error.reason, error.clause) == ("why (RFC 4568 6.1)", "why", "RFC 4568 6.1")


def test_own_status_and_no_clause() -> None:
    """The hint can be given; without a clause the message is the reason."""
    error = errors.PeerMisbehaved("why", sip_status_hint=491)
    assert error.sip_status_hint == 491
    assert str(error) == "why"


def test_offset() -> None:
    """Malformed input says where."""
    assert str(errors.MalformedInput("bad line", offset=17)) == "bad line at offset 17"
    assert errors.MalformedInput("bad line").offset is None
