"""`BackToBack`: SIP between softphone and network, one user agent on each face.

Requests that belong to no call pass through with their Contact exchanged. An INVITE makes a `Call`,
which looks after SDP, keys and the requests that the agent sends by itself. Why it is a back-to-back
user agent and no proxy: docs/explanation/agent.md.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from contextlib import suppress

from imsmediasec.agent.call import Call
from imsmediasec.agent.client_transaction import ClientTransaction
from imsmediasec.agent.config import AgentConfig
from imsmediasec.agent.contacts import Contacts, check_addresses
from imsmediasec.agent.endpoint import Endpoint
from imsmediasec.agent.media import MediaSettings
from imsmediasec.agent.observer import Observer
from imsmediasec.agent.own_user import is_own_user
from imsmediasec.agent.passing import (
    OFFER_METHODS,
    drop_description,
    next_hop,
    pass_request,
    pass_response,
    route_set,
)
from imsmediasec.agent.registering import Registering
from imsmediasec.agent.retargeting import Transfers
from imsmediasec.agent.server_transaction import ServerTransaction
from imsmediasec.agent.sip_dialog import (
    Face,
    Half,
    SipDialog,
    contact_target,
    dialog_key,
    sequence_of,
    tag_of,
)
from imsmediasec.agent.transactions import TransactionLayer
from imsmediasec.errors import LocalError, MediaSecurityError
from imsmediasec.sip import SipMessage
from imsmediasec.terms import Side

_DIALOG_METHODS = ("INVITE", "SUBSCRIBE", "REFER", "NOTIFY")
MAX_CALLS = 2000
MAX_DIALOGS = 10_000
MAX_LOOSE_DIALOGS = 1000
"""Of those, subscriptions and others without a call; the one not used for longest goes first."""


class BackToBack:
    """The SIP core of an agent. All methods belong to the event loop's thread."""

    def __init__(self, config: AgentConfig, settings: MediaSettings, observer: Observer) -> None:
        self.config = config
        self.settings = settings
        self.observer = observer
        self.loop = asyncio.get_running_loop()
        self.contacts = Contacts(config)
        self.calls: dict[tuple[str, str], Call] = {}
        """By Call-ID and the tag of who sent the INVITE."""
        self.dialogs: dict[tuple[str, str, str], SipDialog] = {}
        self._layers: dict[Face, TransactionLayer] = {}
        self.transfers = Transfers()
        self.outbound_hosts: frozenset[str] = frozenset()
        """Addresses of the outbound hop; none without one."""
        self.registering = Registering(self) if config.mediasec else None
        self._own_users: dict[Endpoint, float] = {}

    def attach(self, face: Face, layer: TransactionLayer) -> None:
        """Give it the transaction layer of one face. Both are needed before anything comes in."""
        self._layers[face] = layer

    def user(self, face: Face) -> _FaceUser:
        """What stands on top of that face's transaction layer."""
        return _FaceUser(self, face)

    def close(self) -> None:
        """End all calls: media stops, keys are wiped."""
        for call in list(self.calls.values()):
            call.hang_up()

    # Requests

    def request(self, face: Face, transaction: ServerTransaction, source: Endpoint) -> None:
        """A new request. Whatever is wrong with it is answered."""
        request = transaction.request
        self.observer.sip(face, incoming=True, message=request)
        try:
            if face is Face.PHONE and not self._is_own(source):
                raise LocalError("softphones of other users are not served", sip_status_hint=403)
            self._believe(face, request, source)
            if request.get("Max-Forwards") == "0" and request.method != "OPTIONS":
                raise LocalError("too many hops", sip_status_hint=483)
            if face is Face.NETWORK and request.method == "REFER":
                self.transfers.note(request, self.loop.time())
            if tag_of(request, "To"):
                self._request_in_dialog(face, transaction)
            elif request.method == "INVITE":
                self._invite(face, transaction, source)
            else:
                self._pass_outside_dialog(face, transaction, source)
        except MediaSecurityError as error:
            self.answer(face, transaction, error.sip_status_hint or 500, reason=error.reason)

    def cancelled(self, face: Face, transaction: ServerTransaction) -> None:
        """The INVITE behind `transaction` is cancelled."""
        call = transaction.user_data
        if isinstance(call, Call):
            call.inviting.cancelled()
        elif isinstance(call, ClientTransaction):
            call.cancel()

    def ack(self, face: Face, ack: SipMessage, source: Endpoint) -> None:
        """The ACK of a 2xx."""
        self.observer.sip(face, incoming=True, message=ack)
        if face is Face.PHONE and not self._is_own(source):
            return
        dialog = self.dialogs.get(dialog_key(ack, face, request=True))
        if dialog is not None and dialog.call is not None:
            with suppress(MediaSecurityError):  # nobody answers an ACK
                dialog.call.exchanging.ack_received(face, dialog, ack)

    def _invite(self, face: Face, transaction: ServerTransaction, source: Endpoint) -> None:
        request = transaction.request
        key = (request.get("Call-ID") or "", tag_of(request, "From"))
        call = self.calls.get(key)
        if call is None:
            if len(self.calls) >= MAX_CALLS:
                raise LocalError("too many calls at once", sip_status_hint=503)
            side = Side.UAC if face is Face.PHONE else Side.UAS
            call = Call(self, key, side, request)
            self.calls[key] = call
        elif face is not call.caller_face or call.has_open_invite:
            # The same request by another way (RFC 3261 8.2.2.2), one too many, or the called side in the caller's name.
            raise LocalError("this INVITE is here already", clause="RFC 3261 8.2.2.2", sip_status_hint=482)
        if face is Face.PHONE:
            self.contacts.learn(request, source)
        try:
            call.inviting.invite_received(transaction, source)
        except BaseException:
            if not call.started:
                call.close()
            raise

    def _request_in_dialog(self, face: Face, transaction: ServerTransaction) -> None:
        request = transaction.request
        dialog = self.dialogs.get(dialog_key(request, face, request=True))
        if dialog is None:
            raise LocalError("this dialog is not known", sip_status_hint=481)
        if dialog.call is None:
            if request.method in OFFER_METHODS:
                raise LocalError("a call is not set up within a subscription", sip_status_hint=488)
            self.dialogs[dialog.key] = self.dialogs.pop(dialog.key)
        target = contact_target(request)
        if target is not None and request.method in ("INVITE", "UPDATE", "SUBSCRIBE", "NOTIFY"):
            dialog.half(face).remote_target = target  # target refresh (RFC 3261 12.2.2)
        if dialog.call is not None:
            dialog.call.exchanging.request_in_dialog(face, dialog, transaction)
        else:
            self.pass_in_dialog(face, dialog, transaction)

    def pass_in_dialog(
        self,
        face: Face,
        dialog: SipDialog,
        transaction: ServerTransaction,
        *,
        edit: Callable[[SipMessage], None] | None = None,
        on_response: Callable[[SipMessage, SipMessage], bool] | None = None,
    ) -> None:
        """Hand a request on to the other half, and its responses back.

        `edit` gets the outgoing request, `on_response` what came and what goes back, both to change. If that
        returns False, nothing goes back.
        """
        half = dialog.half(face.other)
        out = pass_request(transaction.request, half)
        self.contacts.exchange(out, face.other)
        if edit is not None:
            edit(out)

        def respond(client: ClientTransaction, response: SipMessage, made_here: bool) -> None:
            self.observer.sip(face.other, incoming=True, message=response)
            if response.status == 100:
                return
            back = pass_response(response, transaction.request)
            target = contact_target(response) if response.status < 300 else None
            if target is not None and transaction.method in ("INVITE", "UPDATE", "SUBSCRIBE"):
                half.remote_target = target
            self.contacts.exchange(back, face, keep=response.status >= 300)
            if on_response is None or on_response(response, back):
                self.respond(face, transaction, back)

        transaction.user_data = self.send(face.other, out, self.hop(half, out), respond)

    def _pass_outside_dialog(self, face: Face, transaction: ServerTransaction, source: Endpoint) -> None:
        request = transaction.request
        if face is Face.PHONE:
            self.contacts.learn(request, source)
            out = pass_request(request, None)
            hop = next_hop(out, self.config.outbound, self.config.network_protocol)
        else:
            uri, hop = self.contacts.phone_for(request)
            out = pass_request(request, None, uri=uri)
        self.contacts.exchange(out, face.other)

        def respond(client: ClientTransaction, response: SipMessage, made_here: bool) -> None:
            self.observer.sip(face.other, incoming=True, message=response)
            if response.status == 100:
                return
            back = pass_response(response, request)
            if request.method in _DIALOG_METHODS and response.status < 300 and tag_of(response, "To"):
                self.dialog_from_response(face, request, client.request, response, source)
                loose = [key for key, dialog in self.dialogs.items() if dialog.call is None]
                for key in loose[:-MAX_LOOSE_DIALOGS]:
                    del self.dialogs[key]
            if request.method in (*OFFER_METHODS, "OPTIONS"):
                drop_description(back)
            self.contacts.exchange(back, face, keep=response.status >= 300)
            self.respond(face, transaction, back)

        transaction.user_data = self.send(face.other, out, hop, respond)

    # What calls need

    def dialog_from_response(
        self, face: Face, request: SipMessage, sent: SipMessage, response: SipMessage, source: Endpoint
    ) -> SipDialog | None:
        """The dialog that a response makes whose request came from `face` and left as `sent` (RFC 3261 12.1)."""
        key = dialog_key(response, face.other, request=False)
        known = self.dialogs.get(key)
        if known is not None or len(self.dialogs) >= MAX_DIALOGS:
            return known
        asker = Half(
            face=face,
            local=response.get("To") or "",
            remote=request.get("From") or "",
            remote_target=contact_target(request) or request.uri,
            route_set=route_set(request, reverse=False),
            flow=source if source.flow is not None else None,
        )
        answerer = Half(
            face=face.other,
            local=sent.get("From") or "",
            remote=response.get("To") or "",
            remote_target=contact_target(response) or sent.uri,
            route_set=route_set(response, reverse=True),
            sequence=sequence_of(sent),
            numbers={sequence_of(request): sequence_of(sent)},
        )
        dialog = SipDialog(
            call_id=key[0],
            phone_tag=key[1],
            far_tag=key[2],
            phone=asker if face is Face.PHONE else answerer,
            network=answerer if face is Face.PHONE else asker,
        )
        self.dialogs[key] = dialog
        return dialog

    def hop(self, half: Half, out: SipMessage) -> Endpoint:
        """Where a request in a dialog goes."""
        if half.flow is not None:
            return half.flow
        if half.face is Face.NETWORK:
            hop = next_hop(out, None, self.config.network_protocol)
            outbound = self.config.outbound
            # A re-key goes over the hop that was declared protected, not where a peer's Contact leads.
            return hop if outbound is None or hop.host in self.outbound_hosts else outbound
        return self.contacts.flow_of(half.remote_target) or next_hop(out, None)

    def send(
        self,
        face: Face,
        request: SipMessage,
        hop: Endpoint,
        on_response: Callable[[ClientTransaction, SipMessage, bool], None],
    ) -> ClientTransaction:
        if face is Face.NETWORK and self.registering is not None:
            return self.registering.send(request, hop, on_response)
        return self.transmit(face, request, hop, on_response)

    def transmit(
        self,
        face: Face,
        request: SipMessage,
        hop: Endpoint,
        on_response: Callable[[ClientTransaction, SipMessage, bool], None],
    ) -> ClientTransaction:
        """Send as it is."""
        self.observer.sip(face, incoming=False, message=request)

        def responded(client: ClientTransaction, response: SipMessage, made_here: bool) -> None:
            self._believe(face, response, hop)
            try:
                check_addresses(response)
                on_response(client, response, made_here)
            except MediaSecurityError as error:
                if response.status >= 200 and not made_here:
                    # Whoever waits for it must hear of something, or a call would hang for ever.
                    failure = SipMessage.response_to(client.request, 502, f"Bad Gateway ({type(error).__name__})")
                    failure.remove_item("Via")
                    on_response(client, failure, True)

        return self._layers[face].send_request(request, hop, responded)

    def send_ack(self, face: Face, ack: SipMessage, hop: Endpoint) -> None:
        self.observer.sip(face, incoming=False, message=ack)
        self._layers[face].send_ack(ack, hop)

    def respond(self, face: Face, transaction: ServerTransaction, response: SipMessage) -> None:
        self.observer.sip(face, incoming=False, message=response)
        transaction.respond(response)

    def answer(self, face: Face, transaction: ServerTransaction, status: int, *, reason: str = "") -> None:
        """Answer a request ourselves, with what is wrong in a Warning (RFC 3261 20.43)."""
        headers = []
        if reason:
            text = reason.encode("ascii", "replace").decode().replace("\\", "'").replace('"', "'")
            headers.append(("Warning", f'399 imsmediasec "{text[:200]}"'))
        response = SipMessage.response_to(transaction.request, status, to_tag=secrets.token_hex(8), headers=headers)
        self.respond(face, transaction, response)

    def forget_dialogs(self, call: Call) -> None:
        for key in [key for key, dialog in self.dialogs.items() if dialog.call is call]:
            del self.dialogs[key]

    def _believe(self, face: Face, message: SipMessage, source: Endpoint) -> None:
        """Identities asserted by somebody who may not are taken out on arrival (RFC 3325 5)."""
        trusted = self.config.trust_asserted_identity and source.host in self.outbound_hosts
        if face is Face.NETWORK and not trusted and message.has("P-Asserted-Identity"):
            message.remove("P-Asserted-Identity")

    def _is_own(self, source: Endpoint) -> bool:
        if self.config.allow_other_users:
            return True
        now = self.loop.time()
        if self._own_users.get(source, 0.0) > now:
            return True
        if not is_own_user(source.protocol.value, source.host, source.port):
            return False
        if len(self._own_users) > 1000:
            self._own_users.clear()
        self._own_users[source] = now + 5.0
        return True


class _FaceUser:
    """`TransactionUser` of one face."""

    def __init__(self, core: BackToBack, face: Face) -> None:
        self._core = core
        self._face = face

    def request_received(self, transaction: ServerTransaction, source: Endpoint) -> None:
        self._core.request(self._face, transaction, source)

    def cancel_received(self, transaction: ServerTransaction) -> None:
        self._core.cancelled(self._face, transaction)

    def ack_received(self, ack: SipMessage, source: Endpoint) -> None:
        self._core.ack(self._face, ack, source)

    def stray_response(self, response: SipMessage, source: Endpoint) -> None:
        """Nothing waits for it: a repetition from long ago."""
