"""The four transaction machines of RFC 3261 17 as tables, with the Accepted states of RFC 6026.

A row is ``(state, input): (actions, next state)``. Actions are names of methods of the transaction
that runs the table. A row without actions swallows its input; an input without a row cannot happen.
Timers of a state start when it is entered; those that the new state does not name are cancelled.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class State(Enum):
    """States of client and server transactions (RFC 3261 figures 5 to 8, RFC 6026 7)."""

    CALLING = "calling"
    TRYING = "trying"
    PROCEEDING = "proceeding"
    COMPLETED = "completed"
    CONFIRMED = "confirmed"
    ACCEPTED = "accepted"
    TERMINATED = "terminated"


class Input(Enum):
    """What drives a machine."""

    REQUEST = "request"
    """The same request again (server)."""
    ACK = "ack"
    PROVISIONAL = "1xx"
    SUCCESS = "2xx"
    FAILURE = "3xx-6xx"
    TRANSPORT_ERROR = "transport error"
    TIMER_A = "A"
    TIMER_B = "B"
    TIMER_CANCEL = "cancel"
    """64*T1 after a CANCEL that no final response followed (RFC 3261 9.1)."""
    TIMER_D = "D"
    TIMER_E = "E"
    TIMER_F = "F"
    TIMER_G = "G"
    TIMER_H = "H"
    TIMER_I = "I"
    TIMER_J = "J"
    TIMER_K = "K"
    TIMER_L = "L"
    TIMER_M = "M"
    TIMER_TRYING = "trying"
    """200 ms without a response: a 100 goes out (RFC 3261 17.2.1)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Timers:
    """The base values of RFC 3261 17.1.1.1, in seconds; all others derive from them."""

    t1: float = 0.5
    t2: float = 4.0
    t4: float = 5.0
    trying: float = 0.2

    def delay(self, timer: Input, *, reliable: bool) -> float:
        """How long `timer` runs when it starts (RFC 3261 table 4, RFC 6026 8.4, 8.8)."""
        if timer in (Input.TIMER_A, Input.TIMER_E, Input.TIMER_G):
            return self.t1
        if timer is Input.TIMER_TRYING:
            return self.trying
        if timer in (Input.TIMER_I, Input.TIMER_K):
            return 0.0 if reliable else self.t4
        if timer in (Input.TIMER_D, Input.TIMER_J):
            return 0.0 if reliable else 64 * self.t1
        return 64 * self.t1


RETRANSMIT_TIMERS = (Input.TIMER_A, Input.TIMER_E, Input.TIMER_G)
"""They do not run over reliable transports (RFC 3261 17.1.1.2, 17.1.2.2, 17.2.1)."""

Table = dict[tuple[State, Input], tuple[tuple[str, ...], State]]
StateTimers = dict[State, tuple[Input, ...]]

_S, _I = State, Input

INVITE_CLIENT: Table = {
    (_S.CALLING, _I.TIMER_A): (("resend", "again_doubled"), _S.CALLING),
    (_S.CALLING, _I.TIMER_B): (("time_out",), _S.TERMINATED),
    (_S.CALLING, _I.TRANSPORT_ERROR): (("unreachable",), _S.TERMINATED),
    (_S.CALLING, _I.PROVISIONAL): (("send_waiting_cancel", "deliver"), _S.PROCEEDING),
    (_S.CALLING, _I.SUCCESS): (("deliver",), _S.ACCEPTED),
    (_S.CALLING, _I.FAILURE): (("acknowledge", "deliver"), _S.COMPLETED),
    (_S.PROCEEDING, _I.PROVISIONAL): (("deliver",), _S.PROCEEDING),
    (_S.PROCEEDING, _I.SUCCESS): (("deliver",), _S.ACCEPTED),
    (_S.PROCEEDING, _I.FAILURE): (("acknowledge", "deliver"), _S.COMPLETED),
    (_S.PROCEEDING, _I.TIMER_CANCEL): (("time_out",), _S.TERMINATED),
    # The response may still come, over another connection (18.2.2); Timer C is the proxy's (16.6).
    (_S.PROCEEDING, _I.TRANSPORT_ERROR): ((), _S.PROCEEDING),
    (_S.COMPLETED, _I.PROVISIONAL): ((), _S.COMPLETED),
    (_S.COMPLETED, _I.SUCCESS): ((), _S.COMPLETED),
    (_S.COMPLETED, _I.FAILURE): (("acknowledge",), _S.COMPLETED),
    (_S.COMPLETED, _I.TRANSPORT_ERROR): ((), _S.TERMINATED),
    (_S.COMPLETED, _I.TIMER_D): ((), _S.TERMINATED),
    (_S.ACCEPTED, _I.PROVISIONAL): ((), _S.ACCEPTED),
    # Retransmissions and the 2xx of other forks (RFC 6026 7.2): their ACK is the user's.
    (_S.ACCEPTED, _I.SUCCESS): (("deliver",), _S.ACCEPTED),
    (_S.ACCEPTED, _I.FAILURE): ((), _S.ACCEPTED),
    (_S.ACCEPTED, _I.TRANSPORT_ERROR): ((), _S.ACCEPTED),
    (_S.ACCEPTED, _I.TIMER_M): ((), _S.TERMINATED),
}
INVITE_CLIENT_TIMERS: StateTimers = {
    _S.CALLING: (_I.TIMER_A, _I.TIMER_B),
    _S.COMPLETED: (_I.TIMER_D,),
    _S.ACCEPTED: (_I.TIMER_M,),
}

