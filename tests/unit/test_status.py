"""The status values."""

from imsmediasec.status import HolderKind, Identity, KeyHolder, PeerAssertions, SecurityStatus, StreamStatus
from imsmediasec.suites import AEAD_AES_128_GCM
from imsmediasec.terms import Direction, ForkState, IdentitySource, KeyManagement, Scope

HOLDER = KeyHolder(
    kind=HolderKind.TERMINATING_ENTITY, name="sip:bob@x", reason="it ends", directions=frozenset({Direction.SEND})
)


def stream(index: int, *, send: bool = True, receive: bool = True) -> StreamStatus:
    return StreamStatus(
        index=index,
        mid=None,
        media_type="audio",
        send_protected=send,
        receive_protected=receive,
        may_send=True,
        scope=Scope.END_TO_END,
        key_management=KeyManagement.SDES,
        suite=AEAD_AES_128_GCM,
        key_holders=(HOLDER,),
    )


def status(*streams: StreamStatus) -> SecurityStatus:
    return SecurityStatus(
        dialog=None,
        streams=streams,
        terminating_entity=Identity(uri=None, source=IdentitySource.NONE),
        fork_state=ForkState.UNKNOWN,
        warnings=(),
    )


def test_protected_means_all_of_it() -> None:
    """No media, one clear direction or one clear stream: not protected."""
    assert not status().protected
    assert status(stream(0), stream(1)).protected
    assert not status(stream(0), stream(1, send=False)).protected
    assert not stream(0, receive=False).protected


def test_each_holder_once() -> None:
    """The call names each holder once, whatever the number of streams."""
    assert status(stream(0), stream(1)).key_holders == (HOLDER,)


def test_equal_by_value() -> None:
    """A status can be compared with the one before, and hashed."""
    assert status(stream(0)) == status(stream(0))
    assert hash(status(stream(0))) == hash(status(stream(0)))
    assert PeerAssertions() == PeerAssertions(claimed=None, asserted=None, trusted_hop=False, history=())
