"""sip/digest.py against the examples of RFC 2617 3.5 and RFC 7616 3.9.1, and hashes made by hand."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from imsmediasec.errors import LocalError, MalformedInput
from imsmediasec.secret import Secret
from imsmediasec.sip.digest import Algorithm, Challenge, Credentials, authorization, best_challenge

PASSWORD = Secret(b"Circle Of Life")


def test_the_example_of_rfc_2617() -> None:
    challenge = Challenge.parse(
        'Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", '
        'opaque="5ccc069c403ebaf9f0171e9517f40e41"'
    )
    credentials = authorization(
        challenge, username="Mufasa", password=PASSWORD, method="GET", uri="/dir/index.html", cnonce="0a4f113b"
    )
    assert credentials.response == "6629fae49393a05397450978507c4ef1" and credentials.qop == "auth"
    assert str(credentials) == (
        'Digest username="Mufasa", realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", '
        'uri="/dir/index.html", response="6629fae49393a05397450978507c4ef1", algorithm=MD5, '
        'opaque="5ccc069c403ebaf9f0171e9517f40e41", qop=auth, cnonce="0a4f113b", nc=00000001'
    )
    assert Credentials.parse(str(credentials)) == credentials


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_examples_of_rfc_7616(algorithm: str, response: str) -> None:
    challenge = Challenge.parse(
        f'DIGEST\trealm="http-auth@example.org", qop="auth, auth-int", algorithm={algorithm}, '
        'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
    )
    credentials = authorization(
        challenge,
        username="Mufasa",
        password=Secret(b"Circle of Life"),
        method="GET",
        uri="/dir/index.html",
        cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
    )
    assert credentials.response == response
    assert credentials.verifies(Secret(b"Circle of Life"), method="GET")
    assert not credentials.verifies(Secret(b"Circle of Life"), method="PUT")
    assert not credentials.verifies(Secret(b"other"), method="GET")


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


def test_without_qop_as_rfc_2069() -> None:
    credentials = authorization(
        Challenge(realm="r", nonce="n"), username="u", password=Secret(b"p"), method="REGISTER", uri="sip:r", cnonce="c"
    )
    assert credentials.response == md5(f"{md5('u:r:p')}:n:{md5('REGISTER:sip:r')}")
    assert credentials.cnonce is None and credentials.nonce_count is None and "nc=" not in str(credentials)
    assert credentials.verifies(Secret(b"p"), method="REGISTER")


def test_session_variant_and_integrity() -> None:
    challenge = Challenge(realm="r", nonce="n", algorithm=Algorithm.MD5_SESS, qop=("auth-int",))
    credentials = authorization(
        challenge, username="u", password=Secret(b"p"), method="M", uri="x", cnonce="c", nonce_count=0x1F, body=b"B"
    )
    a1, a2 = md5(f"{md5('u:r:p')}:n:c"), md5(f"M:x:{md5('B')}")
    assert credentials.response == md5(f"{a1}:n:0000001f:c:auth-int:{a2}")
    assert credentials.verifies(Secret(b"p"), method="M", body=b"B")
    assert not credentials.verifies(Secret(b"p"), method="M", body=b"b")
    for broken in ({"cnonce": None}, {"nonce_count": None}, {"algorithm": None}, {"qop": "x"}, {"response": "\xff"}):
        assert not replace(credentials, **broken).verifies(Secret(b"p"), method="M", body=b"B")


def test_a_name_outside_ascii_goes_as_utf8() -> None:
    credentials = authorization(
        Challenge(realm="r", nonce="n"), username="Jörg", password=Secret("ß".encode()), method="M", uri="x", cnonce="c"
    )
    assert credentials.response == md5(f"{md5('Jörg:r:ß')}:n:{md5('M:x')}")


def test_challenges_are_read_and_written() -> None:
    challenge = Challenge.parse(
        'Digest realm="a\\"b", nonce="n", stale=TRUE, algorithm=sha-256-SESS, qop="auth", domain="x"'
    )
    assert challenge.realm == 'a"b' and challenge.stale and challenge.algorithm is Algorithm.SHA_256_SESS
    assert Challenge.parse(str(challenge)) == challenge
    assert Challenge.parse('Digest realm=r, nonce="", qop=" , "') == Challenge(realm="r", nonce="")
    unknown = Challenge.parse('Digest realm="r", nonce="n", algorithm=AKAv1-MD5')
    assert unknown.algorithm is None and not unknown.usable and "algorithm" not in str(unknown)
    with pytest.raises(LocalError):
        authorization(unknown, username="u", password=PASSWORD, method="M", uri="x", cnonce="c")
    assert not Challenge(realm="r", nonce="n", qop=("x",)).usable


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Basic realm=x",
        'Digest realm="r"',
        'Digest nonce="n"',
        "Digest a",
        'Digest a=b, A="c"',
        'Digest realm="r',
        "Digest a b=c",
    ],
)
def test_broken_challenges_are_malformed(value: str) -> None:
    with pytest.raises(MalformedInput):
        Challenge.parse(value)


@pytest.mark.parametrize("change", [("nc=00000001", "nc=1"), ("username=", "user="), ("uri=", "url=")])
def test_broken_credentials_are_malformed(change: tuple[str, str]) -> None:
    good = 'Digest username="u", realm="r", nonce="n", uri="x", response="y", nc=00000001'
    assert Credentials.parse(good).nonce_count == 1
    assert str(replace(Credentials.parse(good), algorithm=None)).count("algorithm") == 0
    with pytest.raises(MalformedInput):
        Credentials.parse(good.replace(*change))


def test_the_strongest_usable_challenge_is_answered() -> None:
    weak, strong = 'Digest realm="r", nonce="1"', 'Digest realm="r", nonce="2", algorithm=SHA-256'
    best = best_challenge([weak, "Digest broken", 'Digest realm="r", nonce="3", algorithm=AKAv2-SHA-256', strong])
    assert best is not None and best.nonce == "2"
    assert best_challenge(["Basic x"]) is None


def test_the_password_is_not_shown() -> None:
    credentials = authorization(
        Challenge(realm="r", nonce="n"), username="u", password=PASSWORD, method="M", uri="x", cnonce="c"
    )
    assert "Circle" not in repr(credentials) + str(credentials) and "Secret" not in repr(credentials)
