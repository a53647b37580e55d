"""The child of pjsua.py: one pjsua2 softphone.

Options come as JSON in argv[1], commands as JSON lines on stdin; events go to stdout.

What the wheel demands is marked PITFALL.
"""

import importlib
import json
import queue
import sys
import threading
from typing import Any

import pjsua2 as pj

options: dict[str, Any] = json.loads(sys.argv[1])
calls: list["Call"] = []
sources: list[pj.AudioMediaPlayer] = []  # the tone, once the library runs
player = pj.AudioMediaPlayer()


def emit(event: str, **fields: Any) -> None:
    """One event to the parent."""
    sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
    sys.stdout.flush()


class Call(pj.Call):  # type: ignore[misc]  # pjsua2 has no types
    """A call that plays the tone to the other side and records it."""

    def __init__(self, account: pj.Account, call_id: int = pj.PJSUA_INVALID_ID) -> None:
        super().__init__(account, call_id)
        self.number = len(calls)
        self.recorder: pj.AudioMediaRecorder | None = None
        self.over = False
        calls.append(self)

    def onCallState(self, prm: pj.OnCallStateParam) -> None:
        info = self.getInfo()
        if info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            self.over = True
            self.this.disown()  # PITFALL: destroying an ended call aborts the process
        emit("state", call=self.number, state=info.stateText, code=info.lastStatusCode, reason=info.lastReason)

    def onCallMediaState(self, prm: pj.OnCallMediaStateParam) -> None:
        info = self.getInfo()  # PITFALL: must stay referenced while its media list is used
        for media in info.media:
            if media.type == pj.PJMEDIA_TYPE_AUDIO:
                active = media.status == pj.PJSUA_CALL_MEDIA_ACTIVE
                if active:
                    audio = self.getAudioMedia(media.index)
                    sources[0].startTransmit(audio)
                    if self.recorder is None:
                        self.recorder = pj.AudioMediaRecorder()
                        self.recorder.createRecorder(f"{options['record']}/heard-{self.number}.wav")
                    audio.startTransmit(self.recorder)
                emit("media", call=self.number, index=media.index, active=active, status=media.status)

    def onCallSdpCreated(self, prm: pj.OnCallSdpCreatedParam) -> None:
        emit("sdp", call=self.number, local=prm.sdp.wholeSdp, remote=prm.remSdp.wholeSdp)

    def onCallTransferStatus(self, prm: pj.OnCallTransferStatusParam) -> None:
        emit("transfer", call=self.number, code=prm.statusCode, final=bool(prm.finalNotify))

    def onCallTransferRequest(self, prm: pj.OnCallTransferRequestParam) -> None:
        new = prm.newCall = Call(account)  # PITFALL: reading it back gives another proxy object
        emit("transferred", call=self.number, to=prm.dstUri, new=new.number)

    def onCallRedirected(self, prm: pj.OnCallRedirectedParam) -> int:
        emit("redirected", call=self.number, to=prm.targetUri)
        return int(pj.PJSIP_REDIRECT_ACCEPT)

    def onCallTsxState(self, prm: pj.OnCallTsxStateParam) -> None:
        body = prm.e.body.tsxState
        if body.type == pj.PJSIP_EVENT_RX_MSG:
            emit("rx", call=self.number, message=body.src.rdata.wholeMsg)


class Account(pj.Account):  # type: ignore[misc]
    """The one account."""

    def onRegState(self, prm: pj.OnRegStateParam) -> None:
        emit("registration", code=prm.code, reason=prm.reason)

    def onIncomingCall(self, prm: pj.OnIncomingCallParam) -> None:
        call = Call(self, prm.callId)
        emit("incoming", call=call.number, message=prm.rdata.wholeMsg)
        for code in options["auto"]:
            answer(call, code)


def answer(call: Call, code: int) -> None:
    """Answer an incoming call."""
    prm = pj.CallOpParam(True)
    prm.statusCode = code
    call.answer(prm)


def account_config() -> pj.AccountConfig:
    """The account, as the options say."""
    config = pj.AccountConfig()
    config.idUri = options["aor"]
    if options["registrar"]:
        config.regConfig.registrarUri = options["registrar"]
    if options["outbound"]:
        config.sipConfig.proxies.append(options["outbound"])
    config.callConfig.prackUse = options["prack"]
    config.callConfig.timerUse = pj.PJSUA_SIP_TIMER_INACTIVE
    media = config.mediaConfig
    media.srtpUse = options["srtp"]
    media.srtpSecureSignaling = 0
    media.lockCodecEnabled = False  # PITFALL: a re-INVITE of its own otherwise
    for suite in options["cryptos"]:
        crypto = pj.SrtpCrypto()
        crypto.name = suite
        media.srtpOpt.cryptos.append(crypto)
    media.transportConfig.boundAddress = "127.0.0.1"
    media.transportConfig.publicAddress = "127.0.0.1"
    media.transportConfig.port = options["rtp_port"]
    media.transportConfig.portRange = 15
    config.natConfig.contactRewriteUse = 0
    config.natConfig.viaRewriteUse = False
    config.natConfig.sdpNatRewriteUse = 0
    return config


