"""The agent: loopback SIP and media in front of a softphone, protected towards the network."""

from imsmediasec.agent.agent import Agent, AgentThread
from imsmediasec.agent.config import Account, AgentConfig, SecureForking
from imsmediasec.agent.endpoint import Endpoint, TransportProtocol
from imsmediasec.agent.observer import NoObserver, Observer

__all__ = [
    "Account",
    "Agent",
    "AgentConfig",
    "AgentThread",
    "Endpoint",
    "NoObserver",
    "Observer",
    "SecureForking",
    "TransportProtocol",
]
