"""RTP profiles."""

import pytest

from imsmediasec.sdp import profiles


@pytest.mark.parametrize(
    ("proto", "rtp", "secure", "dtls", "as_secure", "as_plain"),
    [
        ("RTP/AVP", True, False, False, "RTP/SAVP", "RTP/AVP"),
        ("RTP/AVPF", True, False, False, "RTP/SAVPF", "RTP/AVPF"),
        ("RTP/SAVP", True, True, False, "RTP/SAVP", "RTP/AVP"),
        ("RTP/SAVPF", True, True, False, "RTP/SAVPF", "RTP/AVPF"),
        ("UDP/TLS/RTP/SAVP", True, False, True, "UDP/TLS/RTP/SAVP", "RTP/AVP"),
        ("UDP/TLS/RTP/SAVPF", True, False, True, "UDP/TLS/RTP/SAVPF", "RTP/AVPF"),
        ("rtp/avp", True, False, False, "RTP/SAVP", "rtp/avp"),
        ("Rtp/Savpf", True, True, False, "Rtp/Savpf", "RTP/AVPF"),
        ("udp/tls/rtp/savp", True, False, True, "udp/tls/rtp/savp", "RTP/AVP"),
        ("TCP/TLS/MSRP", False, False, False, "TCP/TLS/MSRP", "TCP/TLS/MSRP"),
        ("udptl", False, False, False, "udptl", "udptl"),
    ],
)
def test_profiles(proto: str, rtp: bool, secure: bool, dtls: bool, as_secure: str, as_plain: str) -> None:
    """What a proto field is, and its counterparts; what is not RTP stays."""
    assert (profiles.is_rtp(proto), profiles.is_secure(proto), profiles.is_dtls(proto)) == (rtp, secure, dtls)
    assert (profiles.secure(proto), profiles.plain(proto)) == (as_secure, as_plain)
