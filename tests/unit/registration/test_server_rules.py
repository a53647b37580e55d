"""registration/server_rules.py: the table is whole, and lets nothing through that has not verified."""

import itertools

from imsmediasec.registration.server_rules import SERVER_TABLE, Rule, Seen


def test_every_case_has_a_row() -> None:
    assert set(SERVER_TABLE) == set(itertools.product((True, False), Seen, (True, False)))


def test_where_the_agreement_is_demanded_only_a_mirror_of_our_list_passes() -> None:
    """But for the first round of a REGISTER, which the registrar challenges (RFC 3329 2.3.1)."""
    passing = {key for key, rule in SERVER_TABLE.items() if rule is Rule.PASS and key[2]}
    assert passing == {(True, Seen.OFFER, True), (True, Seen.VERIFIED, True), (False, Seen.VERIFIED, True)}


def test_a_wrong_mirror_never_passes() -> None:
    """Not even where nothing is demanded: somebody may have changed the list (RFC 3329 2.3.2)."""
    wrong = (Seen.MISMATCH, Seen.UNVERIFIED, Seen.ASKED)
    assert {rule for key, rule in SERVER_TABLE.items() if key[1] in wrong} == {Rule.AGREEMENT_REQUIRED}


def test_statuses() -> None:
    assert (Rule.EXTENSION_REQUIRED.value, Rule.AGREEMENT_REQUIRED.value) == (421, 494)
