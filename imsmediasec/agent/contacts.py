"""Contact on its way through the agent: each side is to send to the agent, not past it."""

from __future__ import annotations

from dataclasses import replace

from imsmediasec.agent.config import AgentConfig
from imsmediasec.agent.endpoint import Endpoint, TransportProtocol
from imsmediasec.agent.passing import endpoint_of
from imsmediasec.agent.sip_dialog import Face
from imsmediasec.errors import LocalError, MalformedInput
from imsmediasec.sip import NameAddr, Parameters, SipMessage, SipUri, parse_uri

MAX_PHONES = 1000
MAX_CONTACTS = 50
"""In one message. Each is replaced by itself."""


class Contacts:
    """Which softphone stands behind which user part, and what our own Contact looks like on each face."""

    def __init__(self, config: AgentConfig) -> None:
        self._config = config
        self._phones: dict[str, tuple[str, Endpoint | None]] = {}
        self.addresses: dict[Face, tuple[str, int]] = {}
        """Host and port that we listen on."""

    def learn(self, request: SipMessage, source: Endpoint) -> None:
        """Note where the softphone is that sent this REGISTER or INVITE."""
        for value in request.get_list("Contact"):
            if value.strip() == "*":
                continue
            uri = NameAddr.parse(value).uri
            user = uri.user or "" if isinstance(uri, SipUri) else None
            if user is not None and (user in self._phones or len(self._phones) < MAX_PHONES):
                self._phones[user] = (str(uri), source if source.flow is not None else None)

    def add(self, user: str, uri: str) -> None:
        """A softphone that need not register to be called."""
        self._phones[user] = (uri, None)

    def phone_for(self, request: SipMessage) -> tuple[str, Endpoint]:
        """URI and hop of the softphone that a request from the network is for. Raises LocalError (404)."""
        uri = parse_uri(request.uri)
        user = uri.user or "" if isinstance(uri, SipUri) else ""
        known = self._phones.get(user)
        if known is None and self._config.softphone is not None:
            known = (self._config.softphone, None)
        if known is None and len(self._phones) == 1:
            known = next(iter(self._phones.values()))
        if known is None:
            raise LocalError("no softphone is known for this user", sip_status_hint=404)
        return known[0], known[1] or endpoint_of(known[0])

    def flow_of(self, uri: str) -> Endpoint | None:
        """The connection that the softphone with this Contact came over, if it did."""
        for known, flow in self._phones.values():
            if known == uri:
                return flow
        return None

    def exchange(self, message: SipMessage, face: Face, *, keep: bool = False) -> None:
        """Put our own address into the Contacts of a message that goes out on `face`.

        `keep`: leave them (targets of a 3xx). In a response to REGISTER a binding that is ours becomes
        the softphone's own again, so that it recognizes it.
        """
        if keep or not message.has("Contact"):
            return
        bindings = not message.is_request and message.method == "REGISTER"
        values = message.get_list("Contact")
        _check_number(values)
        for index, value in enumerate(values):
            if value.strip() == "*":
                continue
            contact = NameAddr.parse(value)
            if not isinstance(contact.uri, SipUri):
                continue
            if bindings:
                uri = self._original(contact.uri)
                if uri is None:
                    continue
            else:
                uri = self.own(face, contact.uri.user)
            message.replace_item("Contact", index, str(replace(contact, uri=uri)))

    def own(self, face: Face, user: str | None) -> SipUri:
        """Our Contact on this face."""
        host, port = self.addresses[face]
        protocol = self._config.network_protocol if face is Face.NETWORK else TransportProtocol.UDP
        parameters = Parameters()
        if protocol is not TransportProtocol.UDP:
            parameters = Parameters((("transport", protocol.value.lower()),))
        return SipUri(user=user, host=f"[{host}]" if ":" in host else host, port=port, parameters=parameters)

    def _original(self, uri: SipUri) -> SipUri | None:
        known = self._phones.get(uri.user or "")
        if known is None or (uri.host.strip("[]"), uri.port) != self.addresses[Face.NETWORK]:
            return None
        original = parse_uri(known[0])
        return original if isinstance(original, SipUri) else None


def check_addresses(response: SipMessage) -> None:
    """Raise MalformedInput if a Contact or Record-Route cannot be read, or there are too many to pass on."""
    for name in ("Contact", "Record-Route"):
        values = response.get_list(name)
        for value in values:
            if value.strip() != "*":
                NameAddr.parse(value)
        if response.status < 300:
            _check_number(values)


def _check_number(values: list[str]) -> None:
    if len(values) > MAX_CONTACTS:
        raise MalformedInput(f"more than {MAX_CONTACTS} addresses in one header")
