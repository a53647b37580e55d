"""Interop tests against real peers.

A test takes the fixture `lab` and starts what it needs; everything is stopped when the test ends:

    def test_call(lab: Lab) -> None:
        proxy = lab.kamailio()                                    # registrar, forks to all contacts at once
        bob = lab.baresip("bob", tone=880, registrar=proxy.port)  # answers by itself, unless answer="manual"
        alice = lab.pjsua("alice", tone=440, outbound=proxy.uri)  # another process; srtp=2 is mandatory SDES
        capture = lab.capture(*alice.media_ports, *bob.media_ports)
        alice.call(bob.aor)
        alice.wait_state("CONFIRMED")
        sending, receiving = bob.keys()                           # what callstat says
        capture.wait_packets(100, alice.media_ports, bob.media_ports)
        alice.hangup()
        bob.wait_event("CALL_CLOSED")
        alice.stop()                                              # pjsua2 recordings are complete only then
        assert hear(bob.recording()).tones[440] > 1
        for packet in capture.datagrams(alice.media_ports):
            assert judge(packet.payload, {"alice": receiving}).kind is not Kind.CLEAR_RTP

Logs, SIP traces, recordings and captures lie in the test's tmp_path. FACTS.md says how the peers behave.
"""
