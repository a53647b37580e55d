"""Capability negotiation (RFC 5939), on the RFC's own examples and on what is broken."""

from pathlib import Path

import pytest

from imsmediasec.sdp.capneg import (
    PotentialConfiguration,
    attribute_capabilities,
    potential_configurations,
    transport_capabilities,
)
from imsmediasec.sdp.document import SessionDescription

FIXTURES = Path(__file__).parents[2] / "fixtures/sdp"


def example(name: str) -> SessionDescription:
    return SessionDescription.parse((FIXTURES / f"rfc5939_{name}_offer.sdp").read_bytes())


def configurations(attributes: str, session: str = "") -> list[PotentialConfiguration]:
    doc = SessionDescription.parse(f"v=0\n{session}m=audio 1 RTP/AVP 0\n{attributes}")
    return potential_configurations(doc, doc.media[0])


def shape(config: PotentialConfiguration) -> tuple[int, str | None, list[int], list[int]]:
    return config.number, config.proto, list(config.mandatory), list(config.optional)


def test_alternatives_example() -> None:
    """RFC 5939 3.5.1: two lines are four configurations, in the order of preference; 3.5.2: the answer to the first."""
    doc = example("alternatives")
    found = potential_configurations(doc, doc.media[0])
    assert [shape(config) for config in found] == [
        (1, "RTP/SAVPF", [1], []),
        (1, "RTP/SAVP", [1], []),
        (8, "RTP/AVPF", [], []),
        (8, "RTP/AVP", [], []),
    ]
    assert found[0].actual(()) == "1 t=4 a=1"
    assert found[2].actual(()) == "8 t=1"
    assert found[0].mandatory[1].startswith("crypto:1 AES_CM_128_HMAC_SHA1_32 inline:")


def test_avpf_example() -> None:
    """RFC 5939 4.1: optional attributes are told apart, and named in brackets."""
    doc = example("srtp_avpf")
    found = potential_configurations(doc, doc.media[0])
    assert [shape(config) for config in found] == [
        (1, "RTP/SAVPF", [1], [2]),
        (2, "RTP/SAVP", [1], []),
        (3, "RTP/AVPF", [], [2]),
    ]
    assert found[0].actual([2]) == "1 t=1 a=1,[2]"
    assert found[0].actual([]) == "1 t=1 a=1"
    assert found[2].actual([2]) == "3 t=3 a=[2]"


def test_session_level_examples() -> None:
    """RFC 5939 4.2 and 4.3: capabilities of the session level count for every m-line."""
    doc = example("dtls_or_sdes")
    found = potential_configurations(doc, doc.media[0])
    assert [shape(config) for config in found] == [(1, "UDP/TLS/RTP/SAVP", [1, 2], []), (2, "RTP/SAVP", [3], [])]
    doc = example("two_streams")
    audio, video = doc.media
    assert list(attribute_capabilities(doc, audio)) == [1, 2]
    assert transport_capabilities(doc, video) == {1: "RTP/SAVPF", 2: "RTP/SAVP", 3: "RTP/AVPF"}
    assert [shape(config) for config in potential_configurations(doc, video)] == [
        (1, "RTP/SAVPF", [1, 4], []),
        (1, "RTP/SAVPF", [3, 4], []),
        (2, "RTP/SAVP", [1], []),
        (2, "RTP/SAVP", [3], []),
        (3, "RTP/AVPF", [4], []),
    ]


def test_delete_example() -> None:
    """RFC 5939 4.5: the configuration replaces the session's attributes, and the answer repeats that."""
    doc = example("delete_session")
    for number, media in enumerate(doc.media, 1):
        (config,) = potential_configurations(doc, media)
        assert (config.proto, config.transport, config.deletes) == (None, None, "s")
        assert config.actual(()) == f"1 a=-s:{number}"


def test_delete_counts_for_all_alternatives() -> None:
    """It stands before the first list (3.5.1)."""
    found = configurations("a=acap:1 x\na=acap:2 y\na=acap:3 z\na=pcfg:1 a=-ms:1,[2,3]|3,[1]\na=pcfg:2 a=-m\n")
    assert [config.deletes for config in found] == ["ms", "ms", "m"]
    assert [shape(config)[2:] for config in found] == [([1], [2, 3]), ([3], [1]), ([], [])]
    assert found[2].actual(()) == "2"


@pytest.mark.parametrize(
    "attributes",
    [
        "a=pcfg:1 t=1\n",
        "a=tcap:1 RTP/SAVP\na=pcfg:1 t=2\n",
        "a=tcap:1 RTP/SAVP\na=pcfg:1 t=1 a=1\n",
        "a=tcap:1 RTP/SAVP\na=acap:1 x\na=pcfg:1 t=1 a=1,[2]\n",
        "a=tcap:1 RTP/SAVP\na=pcfg:1 t=1 +new=1\n",
        "a=tcap:1 RTP/SAVP\na=pcfg:x t=1\n",
        "a=tcap:1 RTP/SAVP\na=pcfg:1 t=x|\u0661|\n",
        "a=tcap:x RTP/SAVP\na=pcfg:1 t=1\n",
        "a=tcap:1\na=pcfg:1 t=1\n",
        "a=acap:x y\na=pcfg:1 a=1\n",
        "a=acap:1 x\na=pcfg:1 a=(1)\n",
        "a=acap:1 x\na=pcfg:1 a=-x:1\n",
        "a=tcap:1 RTP/SAVP\na=pcfg:1 t=1\na=creq:new\n",
        "a=creq:cap-v0,new\na=pcfg:1\n",
    ],
)
def test_what_cannot_be_used(attributes: str) -> None:
    """Unresolved numbers, mandatory extensions, and lines that cannot be read leave nothing to choose."""
    assert configurations(attributes) == []


def test_what_is_ignored() -> None:
    """Extensions without "+", cap-v0 in a=creq, and numbers beyond ten digits."""
    assert [shape(c) for c in configurations("a=pcfg:1 new=1\na=creq:cap-v0\n")] == [(1, None, [], [])]
    assert [shape(c) for c in configurations(f"a=pcfg:1 a={'9' * 11}\n")] == [(1, None, [], [])]
    assert configurations("a=pcfg:1\n", session="a=creq:new\n") == []


def test_best_first() -> None:
    """Lower numbers come first, whatever their order."""
    assert [config.number for config in configurations("a=pcfg:9\na=pcfg:3\na=pcfg:7\n")] == [3, 7, 9]


def test_alternatives_are_bounded() -> None:
    """However many alternatives a line multiplies out to, 64 are looked at."""
    protos = " ".join(["RTP/SAVP"] * 200)
    lists = "|".join(["1"] * 200)
    numbers = "|".join(map(str, range(1, 201)))
    found = configurations(f"a=tcap:1 {protos}\na=acap:1 x\na=pcfg:1 t={numbers} a={lists}\n")
    assert len(found) == 64
