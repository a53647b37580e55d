"""A program on the public API, for mypy --strict (tests/test_exports.py). What must not check is marked: an ignore
without need is an error under --strict."""

import imsmediasec as ims
from imsmediasec.agent import Agent, AgentConfig, AgentThread, NoObserver
from imsmediasec.media import MediaStream, PylibsrtpBackend


class Ui:
    """What a softphone does with events."""

    def __init__(self) -> None:
        self.backend: ims.SrtpBackend = PylibsrtpBackend()
        self.streams: dict[tuple[str | None, int], MediaStream] = {}
        self.status: ims.SecurityStatus | None = None

    def handle(self, event: ims.Event) -> int | None:
        match event:
            case ims.KeysReady(dialog=dialog, index=index, direction=direction, keys=keys):
                self.streams[dialog, index].install(direction, keys)
            case ims.KeysRetired(keys=keys):
                keys.wipe()
            case ims.MediaGate(gate=ims.Gate.OPEN):
                pass
            case ims.SecurityChanged(status=status):
                self.status = status
            case ims.NegotiationFailed(error=error):
                return error.sip_status_hint
        return None


def call(ui: Ui, now: float) -> str:
    policy = ims.SecurityPolicy(scope=(ims.Scope.END_TO_END,), requirement=ims.Requirement.REQUIRED)
    negotiation = ims.Negotiation(
        policy,
        side=ims.Side.UAC,
        capabilities=ui.backend.capabilities,
        local_identity="sip:alice@ims.example",
        remote_target="sip:bob@ims.example",
        signalling=ims.Hop.PROTECTED,
    )
    text: str = negotiation.create_offer("v=0", now=now)
    octets: bytes = negotiation.create_offer(b"v=0", dialog="d", now=now)
    negotiation.receive_answer(octets, dialog="d", reliable=True, now=now)
    due: float | None = negotiation.next_timeout()
    while (event := negotiation.next_event()) is not None:
        ui.handle(event)
    crypto = ims.sdp.SessionDescription.parse(text).media[0].crypto[0]
    suite: ims.SrtpSuite | None = crypto.suite
    secret: ims.Secret = crypto.keys[0].key_salt
    return f"{due} {suite} {secret}"


def wrong(negotiation: ims.Negotiation) -> None:
    negotiation.create_offer("v=0")  # type: ignore[call-arg]
    negotiation.confirm("d", now=0)  # type: ignore[call-arg]
    ims.SecurityPolicy(requirement="required")  # type: ignore[arg-type]
    ims.Secret("text")  # type: ignore[arg-type]


def agent() -> tuple[Agent, AgentThread]:
    config = AgentConfig(policy=ims.SecurityPolicy(), signalling=ims.Hop.PROTECTED)
    return Agent(config, NoObserver()), AgentThread(config)
