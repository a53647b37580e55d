"""a=crypto: typed values to text and back."""

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from imsmediasec.errors import MalformedInput
from imsmediasec.sdp.crypto import CryptoAttribute, InlineKey
from imsmediasec.secret import Secret
from imsmediasec.suites import ALL_SUITES, SrtpSuite

PARAMS = st.lists(
    st.sampled_from(
        ["KDR=3", "WSH=128", "UNENCRYPTED_SRTP", "UNENCRYPTED_SRTCP", "UNAUTHENTICATED_SRTP", "FEC_ORDER=FEC_SRTP",
         "FEC_KEY=inline:x", "-NEW", "NEW=1"]
    ),
    unique_by=lambda param: param.split("=")[0],
)  # fmt: skip


@st.composite
def attributes(draw: st.DrawFn) -> CryptoAttribute:
    """Any a=crypto that RFC 4568 allows."""
    suite: SrtpSuite = draw(st.sampled_from(ALL_SUITES))
    lifetimes = st.none() | st.integers(1, 2**48)
    octets = st.binary(min_size=suite.key_salt_length, max_size=suite.key_salt_length)
    length = draw(st.integers(1, 128))
    count = draw(st.integers(1, 3))
    mkis: list[int] | list[None] = [None]
    if count > 1 or draw(st.booleans()):
        top = min(2 ** (8 * length) - 1, 2**1200)
        mkis = draw(st.lists(st.integers(1, top), min_size=count, max_size=count, unique=True))
    keys = tuple(
        InlineKey(
            key_salt=Secret(draw(octets)),
            lifetime=draw(lifetimes),
            mki=mki,
            mki_length=None if mki is None else length,
        )
        for mki in mkis
    )
    tag = draw(st.integers(0, 999_999_999))
    return CryptoAttribute(tag=tag, suite=suite, suite_name=suite.name, keys=keys, session_params=tuple(draw(PARAMS)))


@given(attributes())
def test_round_trip(crypto: CryptoAttribute) -> None:
    """Everything comes back, and nothing was a quirk."""
    again = CryptoAttribute.parse(f"a=crypto:{crypto.value()}")
    assert (again.tag, again.suite, again.session_params) == (crypto.tag, crypto.suite, crypto.session_params)
    assert [(k.key_salt, k.lifetime, k.mki, k.mki_length) for k in again.keys] == [
        (k.key_salt, k.lifetime, k.mki, k.mki_length) for k in crypto.keys
    ]
    assert again.quirks == ()
    assert again.params.kdr == (3 if "KDR=3" in crypto.session_params else 0)
    assert again.params.window_size_hint == (128 if "WSH=128" in crypto.session_params else 64)
    assert again.params.unencrypted_srtcp is ("UNENCRYPTED_SRTCP" in crypto.session_params)
    assert again.fec is any(param.startswith("FEC") for param in crypto.session_params)
    assert bool(again.unknown_params) is ("NEW=1" in crypto.session_params)


@given(attributes(), st.data())
def test_one_changed_character(crypto: CryptoAttribute, data: st.DataObject) -> None:
    """Any change gives our error, or a line whose text means itself again."""
    value = crypto.value()
    at = data.draw(st.integers(0, len(value) - 1))
    changed = value[:at] + data.draw(st.characters()) + value[at + 1 :]
    try:
        read = CryptoAttribute.parse_value(changed)
    except MalformedInput:
        return
    assert CryptoAttribute.parse_value(read.value()).value() == read.value()


@given(st.text(st.sampled_from("123 |:;^=AES_CM_128inline/+\t\r\nK"), max_size=120))
def test_noise(text: str) -> None:
    """Noise of the right letters is refused in time."""
    with suppress(MalformedInput):
        CryptoAttribute.parse_value(text)
