"""Who was sent which key."""

from imsmediasec.negotiation.ledger import Disclosure, KeyLedger
from imsmediasec.sdp.crypto import CryptoAttribute
from imsmediasec.terms import Hop

ONE = f"1 X inline:{'A' * 40}|1:1"
TWO = f"1 X inline:{'A' * 40}|1:1;inline:{'B' * 40}|2:1"
INVITE = Disclosure(dialog=None, hop=Hop.PROTECTED)
IN_DIALOG = Disclosure(dialog="d", hop=Hop.UNPROTECTED)


def line(text: str) -> CryptoAttribute:
    return CryptoAttribute.parse_value(text)


def test_a_key_is_its_octets() -> None:
    """The same octets in another line, with another tag, MKI or lifetime, have the same history."""
    ledger = KeyLedger()
    first = line(ONE)
    ledger.record(first, INVITE)
    ledger.record(first, INVITE)
    again = line(f"7 X inline:{'A' * 40}|2^20|9:4")
    assert ledger.disclosures(again) == [INVITE]
    ledger.record(again, IN_DIALOG)
    assert ledger.disclosures(first) == [INVITE, IN_DIALOG]
    assert ledger.disclosures(line(f"1 X inline:{'C' * 40}")) == []


def test_any_key_of_a_line_counts() -> None:
    """A line with one key from the INVITE is shared."""
    ledger = KeyLedger()
    ledger.record(line(ONE), INVITE)
    assert ledger.stood_in_invite(line(TWO))
    assert not ledger.stood_in_invite(line(f"1 X inline:{'B' * 40}"))
    ledger.record(line(f"1 X inline:{'B' * 40}"), IN_DIALOG)
    assert not ledger.stood_in_invite(line(f"1 X inline:{'B' * 40}"))