NON_INVITE_CLIENT: Table = {
    (_S.TRYING, _I.TIMER_E): (("resend", "again_capped"), _S.TRYING),
    (_S.TRYING, _I.TIMER_F): (("time_out",), _S.TERMINATED),
    (_S.TRYING, _I.TRANSPORT_ERROR): (("unreachable",), _S.TERMINATED),
    (_S.TRYING, _I.PROVISIONAL): (("deliver",), _S.PROCEEDING),
    (_S.TRYING, _I.SUCCESS): (("deliver",), _S.COMPLETED),
    (_S.TRYING, _I.FAILURE): (("deliver",), _S.COMPLETED),
    (_S.PROCEEDING, _I.TIMER_E): (("resend", "again_slow"), _S.PROCEEDING),
    (_S.PROCEEDING, _I.TIMER_F): (("time_out",), _S.TERMINATED),
    (_S.PROCEEDING, _I.TRANSPORT_ERROR): (("unreachable",), _S.TERMINATED),
    (_S.PROCEEDING, _I.PROVISIONAL): (("deliver",), _S.PROCEEDING),
    (_S.PROCEEDING, _I.SUCCESS): (("deliver",), _S.COMPLETED),
    (_S.PROCEEDING, _I.FAILURE): (("deliver",), _S.COMPLETED),
    (_S.COMPLETED, _I.PROVISIONAL): ((), _S.COMPLETED),
    (_S.COMPLETED, _I.SUCCESS): ((), _S.COMPLETED),
    (_S.COMPLETED, _I.FAILURE): ((), _S.COMPLETED),
    (_S.COMPLETED, _I.TRANSPORT_ERROR): ((), _S.COMPLETED),
    (_S.COMPLETED, _I.TIMER_K): ((), _S.TERMINATED),
}
NON_INVITE_CLIENT_TIMERS: StateTimers = {
    _S.TRYING: (_I.TIMER_E, _I.TIMER_F),
    _S.PROCEEDING: (_I.TIMER_E, _I.TIMER_F),
    _S.COMPLETED: (_I.TIMER_K,),
}