def info(call: Call) -> dict[str, Any]:
    """What pjsip knows of a call."""
    if call.over:
        return {"state": "DISCONNECTED"}
    state = call.getInfo()
    result: dict[str, Any] = {"state": state.stateText, "remote": state.remoteUri, "code": state.lastStatusCode}
    result["dump"] = call.dump(True, "  ")
    for media in state.media:
        if media.type == pj.PJMEDIA_TYPE_AUDIO and media.status == pj.PJSUA_CALL_MEDIA_ACTIVE:
            stat = call.getStreamStat(media.index)
            result |= {"sent": stat.rtcp.txStat.pkt, "received": stat.rtcp.rxStat.pkt}
    return result


def run(command: dict[str, Any]) -> Any:
    """Do one command; what it returns goes to the parent."""
    prm = pj.CallOpParam(True)
    call: Any = calls[command["call"]] if "call" in command else None
    match command["do"]:
        case "call":
            call = Call(account)
            headers = pj.SipHeaderVector()
            for name, value in command["headers"].items():
                header = pj.SipHeader()
                header.hName, header.hValue = name, value
                headers.append(header)
            prm.txOption.headers = headers
            call.makeCall(command["uri"], prm)
            return call.number
        case "answer":
            answer(call, command["code"])
        case "hangup":
            if not call.over:
                prm.statusCode = command["code"] or pj.PJSIP_SC_DECLINE
                call.hangup(prm)
        case "hold":
            call.setHold(prm)
        case "reinvite":
            prm.opt.flag = pj.PJSUA_CALL_UNHOLD
            call.reinvite(prm)
        case "update":
            call.update(prm)
        case "transfer":
            call.xfer(command["uri"], prm)
        case "info":
            return info(call)
        case other:
            raise ValueError(other)
    return None


endpoint = pj.Endpoint()
endpoint.libCreate()
setup = pj.EpConfig()
setup.logConfig.level = setup.logConfig.consoleLevel = 5
setup.logConfig.consoleLevel = 0
setup.logConfig.filename = options["log"]
setup.uaConfig.threadCnt = 0  # PITFALL: Python callbacks only from our own thread
setup.uaConfig.mainThreadOnly = True
setup.uaConfig.maxCalls = 8
setup.medConfig.clockRate = 8000
setup.medConfig.sndClockRate = 8000
setup.medConfig.noVad = True
setup.medConfig.ecTailLen = 0
setup.medConfig.hasIoqueue = True
endpoint.libInit(setup)
transport = pj.TransportConfig()
transport.port = options["sip_port"]
transport.boundAddress = "127.0.0.1"
transport.publicAddress = "127.0.0.1"
kind = {"udp": pj.PJSIP_TRANSPORT_UDP, "tcp": pj.PJSIP_TRANSPORT_TCP}[options["transport"]]
endpoint.transportCreate(kind, transport)
endpoint.libStart()
endpoint.audDevManager().setNullDev()
for codec in endpoint.codecEnum2():
    endpoint.codecSetPriority(codec.codecId, 255 if codec.codecId.startswith("PCMU") else 0)
player = pj.AudioMediaPlayer()
player.createPlayer(options["play"])
sources.append(player)
config = account_config()
if options["hook"]:
    module, _, function = options["hook"].partition(":")
    getattr(importlib.import_module(module), function)(config, options)
account = Account()
account.create(config)

commands: queue.Queue[dict[str, Any]] = queue.Queue()


def read_commands() -> None:
    """The thread that reads stdin; its end is an order to quit."""
    for line in sys.stdin:
        commands.put(json.loads(line))
    commands.put({"id": 0, "do": "quit"})


threading.Thread(target=read_commands, daemon=True).start()
emit("ready")
while True:
    endpoint.libHandleEvents(10)
    for call in calls:
        if call.over:
            call.recorder = None  # PITFALL: there can be 32 at a time
    try:
        command = commands.get_nowait()
    except queue.Empty:
        continue
    if command["do"] == "quit":
        break
    try:
        emit("done", id=command["id"], result=run(command))
    except (pj.Error, ValueError, IndexError) as error:
        emit("done", id=command["id"], error=error.info() if isinstance(error, pj.Error) else repr(error))

endpoint.hangupAllCalls()
for _ in range(30):
    endpoint.libHandleEvents(10)
for call in calls:
    call.recorder = None  # closes the file
sources.clear()
del player
endpoint.libDestroy()
for call in calls:
    if not call.over:
        call.this.disown()
emit("gone")
sys.stdout.flush()
