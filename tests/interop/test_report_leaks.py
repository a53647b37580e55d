"""No key in anything that observers, statuses, journals and reports of a real call show (tests/test_no_leaks.py)."""

from __future__ import annotations

from imsmediasec.agent.config import Account
from imsmediasec.secret import Secret

from ..test_no_leaks import Vault, vault  # noqa: F401  # the fixture
from .agents import TestAgent
from .conftest import Lab
from .test_report_chromium import Reporter


def test_agent_calls(vault: Vault, lab: Lab) -> None:  # noqa: F811
    """A call between two agents, from the first message to the last, with DEBUG logging."""
    account = Account(username="alice", password=Secret(b"correct horse"))
    witnesses = [Reporter(lab.folder / name) for name in ("reports-a", "reports-b")]
    alice = lab.start(TestAgent, witness=witnesses[0], accounts=(account,))
    bob = lab.start(TestAgent, witness=witnesses[1])
    phones = [lab.pjsua("alice", srtp=0, outbound=alice.proxy), lab.pjsua("bob", srtp=0, outbound=bob.proxy)]
    bob.agent.core.contacts.add("bob", phones[1].contact)
    phones[0].call(f"sip:bob@{bob.network}")
    for witness in witnesses:
        witness.wait_confirmed()
    for agent in (alice, bob):
        for call in agent.witness.calls:
            vault.look(call)
            vault.look(call.negotiation)
            vault.look(vars(call.negotiation))
        vault.look(agent.agent.config)
    phones[0].hangup()
    for witness in witnesses:
        witness.wait(lambda w: w.ended)
        for event in witness.events:
            vault.look(event)
        for journal in witness.journals:
            vault.look(journal)
        vault.texts += [report.read_text() for report in witness.reports]
    assert len(vault.secrets) >= 8
    vault.check()