INVITE_SERVER: Table = {
    (_S.PROCEEDING, _I.REQUEST): (("resend",), _S.PROCEEDING),
    (_S.PROCEEDING, _I.TIMER_TRYING): (("send_trying",), _S.PROCEEDING),
    # An ACK before any final response answers nothing.
    (_S.PROCEEDING, _I.ACK): ((), _S.PROCEEDING),
    (_S.PROCEEDING, _I.PROVISIONAL): (("send",), _S.PROCEEDING),
    (_S.PROCEEDING, _I.SUCCESS): (("send",), _S.ACCEPTED),
    (_S.PROCEEDING, _I.FAILURE): (("send",), _S.COMPLETED),
    (_S.PROCEEDING, _I.TRANSPORT_ERROR): (("unreachable",), _S.TERMINATED),
    (_S.COMPLETED, _I.REQUEST): (("resend",), _S.COMPLETED),
    (_S.COMPLETED, _I.ACK): ((), _S.CONFIRMED),
    (_S.COMPLETED, _I.PROVISIONAL): ((), _S.COMPLETED),
    (_S.COMPLETED, _I.SUCCESS): ((), _S.COMPLETED),
    (_S.COMPLETED, _I.FAILURE): ((), _S.COMPLETED),
    (_S.COMPLETED, _I.TIMER_G): (("resend", "again_capped"), _S.COMPLETED),
    (_S.COMPLETED, _I.TIMER_H): (("time_out",), _S.TERMINATED),
    (_S.COMPLETED, _I.TRANSPORT_ERROR): (("unreachable",), _S.TERMINATED),
    (_S.CONFIRMED, _I.REQUEST): ((), _S.CONFIRMED),
    (_S.CONFIRMED, _I.ACK): ((), _S.CONFIRMED),
    (_S.CONFIRMED, _I.PROVISIONAL): ((), _S.CONFIRMED),
    (_S.CONFIRMED, _I.SUCCESS): ((), _S.CONFIRMED),
    (_S.CONFIRMED, _I.FAILURE): ((), _S.CONFIRMED),
    (_S.CONFIRMED, _I.TRANSPORT_ERROR): ((), _S.CONFIRMED),
    (_S.CONFIRMED, _I.TIMER_I): ((), _S.TERMINATED),
    (_S.ACCEPTED, _I.REQUEST): ((), _S.ACCEPTED),
    # Only from clients that reuse the branch for it; the ACK of a 2xx is the user's (RFC 6026 7.1).
    (_S.ACCEPTED, _I.ACK): (("pass_ack",), _S.ACCEPTED),
    (_S.ACCEPTED, _I.PROVISIONAL): ((), _S.ACCEPTED),
    (_S.ACCEPTED, _I.SUCCESS): (("send",), _S.ACCEPTED),
    (_S.ACCEPTED, _I.FAILURE): ((), _S.ACCEPTED),
    (_S.ACCEPTED, _I.TRANSPORT_ERROR): (("unreachable",), _S.ACCEPTED),
    (_S.ACCEPTED, _I.TIMER_L): ((), _S.TERMINATED),
}
INVITE_SERVER_TIMERS: StateTimers = {
    _S.PROCEEDING: (_I.TIMER_TRYING,),
    _S.COMPLETED: (_I.TIMER_G, _I.TIMER_H),
    _S.CONFIRMED: (_I.TIMER_I,),
    _S.ACCEPTED: (_I.TIMER_L,),
}

NON_INVITE_SERVER: Table = {
    (_S.TRYING, _I.REQUEST): ((), _S.TRYING),
    (_S.TRYING, _I.PROVISIONAL): (("send",), _S.PROCEEDING),
    (_S.TRYING, _I.SUCCESS): (("send",), _S.COMPLETED),
    (_S.TRYING, _I.FAILURE): (("send",), _S.COMPLETED),
    (_S.TRYING, _I.TRANSPORT_ERROR): (("unreachable",), _S.TERMINATED),
    (_S.PROCEEDING, _I.REQUEST): (("resend",), _S.PROCEEDING),
    (_S.PROCEEDING, _I.PROVISIONAL): (("send",), _S.PROCEEDING),
    (_S.PROCEEDING, _I.SUCCESS): (("send",), _S.COMPLETED),
    (_S.PROCEEDING, _I.FAILURE): (("send",), _S.COMPLETED),
    (_S.PROCEEDING, _I.TRANSPORT_ERROR): (("unreachable",), _S.TERMINATED),
    (_S.COMPLETED, _I.REQUEST): (("resend",), _S.COMPLETED),
    (_S.COMPLETED, _I.PROVISIONAL): ((), _S.COMPLETED),
    (_S.COMPLETED, _I.SUCCESS): ((), _S.COMPLETED),
    (_S.COMPLETED, _I.FAILURE): ((), _S.COMPLETED),
    (_S.COMPLETED, _I.TRANSPORT_ERROR): (("unreachable",), _S.TERMINATED),
    (_S.COMPLETED, _I.TIMER_J): ((), _S.TERMINATED),
}
NON_INVITE_SERVER_TIMERS: StateTimers = {_S.COMPLETED: (_I.TIMER_J,)}
