"""`RegistrationServer`: the edge's side of security agreement and capabilities, without I/O (A3, A6, B10).

It says what a P-CSCF answers to a request, what it passes on, and what it keeps. Nothing on the wire
raises: a fault is a rejection in the `Verdict`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from imsmediasec.errors import DowngradeDetected, LocalError, MalformedInput, NoCommonSecurity, RemoteError
from imsmediasec.policy import SecurityPolicy
from imsmediasec.registration.bindings import Headers, contacts_of, expires_of, granted, values_of
from imsmediasec.registration.capabilities import DEFAULT_NAMES, FeatureNames, read_features
from imsmediasec.registration.profile import CARRIER, MEDIASEC, SEC_AGREE, AgreementProfile
from imsmediasec.registration.record import RegistrationRecord
from imsmediasec.registration.server_rules import SERVER_TABLE, Rule, Seen
from imsmediasec.sip.addresses import NameAddr
from imsmediasec.sip.digest import Credentials
from imsmediasec.sip.feature_parameters import FeatureParameters
from imsmediasec.sip.fields import field_key
from imsmediasec.sip.grammar import split
from imsmediasec.sip.headers import parse_option_tags
from imsmediasec.sip.security_agreement import (
    BARRED,
    CLIENT,
    SERVER,
    VERIFY,
    MediaMechanism,
    SecurityMechanism,
    parse_security_mechanisms,
    same_mechanisms,
    write_mechanisms,
)
from imsmediasec.sip.uri import SipUri

_OURS = frozenset(name.lower() for name in (CLIENT, SERVER, VERIFY))
_CONSUMED = frozenset({SEC_AGREE, MEDIASEC})


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerPolicy:
    """What the operator wants (A3)."""

    mechanisms: tuple[MediaMechanism, ...] = (MediaMechanism.SDES_SRTP,)
    """The static list for media, in this order, for everybody."""
    demand: bool = False
    """Refuse requests without the agreement (RFC 3329 2.3.2). Emergency calls pass in any case."""
    profile: AgreementProfile = CARRIER
    list_in_success: bool = False
    """Repeat the list in the 2xx of REGISTER."""
    single_hop: bool = True
    """With `demand`: 502 for a request that has passed another hop (RFC 3329 2.3.2)."""
    names: FeatureNames = DEFAULT_NAMES
    emergency_numbers: tuple[str, ...] = ("112", "911")


@dataclass(frozen=True, kw_only=True, slots=True)
class FlowState:
    """What is to be remembered of one flow between requests; it holds no secret."""

    client: str | None = None
    """The last Security-Client, or None."""
    challenged: bool = False
    """A challenge with our list went out, and no REGISTER has succeeded since."""
    agreed: bool = False
    """The terminal registered with the agreement: Security-Verify is due on every request."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What to do with a request."""

    status: int | None
    """None: pass it on. Otherwise answer with this."""
    headers: tuple[tuple[str, str], ...]
    """Those of the request to pass on, or those to add to the answer."""
    error: RemoteError | DowngradeDetected | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What to do with a response."""

    headers: tuple[tuple[str, str], ...]
    """All that goes on to the terminal."""
    records: tuple[RegistrationRecord, ...] = ()
    """What a 2xx of REGISTER makes of each of its Contacts; expired ones are removals."""
    error: RemoteError | None = None


class RegistrationServer:
    """The edge's side of one flow.

    `signalling_mechanisms`: entries for signalling that go in front of ours, with what is the flow's own, such
    as SPIs. `flow`: what another process remembered; `flow` of the object is what to remember.
    Raises LocalError for an entry for signalling with mediasec.
    """

    def __init__(
        self,
        policy: ServerPolicy,
        *,
        signalling_mechanisms: Sequence[SecurityMechanism] = (),
        flow: FlowState | None = None,
    ) -> None:
        if any(entry.mediasec for entry in signalling_mechanisms):
            raise LocalError("an entry for signalling has no mediasec")
        self.policy = policy
        self.flow = FlowState() if flow is None else flow
        media = (f"{mechanism.value};mediasec" for mechanism in policy.mechanisms)
        self._list = (*signalling_mechanisms, *map(SecurityMechanism.parse, media))
        self._tags = policy.profile.option_tags(signalling=bool(signalling_mechanisms))

    def receive_request(self, *, method: str, headers: Headers, target: str = "") -> Verdict:
        """Judge a request from the terminal. `target`: its Request-URI."""
        passed = Verdict(status=None, headers=tuple(_stripped_request(headers)))
        try:
            if method in BARRED or self._is_emergency(method, headers, target):
                return passed
            if self.policy.demand and self.policy.single_hop and _hops(headers) > 1:
                error = RemoteError("not the first hop", clause="RFC 3329 2.3.2", sip_status_hint=502)
                return Verdict(status=502, headers=(), error=error)
            register = method == "REGISTER"
            client = parse_security_mechanisms(values_of(headers, CLIENT))
            seen = self._seen(headers, client)
            if register:
                _check_register(headers)
            rule = SERVER_TABLE[register, seen, self.policy.demand or (self.flow.agreed and not register)]
            if rule is not Rule.PASS:
                return self._rejected(rule, seen)
            if register and client:
                self._remember(client, verified=seen is Seen.VERIFIED)
        except MalformedInput as error:
            return Verdict(status=400, headers=(), error=error)
        except DowngradeDetected as error:
            self.flow = FlowState()
            return Verdict(status=400, headers=(), error=error)
        return passed

    def receive_response(self, *, method: str, status: int, headers: Headers, request: Headers, now: float) -> Outcome:
        """Take the response to a request that was passed on. `request`: its headers as they came from the terminal."""
        kept = [(name, value) for name, value in headers if field_key(name) not in _OURS]
        if method != "REGISTER" or status < 200:
            return Outcome(headers=tuple(kept))
        if status in (401, 407) and self.flow.client is not None:
            self.flow = replace(self.flow, challenged=True)
            return Outcome(headers=(*kept, *self._list_lines()))
        if status >= 300:
            return Outcome(headers=tuple(kept))
        listed = self._list_lines() if self.policy.list_in_success and self.flow.client is not None else ()
        try:
            records = self._records(request, headers, now)
        except MalformedInput as error:
            return Outcome(headers=(*kept, *listed), error=error)
        self.flow = replace(self.flow, challenged=False)
        if records:  # a REGISTER without Contact only asks
            active = any(record.active(now) for record in records)
            self.flow = replace(self.flow, agreed=active and self.flow.client is not None)
        return Outcome(headers=(*kept, *listed), records=records)

    def _seen(self, headers: Headers, client: Sequence[SecurityMechanism]) -> Seen:
        verify = values_of(headers, VERIFY)
        if verify:
            try:
                mirrored = same_mechanisms(parse_security_mechanisms(verify), self._list)
            except MalformedInput:  # certainly not our list; 494 tells what it is
                mirrored = False
            return Seen.VERIFIED if mirrored else Seen.MISMATCH
        if client:
            return Seen.UNVERIFIED if _has_credentials(headers) else Seen.OFFER
        if _tags(headers, "Require", "Proxy-Require") & _CONSUMED:
            return Seen.ASKED
        return Seen.SUPPORTED if _tags(headers, "Supported") & _CONSUMED else Seen.NOTHING

    def _rejected(self, rule: Rule, seen: Seen) -> Verdict:
        status = int(rule.value)
        error: RemoteError | DowngradeDetected
        if seen is Seen.MISMATCH:
            error = DowngradeDetected(
                "Security-Verify is not our list", clause="RFC 3329 2.3.1", sip_status_hint=status
            )
        else:
            error = NoCommonSecurity("no security agreement", clause="RFC 3329 2.3", sip_status_hint=status)
        demanded = seen in (Seen.NOTHING, Seen.SUPPORTED)
        requires = tuple(("Require", tag) for tag in self._tags) if demanded else ()
        return Verdict(status=status, headers=(*self._list_lines(), *requires), error=error)

    def _remember(self, client: Sequence[SecurityMechanism], *, verified: bool) -> None:
        """Raises DowngradeDetected if Security-Client changed between challenge and answer."""
        if verified and self.flow.challenged and self.flow.client is not None:
            before = parse_security_mechanisms([self.flow.client])
            if not same_mechanisms(before, client):
                raise DowngradeDetected(
                    "Security-Client changed after the challenge", clause="TS 24.229 5.1.1.5.1", sip_status_hint=400
                )
        self.flow = replace(self.flow, client=write_mechanisms(client), challenged=self.flow.challenged and verified)

    def _list_lines(self) -> tuple[tuple[str, str], ...]:
        return tuple((SERVER, str(entry)) for entry in self._list)

    def _is_emergency(self, method: str, headers: Headers, target: str) -> bool:
        if method != "REGISTER":
            return SecurityPolicy(emergency_numbers=self.policy.emergency_numbers).is_emergency(target)
        uris = (NameAddr.parse(value).uri for value in contacts_of(headers) if value != "*")
        return any(isinstance(uri, SipUri) and uri.parameters.has("sos") for uri in uris)

    def _records(self, request: Headers, response: Headers, now: float) -> tuple[RegistrationRecord, ...]:
        aor = _check_register(request)
        announced = parse_security_mechanisms([] if self.flow.client is None else [self.flow.client])
        theirs = {entry.media_mechanism for entry in announced}
        lifetimes = granted(response)
        found: list[RegistrationRecord] = []
        for value in contacts_of(request):
            if value == "*":
                found.append(RegistrationRecord(aor=aor, contact=value, expires_at=now))
                continue
            contact = NameAddr.parse(value)
            features = _features(value)
            capabilities, preferences = read_features(features, self.policy.names)
            asked = expires_of(contact, request)
            found.append(
                RegistrationRecord(
                    aor=aor,
                    contact=str(contact.uri),
                    terminal=features.string("+sip.instance") or "",
                    mechanisms=tuple(own for own in self.policy.mechanisms if own in theirs),
                    capabilities=capabilities,
                    preferences=preferences,
                    expires_at=now + (lifetimes.get(str(contact.uri), 0) if asked else 0),
                )
            )
        return tuple(found)


def _check_register(headers: Headers) -> str:
    """URI of To. `MalformedInput` if To, a Contact or an expiry cannot be read."""
    recipients = values_of(headers, "To")
    if len(recipients) != 1:
        raise MalformedInput("not exactly one To", clause="RFC 3261 8.1.1")
    for value in contacts_of(headers):
        expires_of(None if value == "*" else NameAddr.parse(value), headers)
    return str(NameAddr.parse(recipients[0]).uri)


def _features(contact: str) -> FeatureParameters:
    """What a Contact says of itself; nothing if its features, whosever they are, break the grammar."""
    try:
        return FeatureParameters.parse(contact)
    except MalformedInput:
        return FeatureParameters.parse("*")


def _has_credentials(headers: Headers) -> bool:
    """Whether a challenge was answered. The first REGISTER in IMS has Authorization with an empty response."""
    for value in (*values_of(headers, "Authorization"), *values_of(headers, "Proxy-Authorization")):
        try:
            if Credentials.parse(value).response:
                return True
        except MalformedInput:
            continue
    return False


def _tags(headers: Headers, *names: str) -> set[str]:
    return {tag.lower() for name in names for tag in parse_option_tags(values_of(headers, name))}


def _hops(headers: Headers) -> int:
    return sum(len(split(value)) for value in values_of(headers, "Via"))


def _stripped_request(headers: Headers) -> list[tuple[str, str]]:
    """Without the three headers and the option tags that end here; a field that is left empty goes."""
    kept: list[tuple[str, str]] = []
    for name, value in headers:
        key = field_key(name)
        if key in _OURS:
            continue
        if key in ("require", "proxy-require"):
            tags = [tag.strip() for tag in value.split(",")]
            left = [tag for tag in tags if tag.lower() not in _CONSUMED]
            if not any(left):
                continue
            if len(left) != len(tags):
                value = ", ".join(left)
        kept.append((name, value))
    return kept
