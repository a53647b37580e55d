"""Agents that reach the network over TLS: registration and call through Kamailio, keys never on an open hop."""

import imsmediasec as ims
from imsmediasec.agent import Endpoint, TransportProtocol

from .agents import TestAgent
from .certificates import make_certificates
from .conftest import Lab
from .peers.kamailio import ROUTE
from .ports import PortBlock
from .tones import hear

TLS = """\
enable_tls=yes
listen=tls:127.0.0.1:{port}
loadmodule "tls.so"
loadmodule "nathelper.so"
modparam("tls", "tls_method", "TLSv1.2+")
modparam("tls", "certificate", "{certificate}")
modparam("tls", "private_key", "{key}")
modparam("nathelper|registrar", "received_avp", "$avp(received)")
"""
# Terminals behind the connection they opened: answer and call them through it.
SCRIPT = ROUTE.replace(
    '            KSR.registrar.save("location", 0)',
    '            KSR.nathelper.fix_nated_register()\n            KSR.registrar.save("location", 0)',
).replace(
    "            if KSR.rr.loose_route() > 0",
    "            KSR.nathelper.handle_ruri_alias()\n            if KSR.rr.loose_route() > 0",
).replace(
    "        KSR.rr.record_route()",
    "        KSR.rr.record_route()\n        KSR.nathelper.set_contact_alias()",
).replace(
    "    def ksr_reply_route(self, msg):\n        return 1",
    "    def ksr_reply_route(self, msg):\n        KSR.nathelper.set_contact_alias()\n        return 1",
)  # fmt: skip


def test_register_and_call_over_tls(lab: Lab) -> None:
    ca, certificate, key = make_certificates(lab.folder)
    block = PortBlock(1)
    port = block[0]
    extra = TLS.format(port=port, certificate=certificate, key=key)
    lab.kamailio(script=SCRIPT, extra=extra)
    hop = Endpoint(protocol=TransportProtocol.TLS, host="127.0.0.1", port=port)
    options = {"network_protocol": TransportProtocol.TLS, "outbound": hop, "ca_file": str(ca)}
    options["signalling"] = ims.Hop.UNPROTECTED  # TLS is what protects it
    agents = {user: lab.start(TestAgent, **options) for user in ("alice", "bob")}
    bob = lab.baresip(
        "bob", tone=880, answer="auto", mediaenc="", registrar=agents["bob"].agent.local_port,
    )  # fmt: skip
    agents["bob"].witness.wait(lambda w: any(b"200 OK" in m and b"REGISTER" in m for _, _, m in w.messages))
    alice = lab.pjsua("alice", tone=440, outbound=agents["alice"].proxy, srtp=0)
    media = lab.capture(*alice.media_ports, *bob.media_ports)
    alice.call(bob.aor)
    alice.wait_state("CONFIRMED")
    status = agents["alice"].witness.wait_confirmed()
    assert status.protected
    assert not any(holder.kind is ims.HolderKind.SIGNALLING_LISTENERS for holder in status.key_holders)
    media.wait_packets(150, alice.media_ports, bob.media_ports)
    alice.hangup()
    bob.wait_event("CALL_CLOSED")
    alice.stop()
    assert hear(bob.recording()).tones[440] > 1
    assert hear(alice.recording()).tones[880] > 1
    block.release()
