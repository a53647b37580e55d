"""What an agent is told: addresses, accounts, policy."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from imsmediasec.agent.endpoint import Endpoint, TransportProtocol
from imsmediasec.errors import LocalError
from imsmediasec.policy import SecurityPolicy
from imsmediasec.policy_book import PolicyBook
from imsmediasec.registration import CARRIER, AgreementProfile
from imsmediasec.secret import Secret
from imsmediasec.terms import Hop, Scope


class SecureForking(Enum):
    """How the agent, as caller, keeps its SDES key from terminals that do not take the call (B7)."""

    OFFERLESS = "offerless"
    """The INVITE goes out without an offer: each terminal offers its own key, and ours goes to the winner
    alone, in the ACK. No second exchange, no key exposed; no early media."""
    REKEY = "rekey"
    """The INVITE carries an offer; a fresh key follows by UPDATE or re-INVITE. Needs a peer that takes a
    new key within a call."""


@dataclass(frozen=True, kw_only=True)
class Account:
    """Digest credentials for requests that the agent sends by itself (a re-key, a BYE); with `AgentConfig.mediasec` for
    the softphone's too, its registration included."""

    username: str
    password: Secret
    realm: str | None = None
    """None: any realm."""


@dataclass(frozen=True, kw_only=True)
class AgentConfig:
    """Everything an `Agent` needs to know."""

    policy: SecurityPolicy = field(default_factory=SecurityPolicy)
    """For every call, unless there is a `book`."""
    book: PolicyBook | None = None
    """The policy by callee, and on request (4.x.3)."""
    local_host: str = "127.0.0.1"
    local_port: int = 0
    """Where softphones send their SIP: UDP and TCP. 0: any free port."""
    network_host: str = "127.0.0.1"
    network_port: int = 0
    network_protocol: TransportProtocol = TransportProtocol.UDP
    outbound: Endpoint | None = None
    """Next SIP hop for new requests (P-CSCF, registrar, proxy); None: where the Request-URI says."""
    softphone: str | None = None
    """URI of the softphone that takes calls nobody registered for, such as ``sip:alice@127.0.0.1:5070``."""
    signalling: Hop = Hop.UNPROTECTED
    """What is known of the hop to the network. TLS counts as protected by itself."""
    trust_asserted_identity: bool = False
    """P-Asserted-Identity from the `outbound` hop is believed (RFC 3325); from anybody else it never is."""
    secure_forking: SecureForking = SecureForking.OFFERLESS
    media_ports: range = range(0)
    """UDP ports for media on the network side; empty: any."""
    accounts: tuple[Account, ...] = ()
    mediasec: bool = False
    """Agree on protection to the access edge when the softphone registers (`Security-Client: sdes-srtp;mediasec`), as
    some carriers demand. Needs `outbound`, and END_TO_ACCESS_EDGE in the policy's scope."""
    mediasec_profile: AgreementProfile = CARRIER
    """How the network wants it asked for: `CARRIER` (option tag mediasec) or `THREE_GPP` (sec-agree)."""
    ca_file: str | None = None
    verify_tls: bool = True
    allow_other_users: bool = False
    """Let softphones of other users of this machine in. Without it the agent looks who owns the socket."""

    def __post_init__(self) -> None:
        if self.mediasec and Scope.END_TO_ACCESS_EDGE not in self.policy.scope:
            raise LocalError('mediasec needs "e2ae" in the scope of the policy')
        if self.mediasec and self.outbound is None:
            raise LocalError("mediasec needs outbound: the edge that it is agreed with")

    def policy_for(self, uri: str, *, requested: bool = False) -> SecurityPolicy:
        """The policy of a call with `uri`."""
        return self.policy if self.book is None else self.book.policy_for(uri, requested=requested)

    def dialled(self, uri: str) -> tuple[str, bool]:
        """The URI without the prefix that asks for security in this one call, and whether it was there."""
        scheme, colon, rest = uri.partition(":")
        user, at, host = rest.partition("@")
        if self.book is None or not at:
            return uri, False
        user, requested = self.book.take_request(user)
        return f"{scheme}{colon}{user}{at}{host}", requested

    @property
    def hop(self) -> Hop:
        return Hop.PROTECTED if self.network_protocol is TransportProtocol.TLS else self.signalling
