"""`Registering`: the security agreement around all that the agent sends to the network (A4, A6; RFC 3329, mediasec).

The softphone registers as ever and sees none of it. What the network wants again with other headers (494, 421),
or with credentials that the agent has (401, 407), is sent again from here, with a CSeq number of its own.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from imsmediasec.agent.client_transaction import ClientTransaction
from imsmediasec.agent.config import Account
from imsmediasec.agent.endpoint import Endpoint, TransportProtocol
from imsmediasec.agent.sip_dialog import Face, dialog_key, sequence_of, tag_of
from imsmediasec.errors import DowngradeDetected, LocalError, MediaSecurityError
from imsmediasec.policy_book import bare_uri
from imsmediasec.registration import Registration, RegistrationFailed, RegistrationStatus, RetryRequest
from imsmediasec.sip import NameAddr, SipMessage, parse_option_tags
from imsmediasec.sip.digest import Challenge, authorization, best_challenge
from imsmediasec.sip.security_agreement import CLIENT, SERVER, VERIFY, MediaMechanism
from imsmediasec.status import Identity
from imsmediasec.terms import IdentitySource

if TYPE_CHECKING:
    from imsmediasec.agent.b2bua import BackToBack

_log = logging.getLogger(__name__)

MAX_REGISTRATIONS = 1000
MAX_SENDS = 8
"""Times that one request is sent, the first one counted."""
_MAX_NUMBERS = 1000

OnResponse = Callable[[ClientTransaction, SipMessage, bool], None]


@dataclass(kw_only=True, eq=False)
class _Sending:
    """One request of the core, however often it goes out."""

    request: SipMessage
    """Without what the agreement adds."""
    hop: Endpoint
    on_response: OnResponse
    registration: Registration | None
    client: ClientTransaction | None = None
    """The newest transaction."""
    challenges: dict[str, tuple[Challenge, Account]] = field(default_factory=dict)
    """What we answer ourselves, by the header that does it."""
    sends: int = 0


class Registering:
    """All registrations of one agent. Belongs to the event loop's thread."""

    def __init__(self, core: BackToBack, clock: Callable[[], float] = time.time) -> None:
        self._core = core
        self._config = core.config
        self._clock = clock
        self._registrations: dict[str, Registration] = {}
        self._numbers: OrderedDict[str, int] = OrderedDict()
        """The last CSeq number outside dialogs by Call-ID, where the agent has sent something again."""
        self._nonces: OrderedDict[tuple[str, str], int] = OrderedDict()
        """How often each nonce was used, by realm."""

    @property
    def statuses(self) -> dict[str, RegistrationStatus]:
        """By address of record."""
        return {aor: registration.status for aor, registration in self._registrations.items()}

    def access_edge(self, identity: str) -> Identity | None:
        """Who may end the protection of calls of this user at the edge; None if the registration agreed on nobody."""
        registration = self._known(identity)
        hop = self._config.outbound
        if registration is None or hop is None:
            return None
        registration.handle_timeout(self._clock())
        if MediaMechanism.SDES_SRTP not in registration.status.mechanisms:
            return None
        host = f"[{hop.host}]" if ":" in hop.host else hop.host
        certified = hop.protocol is TransportProtocol.TLS and self._config.verify_tls
        return Identity(
            uri=f"sip:{host}:{hop.port};transport={hop.protocol.value.lower()}",
            source=IdentitySource.CERTIFICATE if certified else IdentitySource.NONE,
        )

    def send(self, request: SipMessage, hop: Endpoint, on_response: OnResponse) -> ClientTransaction:
        """Send with what the agreement asks for. Only responses that the core has to see come back."""
        request = request.copy()
        for name in (CLIENT, VERIFY):  # this hop is ours
            request.remove(name)
        known = self._numbers.get(request.get("Call-ID") or "")
        if known is not None and not tag_of(request, "To"):
            self._number(request, max(known + 1, sequence_of(request)))
        registration = self._begun(request) if request.method == "REGISTER" else self._known(_uri(request, "From"))
        return self._transmit(_Sending(request=request, hop=hop, on_response=on_response, registration=registration))

    # Out

    def _transmit(self, sending: _Sending) -> ClientTransaction:
        out = sending.request.copy()
        if sending.registration is not None:
            for name, value in sending.registration.request_headers(method=out.method, now=self._clock()):
                if name in (CLIENT, VERIFY) or value not in parse_option_tags(out.get_all(name)):
                    out.append(name, value)
        for name, (challenge, account) in sending.challenges.items():
            out.remove(name)
            out.append(name, self._credentials(challenge, account, out))
        sending.sends += 1
        before = sending.client

        def responded(client: ClientTransaction, response: SipMessage, made_here: bool) -> None:
            self._responded(sending, client, response, made_here)

        client = sending.client = self._core.transmit(Face.NETWORK, out, sending.hop, responded)
        if before is not None:
            before.successor = client
        return client

    def _again(self, sending: _Sending) -> bool:
        """Send it once more, as a new request. False if that makes no sense any more."""
        if sending.sends >= MAX_SENDS or (sending.client is not None and sending.client.cancelled):
            return False
        old = sequence_of(sending.request)
        dialog = self._core.dialogs.get(dialog_key(sending.request, Face.PHONE, request=True))
        if dialog is not None:
            half = dialog.half(Face.NETWORK)
            new = half.next_number()
            half.numbers.update({theirs: new for theirs, ours in half.numbers.items() if ours == old})
            sending.request.set("CSeq", f"{new} {sending.request.method}")
        else:
            self._number(sending.request, old + 1)
        self._transmit(sending)
        return True

    def _number(self, request: SipMessage, number: int) -> None:
        request.set("CSeq", f"{number} {request.method}")
        call_id = request.get("Call-ID") or ""
        self._numbers[call_id] = max(number, self._numbers.pop(call_id, 0))
        if len(self._numbers) > _MAX_NUMBERS:
            self._numbers.popitem(last=False)

    def _credentials(self, challenge: Challenge, account: Account, request: SipMessage) -> str:
        key = challenge.realm, challenge.nonce
        count = self._nonces[key] = self._nonces.pop(key, 0) + 1
        if len(self._nonces) > _MAX_NUMBERS:
            self._nonces.popitem(last=False)
        return str(
            authorization(
                challenge,
                username=account.username,
                password=account.password,
                method=request.method,
                uri=request.uri,
                cnonce=secrets.token_hex(8),
                nonce_count=count,
                body=request.body,
            )
        )

    def _account(self, challenge: Challenge) -> Account | None:
        return next((one for one in self._config.accounts if one.realm in (None, challenge.realm)), None)

    # In

    def _responded(self, sending: _Sending, client: ClientTransaction, response: SipMessage, made_here: bool) -> None:
        wanted = self._judge(sending, response, made_here)
        if isinstance(wanted, MediaSecurityError):
            _log.warning("%s %d: %s", sending.request.method, response.status, wanted)
            if response.status in (421, 494) or (isinstance(wanted, DowngradeDetected) and response.status >= 300):
                response = _refusal(client, wanted)
        elif (wanted or self._answers(sending, response)) and self._again(sending):
            self._core.observer.sip(Face.NETWORK, incoming=True, message=response)
            return
        elif response.status in (421, 494):
            response = _refusal(client, LocalError("the network goes on asking for a security agreement"))
        response.remove(SERVER)
        sending.on_response(client, response, made_here)

    def _judge(self, sending: _Sending, response: SipMessage, made_here: bool) -> bool | MediaSecurityError:
        """What the registration makes of a response: a fault, or whether the agreement asks for it again."""
        registration, method, now = sending.registration, sending.request.method, self._clock()
        if registration is None or response.status < 200:
            return False
        if made_here:
            registration.request_lost(method=method, now=now)
        else:
            registration.receive_response(method=method, status=response.status, headers=response.headers, now=now)
        again: bool | MediaSecurityError = False
        while (event := registration.next_event()) is not None:
            if isinstance(event, RegistrationFailed):
                again = event.error
            elif isinstance(event, RetryRequest):
                again = event.status not in (401, 407)  # those take credentials too
            else:
                agreed = ", ".join(mechanism.value for mechanism in event.status.mechanisms)
                _log.info("registered: %s, agreed: %s", event.status.registered, agreed or "nothing")
        return again

    def _answers(self, sending: _Sending, response: SipMessage) -> bool:
        """Whether we have what answers this challenge; it is prepared then."""
        if response.status not in (401, 407):
            return False
        proxy = response.status == 407
        challenge = best_challenge(response.get_all("Proxy-Authenticate" if proxy else "WWW-Authenticate"))
        account = self._account(challenge) if challenge is not None else None
        if challenge is None or account is None:
            return False
        name = "Proxy-Authorization" if proxy else "Authorization"
        if name in sending.challenges and not challenge.stale:
            return False  # it was answered, and the answer is wrong
        sending.challenges[name] = challenge, account
        return True

    # Registrations

    def _begun(self, register: SipMessage) -> Registration:
        """The registration that a REGISTER is for, a new one at need. Raises LocalError."""
        aor = bare_uri(_uri(register, "To"))
        registration = self._registrations.get(aor)
        if registration is None:
            if len(self._registrations) >= MAX_REGISTRATIONS:
                raise LocalError("too many registrations", sip_status_hint=503)
            contact = next((v for v in register.get_list("Contact") if v.strip() != "*"), "")
            registration = self._registrations[aor] = Registration(
                self._config.policy,
                profile=self._config.mediasec_profile,
                mechanisms=(MediaMechanism.SDES_SRTP,),
                names=None,
                contact=str(NameAddr.parse(contact).uri) if contact else "",
            )
        return registration

    def _known(self, identity: str) -> Registration | None:
        """The registration of this user; the only one there is, if the address is another form of it."""
        registration = self._registrations.get(bare_uri(identity))
        if registration is None and len(self._registrations) == 1:
            (registration,) = self._registrations.values()
        return registration


def _uri(message: SipMessage, name: str) -> str:
    return str(NameAddr.parse(message.get(name) or "").uri)


def _refusal(client: ClientTransaction, error: MediaSecurityError) -> SipMessage:
    """What the softphone sees in place of a response that speaks of the agreement."""
    status = 487 if client.cancelled else 403
    text = error.reason.encode("ascii", "replace").decode().replace("\\", "'").replace('"', "'")
    response = SipMessage.response_to(
        client.request, status, to_tag=secrets.token_hex(8), headers=[("Warning", f'399 imsmediasec "{text[:200]}"')]
    )
    response.remove_item("Via")
    return response
