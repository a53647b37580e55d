"""SDP for logs: no key, no password, wherever it stands."""

import pytest

from imsmediasec.sdp.redact import redact

KEY = "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj"


@pytest.mark.parametrize(
    "line",
    [
        f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20|1:4 KDR=1",
        f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 INLINE:{KEY}",
        f"a=crypto:1 F8_128_HMAC_SHA1_80 inline:c2VjcmV0|1:4;inline:{KEY}|2:4",
        f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 uri:{KEY}",
        f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 {KEY}",
        f"a=crypto: 1  AES_CM_128_HMAC_SHA1_80  in line:{KEY}",
        f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:c2VjcmV0 FEC_KEY=inline:{KEY}",
        f"a=acap:1 crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}",
        f"a=acap:1 crypto:1 AES_CM_128_HMAC_SHA1_80 {KEY}",
        f"a=acap:3 key-mgmt:mikey {KEY}",
        f"a=key-mgmt:mikey {KEY}",
        f"k=base64:{KEY}",
        f"a=ice-pwd:{KEY}",
    ],
)
def test_secret_lines(line: str) -> None:
    """The secret goes, the line stays recognisable, its neighbours are untouched."""
    shown = redact(f"v=0\r\n{line}\r\na=sendrecv\r\n")
    assert KEY not in shown and "c2VjcmV0" not in shown
    assert "<redacted>" in shown
    assert shown.startswith("v=0\r\n" + line[:2]) and shown.endswith("\r\na=sendrecv\r\n")


def test_the_rest_stays() -> None:
    """Tag, suite and session parameters can be read; a text without secrets is unchanged."""
    line = f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20 UNENCRYPTED_SRTCP"
    assert redact(line) == "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:<redacted> UNENCRYPTED_SRTCP"
    plain = "INVITE sip:bob@x SIP/2.0\r\n\r\nv=0\r\na=rtpmap:0 PCMU/8000\r\n"
    assert redact(plain) == plain
