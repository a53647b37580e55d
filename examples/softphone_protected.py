"""A small pjsua2 softphone: call or be called, play a wav, record what is heard.

`softphone.py` and `softphone_protected.py` are one program, without and with protection: the second has
the lines marked "+".
"""

import argparse
import time

import pjsua2 as pj
from support import describe, show  # + the status, live and at the end

import imsmediasec as ims  # +
from imsmediasec.adapters.pjsua2 import Protection  # +


class Call(pj.Call):
    """Plays to the other side and records it."""

    def __init__(self, account: pj.Account, options: argparse.Namespace, call_id: int = -1) -> None:
        super().__init__(account, call_id)
        self.options, self.recorder, self.over = options, None, False

    def onCallState(self, prm):
        info = self.getInfo()
        if info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            print(f"{self.options.user}: call ended, {info.lastStatusCode} {info.lastReason}", flush=True)
            self.over = True
            self.this.disown()  # pjsua2 aborts if an ended call is destroyed

    def onCallMediaState(self, prm):
        info = self.getInfo()  # its media list is valid only as long as this object is
        for media in info.media:
            if media.type == pj.PJMEDIA_TYPE_AUDIO and media.status == pj.PJSUA_CALL_MEDIA_ACTIVE:
                audio = self.getAudioMedia(media.index)
                sources[0].startTransmit(audio)
                if self.recorder is None:
                    self.recorder = pj.AudioMediaRecorder()
                    self.recorder.createRecorder(self.options.record)
                audio.startTransmit(self.recorder)


class Account(pj.Account):
    def onIncomingCall(self, prm):
        call = Call(self, options, prm.callId)
        calls.append(call)
        answer = pj.CallOpParam(True)
        answer.statusCode = 200
        call.answer(answer)


calls: list[Call] = []
sources: list[pj.AudioMediaPlayer] = []
EXAMPLES = """examples:
  %(prog)s --user bob --sip-port 5070 --play bob.wav --record heard.wav
  %(prog)s --user alice --sip-port 5072 --play alice.wav --record heard.wav --call sip:bob@127.0.0.1:5070
"""
style = argparse.RawDescriptionHelpFormatter
parser = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLES, formatter_class=style)
parser.add_argument("--user", required=True, help="user part of our address")
parser.add_argument("--sip-port", type=int, required=True, help="our SIP port on 127.0.0.1")
parser.add_argument("--play", required=True, help="wav to play to the other side")
parser.add_argument("--record", required=True, help="wav to record the other side to")
parser.add_argument("--call", help="URI to call; without it, wait for a call")
parser.add_argument("--seconds", type=float, default=5, help="how long to talk")
parser.add_argument("--network-port", type=int, default=0, help="(protected) SIP port on the network side")
options = parser.parse_args()

endpoint = pj.Endpoint()
endpoint.libCreate()
config = pj.EpConfig()
config.logConfig.level = config.logConfig.consoleLevel = 1
config.uaConfig.threadCnt, config.uaConfig.mainThreadOnly = 0, True
config.medConfig.clockRate, config.medConfig.noVad = 8000, True
endpoint.libInit(config)
transport = pj.TransportConfig()
transport.port, transport.boundAddress = options.sip_port, "127.0.0.1"
endpoint.transportCreate(pj.PJSIP_TRANSPORT_UDP, transport)
endpoint.libStart()
endpoint.audDevManager().setNullDev()
endpoint.codecSetPriority("PCMU/8000", 255)  # what a wire tap can play without a decoder
sources.append(pj.AudioMediaPlayer())
sources[0].createPlayer(options.play)

settings = pj.AccountConfig()
settings.idUri = f"sip:{options.user}@127.0.0.1"
settings.mediaConfig.lockCodecEnabled = False
port = options.network_port  # + towards the network: SIP, and media behind it
media = range(port + 2, port + 22)  # +
protection = Protection(signalling=ims.Hop.PROTECTED, on_status=show, network_port=port, media_ports=media)  # +
protection.configure(settings, sip_port=options.sip_port)  # +
account = Account()
account.create(settings)

if options.call:
    calls.append(Call(account, options))
    calls[0].makeCall(options.call, pj.CallOpParam(True))
print(f"{options.user}: ready", flush=True)

end = time.monotonic() + 60
talking = None
while time.monotonic() < end and not (calls and calls[0].over):
    endpoint.libHandleEvents(20)
    call = calls[0] if calls else None
    if call and not call.over and call.recorder and talking is None:
        talking = time.monotonic()
    if options.call and talking and time.monotonic() - talking > options.seconds:
        call.hangup(pj.CallOpParam())
        talking = end
protection.stop()  # +
print(f"{options.user}: {describe(protection)}", flush=True)  # +
for call in calls:
    call.recorder = None  # closes the wav
sources.clear()
endpoint.libDestroy()
