"""The offer/answer table (RFC 3264)."""

from imsmediasec.negotiation.exchange import EXCHANGE_TABLE, ExchangeInput, ExchangeState


def test_every_state_is_left() -> None:
    """From each state some input leads on, and one back to STABLE."""
    for state in ExchangeState:
        assert any(row[0] is state for row in EXCHANGE_TABLE)
        if state is not ExchangeState.STABLE:
            assert EXCHANGE_TABLE[state, ExchangeInput.REJECT] is ExchangeState.STABLE


def test_no_second_offer() -> None:
    """While one is open, neither side can offer."""
    for state in ExchangeState:
        for what in (ExchangeInput.SEND_OFFER, ExchangeInput.RECEIVE_OFFER):
            assert ((state, what) in EXCHANGE_TABLE) is (state is ExchangeState.STABLE)
