"""Protect a pjsua2 program: an agent in a thread of the same process, and the account led through it.

    protection = Protection(signalling=Hop.PROTECTED)     # before the account is made
    protection.configure(account_config, sip_port=5070)   # plain RTP to the agent, SRTP from there on
    …
    protection.stop()                                     # at the end

pjsip itself can neither be given the other side's key nor edit a remote SDP, and its wheel has neither
GCM nor DTLS-SRTP: so it speaks plain RTP on loopback, and the agent does the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import imsmediasec as ims
from imsmediasec.agent import AgentConfig, AgentThread, NoObserver
from imsmediasec.agent.call import Call
from imsmediasec.media.relay import Counters

OnStatus = Callable[[ims.SecurityStatus], None]


class Protection:
    """The agent of one pjsua2 program. Starts when made; `stop` ends all calls and wipes all keys.

    `policy`: what the user wants. `signalling`: what is known of the hop to the network. `on_status`:
    called with each new status (B9), in the agent's thread: do not call pjsua2 there. Further
    `options` are those of `AgentConfig`. Raises LocalError if a socket cannot be had.
    """

    def __init__(
        self,
        policy: ims.SecurityPolicy | None = None,
        *,
        signalling: ims.Hop = ims.Hop.UNPROTECTED,
        on_status: OnStatus | None = None,
        **options: Any,
    ) -> None:
        config = AgentConfig(policy=policy or ims.SecurityPolicy(), signalling=signalling, **options)
        self._observer = _Listener(on_status)
        self._thread = AgentThread(config, self._observer).start()

    def configure(self, account: Any, *, sip_port: int) -> None:
        """Lead a ``pj.AccountConfig`` through the agent.

        `sip_port`: the port of the program's own SIP transport, bound to 127.0.0.1: incoming calls go there.
        """
        agent = self._thread.agent
        account.sipConfig.proxies.append(agent.proxy_uri)
        account.mediaConfig.srtpUse = 0  # PJMEDIA_SRTP_DISABLED: the agent does it
        account.mediaConfig.transportConfig.boundAddress = "127.0.0.1"
        account.mediaConfig.transportConfig.publicAddress = "127.0.0.1"
        account.natConfig.contactRewriteUse = 0
        account.natConfig.viaRewriteUse = False
        account.natConfig.sdpNatRewriteUse = 0
        user = account.idUri.rpartition("sip:")[2].rpartition("@")[0]
        self._thread.call(_add_phone(agent.core.contacts.add, user, f"sip:{user}@127.0.0.1:{sip_port}"))

    def decide(self, *, go_on: bool) -> None:
        """The user's word on the warning "decision-needed" (`OnFailure.ASK`): go on with the call, or end it."""
        self._thread.call(_decide(self._observer.running(), go_on))

    @property
    def network_port(self) -> int:
        """Where the network reaches this program: SIP, on `AgentConfig.network_host`."""
        return self._thread.agent.network_port

    @property
    def status(self) -> ims.SecurityStatus | None:
        """The newest status of any call that has media; it stays after the call. None before the first."""
        return self._observer.status

    @property
    def counters(self) -> Counters:
        """Packets of all calls so far, running and ended."""
        return self._observer.counters()

    def stop(self) -> None:
        self._thread.stop()


async def _add_phone(add: Callable[[str, str], None], user: str, uri: str) -> None:
    add(user, uri)


async def _decide(calls: list[Call], go_on: bool) -> None:
    for call in calls:
        call.decide(go_on=go_on)


class _Listener(NoObserver):
    def __init__(self, on_status: OnStatus | None) -> None:
        self.status: ims.SecurityStatus | None = None
        self._on_status = on_status
        self._calls: list[Call] = []
        self._ended = Counters()

    def call_started(self, call: Call) -> None:
        self._calls.append(call)

    def event(self, call: Call, event: ims.Event) -> None:
        if isinstance(event, ims.SecurityChanged):
            if event.status.streams:
                self.status = event.status
            if self._on_status is not None:
                self._on_status(event.status)

    def call_ended(self, call: Call) -> None:
        self._calls.remove(call)
        self._ended = sum(call.media.counters.values(), self._ended)

    def running(self) -> list[Call]:
        return list(self._calls)

    def counters(self) -> Counters:
        running = [counters for call in list(self._calls) for counters in call.media.counters.values()]
        return sum(running, self._ended)
