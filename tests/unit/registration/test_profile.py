"""registration/profile.py: how a network wants the agreement asked for."""

from imsmediasec.registration.profile import CARRIER, MEDIASEC, SEC_AGREE, THREE_GPP


def test_option_tags() -> None:
    """Each profile's own tag; sec-agree beside it only where signalling mechanisms are in the list, and once."""
    assert CARRIER.option_tags(signalling=False) == (MEDIASEC,)
    assert CARRIER.option_tags(signalling=True) == (SEC_AGREE, MEDIASEC)
    assert THREE_GPP.option_tags(signalling=False) == THREE_GPP.option_tags(signalling=True) == (SEC_AGREE,)
