"""`Registration`: the terminal's side of security agreement and capabilities, without I/O (A4–A6, B10).

`request_headers` says what to add to a request; `receive_response` takes each response. A misuse raises
`LocalError`. A fault on the wire never raises: it becomes the event `RegistrationFailed`, and what held
before still holds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from imsmediasec import errors
from imsmediasec.errors import LocalError, MediaSecurityError, NoCommonSecurity, PeerMisbehaved
from imsmediasec.policy import SecurityPolicy
from imsmediasec.policy_book import PolicyBook
from imsmediasec.registration import capabilities
from imsmediasec.registration.announcement import Announcement
from imsmediasec.registration.bindings import Headers, contact_uri, lifetime, values_of
from imsmediasec.registration.capabilities import EndToEndPreferences, FeatureNames
from imsmediasec.registration.events import (
    RegistrationChanged,
    RegistrationEvent,
    RegistrationFailed,
    RegistrationStatus,
    RetryRequest,
)
from imsmediasec.registration.profile import CARRIER, AgreementProfile
from imsmediasec.registration.rounds import BINDING_TABLE, ROUND_TABLE, Binding, BindingInput, Round, RoundInput
from imsmediasec.registration.server_list import ServerList
from imsmediasec.sip.headers import parse_option_tags
from imsmediasec.sip.security_agreement import (
    BARRED,
    CLIENT,
    SERVER,
    VERIFY,
    MediaMechanism,
    SecurityMechanism,
    parse_security_mechanisms,
    write_mechanisms,
)

MAX_ROUNDS = 5
"""So many 401, 407, 421 and 494 in a row, without any other outcome, end the attempt."""


class Registration:
    """The registration of one terminal over one flow.

    `policy`: the user's; of a book its default, with the preferences that the book says. `profile`: how the
    network wants it. `mechanisms`: what the terminal can run to the access edge; without, what the policy's
    key management says. `signalling_mechanisms`: entries for signalling to announce beside, such as
    ipsec-3gpp; choosing and running one is the caller's. `names`: of the feature parameters, None: none are
    sent. `contact`: the URI that is registered, to find it in a 2xx that lists several.
    Raises LocalError as `Announcement`, and for a `contact` that is no URI.
    """

    def __init__(
        self,
        policy: SecurityPolicy | PolicyBook,
        *,
        profile: AgreementProfile = CARRIER,
        mechanisms: Sequence[MediaMechanism] | None = None,
        signalling_mechanisms: Sequence[SecurityMechanism] = (),
        preferences: EndToEndPreferences | None = None,
        names: FeatureNames | None = capabilities.DEFAULT_NAMES,
        contact: str = "",
    ) -> None:
        self.policy = policy if isinstance(policy, SecurityPolicy) else policy.default.policy
        self._announced = Announcement(
            self.policy, profile=profile, mechanisms=mechanisms, signalling_mechanisms=signalling_mechanisms
        )
        self._preferences = EndToEndPreferences.of(policy) if preferences is None else preferences
        self._names = names
        self._contact = contact_uri(contact)
        self._round, self._binding = Round.IDLE, Binding.UNREGISTERED
        self._list = ServerList()
        self._expires_at: float | None = None
        self._verified = False
        self._attempts: dict[bool, int] = {}
        self._events: deque[RegistrationEvent] = deque()
        self._reported = self.status

    def next_event(self) -> RegistrationEvent | None:
        """The oldest event not taken yet, or None."""
        return self._events.popleft() if self._events else None

    @property
    def status(self) -> RegistrationStatus:
        """What is registered and agreed now."""
        registered = self._binding is Binding.REGISTERED
        theirs = {entry.media_mechanism for entry in self._list.entries}
        return RegistrationStatus(
            registered=registered,
            expires_at=self._expires_at,
            mechanisms=tuple(own for own in self._announced.mechanisms if registered and own in theirs),
            server_mechanisms=self._list.entries,
            verified=registered and self._verified,
        )

    @property
    def contact_parameters(self) -> str:
        """What to put behind the Contact of each REGISTER (B10): ";name=value" …, or ""."""
        if self._names is None:
            return ""
        return capabilities.write_features(
            capabilities.EndToEndCapabilities.of(self.policy), self._preferences, self._names
        )

    def announce_signalling(self, entries: Sequence[SecurityMechanism]) -> None:
        """Other entries for signalling from the next REGISTER on, such as new SPIs for a renewal.

        Raises LocalError between challenge and answer, where the list must not change (TS 24.229 5.1.1.5.1),
        and as `Announcement.set_signalling`.
        """
        if self._round is Round.CHALLENGED:
            raise LocalError("Security-Client stays the same after a challenge", clause="TS 24.229 5.1.1.5.1")
        self._announced.set_signalling(entries)

    def request_headers(
        self, *, method: str, now: float, policy: SecurityPolicy | None = None, target: str = ""
    ) -> list[tuple[str, str]]:
        """The headers to add to a new request of this method; none in ACK, CANCEL and PRACK.

        For an INVITE: `policy` is that of the call, `target` whom it is for. Where the call must be protected
        end to end, Accept-Contact keeps it from other terminals; emergency calls are never narrowed.
        """
        self.handle_timeout(now)
        if method in BARRED:
            return []
        headers = self._security_headers(method)
        if method == "INVITE" and policy is not None and self._names is not None and not policy.is_emergency(target):
            wanted = capabilities.accept_contact(policy, self._names)
            headers += [] if wanted is None else [("Accept-Contact", wanted)]
        return headers

    def restart(self, *, now: float, trust_new_list: bool = False) -> None:
        """Begin anew: the flow was lost, or the application gives a failed one another try.

        `trust_new_list`: the next list may be shorter than those known, as with another P-CSCF.
        """
        self._step(RoundInput.RESTART)
        self._unbind(BindingInput.RESTART)
        if trust_new_list:
            self._list = ServerList()
        self._changed()

    def request_lost(self, *, method: str, now: float) -> None:
        """No final response came. A lost REGISTER starts the round over; a binding lives on until it expires."""
        self.handle_timeout(now)
        self._attempts.clear()
        if method == "REGISTER":
            self._step(RoundInput.LOST)
            self._changed()

    def next_timeout(self) -> float | None:
        """When `handle_timeout` is due, or None."""
        return self._expires_at

    def handle_timeout(self, now: float) -> None:
        """Let the binding expire if it is time; otherwise nothing happens."""
        if self._expires_at is not None and now >= self._expires_at:
            self._unbind(BindingInput.EXPIRED)
            self._changed()

    def receive_response(self, *, method: str, status: int, headers: Headers, now: float) -> None:
        """Take a response with all its header fields, in order, duplicates kept. Provisional ones change nothing.

        Raises LocalError for a status that is none.
        """
        if not 100 <= status <= 699:
            raise LocalError("a SIP status is 100 to 699")
        self.handle_timeout(now)
        if status < 200 or method in BARRED:
            return
        try:
            if status in (421, 494):
                self._agreement_required(method, status, headers)
            elif method != "REGISTER":
                self._attempts.pop(False, None)
            elif status in (401, 407):
                self._challenge(status, headers)
            elif status < 300:
                self._success(headers, now)
            elif status == 420 and {*parse_option_tags(values_of(headers, "Unsupported"))} & {
                *self._announced.option_tags
            }:
                self._unsupported()
            else:
                self._refused(status)
        except MediaSecurityError as error:
            self._attempts.clear()
            self._events.append(RegistrationFailed(error=error, method=method, status=status))
        self._changed()

    def _agreement_required(self, method: str, status: int, headers: Headers) -> None:
        listed = parse_security_mechanisms(values_of(headers, SERVER))
        if not listed:
            raise PeerMisbehaved(f"{status} without Security-Server", clause="RFC 3329 2.3.1")
        if not self._announced.client:
            raise NoCommonSecurity("the network demands an agreement, and the policy announces nothing")
        self._attempt(method, NoCommonSecurity("the network refuses its own list", clause="RFC 3329 2.3.1"))
        self._take(listed, complete=True)
        if method == "REGISTER":
            self._step(RoundInput.AGREEMENT_REQUIRED)
        self._retry(method, status)

    def _challenge(self, status: int, headers: Headers) -> None:
        listed = parse_security_mechanisms(values_of(headers, SERVER))
        self._attempt("REGISTER", errors.AuthenticationFailed("no credentials are accepted", clause="RFC 3261 22.2"))
        if listed and self._round is not Round.PLAIN:
            self._take(listed, complete=True)
        self._step(RoundInput.CHALLENGE)
        self._retry("REGISTER", status)

    def _success(self, headers: Headers, now: float) -> None:
        listed = parse_security_mechanisms(values_of(headers, SERVER))
        seconds = lifetime(headers, self._contact)
        mirrored = self._list.entries
        if self._round is not Round.PLAIN:  # nothing was announced, so nothing is agreed
            self._take(listed, complete=False)
        self._attempts.clear()
        self._step(RoundInput.SUCCESS)
        if not seconds:
            self._unbind(BindingInput.REMOVED)
            return
        self._binding = BINDING_TABLE[self._binding, BindingInput.REGISTERED]
        self._expires_at = now + seconds
        self._verified = bool(mirrored) and mirrored == self._list.entries
        if self._announced.needed and not self.status.mechanisms:
            raise NoCommonSecurity("the access edge can protect no media in a way that this side can")

    def _unsupported(self) -> None:
        if self._announced.needed or self._list.entries:
            raise NoCommonSecurity("the network does not know the security agreement", clause="RFC 3261 21.4.15")
        self._step(RoundInput.UNSUPPORTED)
        self._retry("REGISTER", 420)

    def _refused(self, status: int) -> None:
        self._attempts.clear()
        self._step(RoundInput.REFUSED)
        kind = errors.AuthenticationFailed if status == 403 else errors.RemoteError
        raise kind(f"the network refuses the registration with {status}", clause="RFC 3261 10.2.7")

    def _security_headers(self, method: str) -> list[tuple[str, str]]:
        client = self._announced.client
        if not client or self._round is Round.PLAIN:
            return []
        headers: list[tuple[str, str]] = []
        if method == "REGISTER" and self._sends_client():
            headers.append((CLIENT, write_mechanisms(client)))
        if self._list.entries:
            headers.append((VERIFY, write_mechanisms(self._list.entries)))
        if headers:
            headers += [(name, tag) for name in ("Require", "Proxy-Require") for tag in self._announced.option_tags]
        return headers

    def _sends_client(self) -> bool:
        if self._round is Round.IDLE:
            return self._binding is Binding.UNREGISTERED or self._announced.profile.client_on_renewal
        return self._round is Round.CHALLENGED

    def _attempt(self, method: str, error: MediaSecurityError) -> None:
        register = method == "REGISTER"
        self._attempts[register] = self._attempts.get(register, 0) + 1
        if self._attempts[register] > MAX_ROUNDS:
            raise error

    def _take(self, listed: Sequence[SecurityMechanism], *, complete: bool) -> None:
        before = self._list.entries
        self._list = self._list.updated(listed, complete=complete)
        self._verified = self._verified and self._list.entries == before

    def _retry(self, method: str, status: int) -> None:
        headers = tuple(self._security_headers(method))
        self._events.append(RetryRequest(method=method, status=status, headers=headers))

    def _step(self, step: RoundInput) -> None:
        after = ROUND_TABLE.get((self._round, step))
        if after is None:
            raise PeerMisbehaved("420 to a request without the extension", clause="RFC 3261 21.4.15")
        self._round = after
        if self._round is Round.IDLE and step is not RoundInput.SUCCESS and self._binding is Binding.UNREGISTERED:
            self._list = self._list.forgotten()

    def _unbind(self, step: BindingInput) -> None:
        self._binding = BINDING_TABLE[self._binding, step]
        self._expires_at, self._verified = None, False
        if self._round in (Round.IDLE, Round.PLAIN):
            self._list = self._list.forgotten()

    def _changed(self) -> None:
        status = self.status
        if (status.registered or self._reported.registered) and status != self._reported:
            self._events.append(RegistrationChanged(status=status))
        self._reported = status
