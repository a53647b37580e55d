"""agent/config_file.py: what a file says is what the agent does, and every fault names file, line and reason."""

from __future__ import annotations

from pathlib import Path

import pytest

import imsmediasec as ims
from imsmediasec.agent.config import AgentConfig, SecureForking
from imsmediasec.agent.config_file import address, read_config
from imsmediasec.agent.endpoint import Endpoint, TransportProtocol
from imsmediasec.errors import LocalError, MalformedInput
from imsmediasec.policy_book import Mode
from imsmediasec.registration import THREE_GPP
from imsmediasec.terms import KeyManagement, OnFailure, OptionalForm, Requirement, Scope

WHOLE = """\
[agent]
listen = "127.0.0.1:5060"
network = "[::1]:5070"
transport = "tls"
outbound = "sip:pcscf.example;transport=tls"
softphone = "sip:alice@127.0.0.1:5080"
signalling = "protected"
trust-asserted-identity = true
secure-forking = "rekey"
media-ports = "40000-40099"
ca-file = "ca.pem"
verify-tls = false
allow-other-users = true
mediasec = true
mediasec-profile = "3gpp"

[account]
username = "alice"
password = "verysecret"
realm = "ims.example"

[policy]
mode = "on-request"
request-prefix = "*9"
scope = ["e2m2e", "e2e", "e2ae"]
trusted-middle = ["sip:gateway@ims.example"]
key-management = ["sdes"]
suites = ["AES_CM_128_HMAC_SHA1_80"]
optional-form = "capneg"
forking = "secure"
tolerate = ["unpadded-base64"]
sdes-over-unprotected-signalling = true
accept-unencrypted = false
key-lifetime = 1000000
mki-length = 4
on-exposed = "warn"
on-unprotected = "warn"
on-protection-lost = "ask"
emergency-numbers = ["112"]
media = { video = "preferred" }

[[callee]]
pattern = "sip:*@police.example"
mode = "always"
suites = ["AEAD_AES_256_GCM"]
tolerate = "strict"
terminals = ["sip:desk@police.example"]

[[callee]]
pattern = "sip:*@pub.example"
mode = "automatic"
tolerate = "tolerant"
"""


def read(folder: Path, text: str | bytes) -> AgentConfig:
    file = folder / "agent.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_config(file)


def fault(folder: Path, text: str | bytes) -> str:
    """What is said, behind the file's name."""
    with pytest.raises(LocalError) as caught:
        read(folder, text)
    before, name, after = caught.value.reason.partition("agent.toml:")
    assert name, caught.value.reason
    assert "verysecret" not in caught.value.reason
    assert Path(before) == folder
    return after


def test_every_key(tmp_path: Path) -> None:
    config = read(tmp_path, WHOLE)
    assert (config.local_host, config.local_port) == ("127.0.0.1", 5060)
    assert (config.network_host, config.network_port) == ("::1", 5070)
    assert config.network_protocol is TransportProtocol.TLS
    assert config.outbound == Endpoint(protocol=TransportProtocol.TLS, host="pcscf.example", port=5061)
    assert config.softphone == "sip:alice@127.0.0.1:5080"
    assert config.signalling is ims.Hop.PROTECTED
    assert config.trust_asserted_identity and config.allow_other_users and not config.verify_tls
    assert config.secure_forking is SecureForking.REKEY
    assert config.media_ports == range(40000, 40100)
    assert config.ca_file == "ca.pem"
    assert config.mediasec and config.mediasec_profile is THREE_GPP
    (account,) = config.accounts
    assert (account.username, account.password, account.realm) == ("alice", ims.Secret(b"verysecret"), "ims.example")
    assert "verysecret" not in repr(config)
    policy = config.policy
    assert policy.scope == (Scope.END_TO_MIDDLE_TO_END, Scope.END_TO_END, Scope.END_TO_ACCESS_EDGE)
    assert policy.trusted_middle == ("sip:gateway@ims.example",)
    assert policy.key_management == (KeyManagement.SDES,)
    assert [suite.name for suite in policy.suites] == ["AES_CM_128_HMAC_SHA1_80"]
    assert policy.optional_form is OptionalForm.CAPABILITY_NEGOTIATION
    assert policy.tolerate == {ims.Quirk.UNPADDED_BASE64}
    assert policy.sdes_over_unprotected_signalling and not policy.accept_unencrypted
    assert (policy.key_lifetime, policy.mki_length) == (1_000_000, 4)
    assert policy.on_exposed is policy.on_unprotected is OnFailure.WARN
    assert policy.on_protection_lost is OnFailure.ASK
    assert policy.emergency_numbers == ("112",)
    assert policy.requirement_by_media == {"video": Requirement.PREFERRED}
    book = config.book
    assert book is not None
    assert book.request_prefix == "*9" and book.default.mode is Mode.ON_REQUEST
    police, pub = book.rules
    assert police.policy.terminals == ("sip:desk@police.example",)
    assert [suite.name for suite in police.policy.suites] == ["AEAD_AES_256_GCM"]
    assert police.policy.tolerate == ims.STRICT and pub.policy.tolerate == ims.TOLERANT
    assert pub.policy.mki_length == 4, "what [policy] says holds for callees too"


def test_empty_file_is_the_default(tmp_path: Path) -> None:
    config = read(tmp_path, "")
    assert config.policy == ims.SecurityPolicy()
    assert config.local_port == 0 and config.accounts == ()


def test_outbound_names_the_transport(tmp_path: Path) -> None:
    config = read(tmp_path, '[agent]\noutbound = "sips:pcscf.example"\n')
    assert config.network_protocol is TransportProtocol.TLS
    assert config.hop is ims.Hop.PROTECTED


def test_default_rule_applies_elsewhere(tmp_path: Path) -> None:
    config = read(tmp_path, '[policy]\nmode = "never"\n[[callee]]\npattern = "sip:*@x.example"\nmode = "always"\n')
    assert config.policy_for("sip:a@x.example").requirement is Requirement.REQUIRED
    assert config.policy_for("sip:a@y.example").requirement is Requirement.DISABLED


TWO = '[policy]\n\n[[callee]]\npattern = "sip:*@x.example"\n\n[[callee]]\n'


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        # Unknown keys
        ("[agnt]\n", 1, "agnt is not known here; known: account, agent, callee, policy"),
        ('\n\n[agent]\nlisten = "127.0.0.1:1"\nlissten = "x"\n', 5, "lissten is not known here"),
        ("# x\n[policy]\nmode = 'always'\nscopes = []\n", 4, "scopes is not known here"),
        (TWO + 'pattern = "sip:*@y.example"\nrequest-prefix = "x"\n', 8, "request-prefix is not known here"),
        ('[account]\nuser = "x"\n', 2, "user is not known here"),
        # Wrong types
        ("agent = 5\n", 1, "[agent] is a table"),
        ("policy = []\n", 1, "[policy] is a table"),
        ("callee = 5\n", 1, "write [[callee]]"),
        ("[callee]\npattern = 'x'\n", 1, "write [[callee]]"),
        ("[agent]\nverify-tls = 1\n", 2, "verify-tls: 1 does not fit"),
        ("[agent]\nca-file = 1\n", 2, "ca-file: this is to be text"),
        ("[agent]\nsoftphone = 1\n", 2, "softphone: this is to be text"),
        ("[agent]\ntransport = 1\n", 2, "transport: this is to be text"),
        ("[policy]\nrequest-prefix = 9\n", 2, "request-prefix: this is to be text"),
        ('[policy]\nemergency-numbers = "112"\n', 2, "emergency-numbers: this is to be a list"),
        ('[policy]\ntrusted-middle = "sip:x"\n', 2, "trusted-middle: this is to be a list"),
        ('[policy]\nscope = "e2e"\n', 2, "scope: this is to be a list"),
        ("[policy]\nsuites = [1]\n", 2, "suites: this is to be a list"),
        ("[policy]\nkey-lifetime = true\n", 2, "key-lifetime: True does not fit"),
        ("[policy]\nkey-lifetime = 1.5\n", 2, "key-lifetime: 1.5 does not fit"),
        ("[policy]\nmedia = 5\n", 2, "media: 5 does not fit"),
        ('[policy]\nterminals = "x"\n', 2, "terminals: this is to be a list"),
        ("[policy]\ntolerate = 5\n", 2, "tolerate: this is to be a list"),
        ('[account]\nusername = "a"\n', 1, "username and password are needed"),
        ('[account]\nusername = "a"\npassword = 5\n', 3, "username and password are needed"),
        ('[account]\nusername = "a"\npassword = "verysecret"\nrealm = 5\n', 4, "realm is text"),
        # Values that are none
        ('[policy]\nmode = "sometimes"\n', 2, "one of always, automatic, on-request, never"),
        ("[policy]\nmode = []\n", 2, "one of always"),
        ('[agent]\nmediasec-profile = "ims"\n', 2, "ims is none of carrier, 3gpp"),
        ("[agent]\nmediasec = 1\n", 2, "mediasec: 1 does not fit"),
        ('[agent]\noutbound = "sip:x"\nmediasec = true\n', 3, 'needs "e2ae" in the scope'),
        ('[agent]\nmediasec = true\n[policy]\nscope = ["e2ae"]\n', 2, "mediasec needs outbound"),
        ('[agent]\nsignalling = "maybe"\n', 2, "one of protected, unprotected"),
        ('[agent]\ntransport = "sctp"\n', 2, "sctp is none of udp, tcp, tls"),
        ('[policy]\nsuites = ["AES_CM_128_HMAC_SHA1_80", "ROT13"]\n', 2, "ROT13 is no crypto suite"),
        ('[policy]\ntolerate = ["all"]\n', 2, "tolerate: ['all'] does not fit"),
        ('[policy]\nmedia = { audio = "perhaps" }\n', 2, "media: {'audio': 'perhaps'} does not fit"),
        # Addresses
        ('[agent]\nlisten = "127.0.0.1"\n', 2, "is no address and port, such as 127.0.0.1:5060"),
        ('[agent]\nlisten = "localhost:5060"\n', 2, "is no address and port"),
        ('[agent]\nnetwork = "127.0.0.1:99999"\n', 2, "is no address and port"),
        ('[agent]\nnetwork = "127.0.0.1:-1"\n', 2, "is no address and port"),
        ('[agent]\nlisten = "192.0.2.1:5060"\n', 2, "on loopback only"),
        ('[agent]\noutbound = "http://x"\n', 2, "outbound: "),
        ('[agent]\noutbound = "sip:x;transport=sctp"\n', 2, "transport SCTP is not supported"),
        ('[agent]\nmedia-ports = "9-8"\n', 2, "media-ports: '9-8' is no range of ports"),
        ('[agent]\nmedia-ports = "80-90"\n', 2, "media-ports"),
        ('[agent]\nmedia-ports = "x"\n', 2, "media-ports"),
        ('[agent]\nmedia-ports = "40000-x"\n', 2, "media-ports"),
        ('[agent]\nmedia-ports = "40000-65536"\n', 2, "media-ports"),
        # Contradictions
        ('[agent]\ntransport = "udp"\noutbound = "sips:x"\n', 3, "outbound says TLS, transport says otherwise"),
        ('[policy]\nmode = "on-request"\n', 2, "on-request needs request-prefix"),
        (TWO + 'pattern = "sip:y"\nmode = "on-request"\n', 8, "on-request needs request-prefix"),
        (TWO + 'pattern = "sip:bob@x.example"\n', 7, "sip:bob@x.example never holds: sip:*@x.example before it"),
        (TWO + 'mode = "always"\n', 6, "a [[callee]] needs a pattern"),
        (TWO + "pattern = 5\n", 7, "a [[callee]] needs a pattern"),
        ("callee = [5]\n", 1, "a [[callee]] needs a pattern"),
        (TWO + 'pattern = "sip:y"\nterminals = ["sip:z"]\n', 8, "terminals: SDES cannot tell"),
        ('[policy]\ntrusted-middle = ["sip:gw"]\n', 2, "trusted_middle names nodes, but scope does not list"),
        ('[policy]\nscope = ["e2e", "e2e"]\n', 2, "scope names something twice"),
        ("[policy]\nsuites = []\n", 1, "need at least one entry each"),
        ("[policy]\nmki-length = 129\n", 2, "mki_length is 1 to 128"),
        ("[policy]\nkey-lifetime = 0\n", 2, "key_lifetime is 1 to 2^31"),
        ('[policy]\nmode = "never"\nmedia.video = "required"\n', 3, "mode never contradicts"),
        # Where a line is looked for
        ('[policy]\nsuites = [\n  "AES_CM_128_HMAC_SHA1_80",\n]\nmode = "x"\n', 5, "mode"),
        ('[policy]\nsuites = [\n"AES_CM_128_HMAC_SHA1_80"\n]\ntolerate = [\n["a"]\n]\n', 5, "tolerate"),
        ("[policy]\nmedia = { x = [\n[1]\n] }\nmki-length = 0\n", 2, "media"),
        ('policy.mode = "x"\n', 1, "mode"),
        ('[ "policy" ] # x\nmode = "x"\n', 1, "mode"),
        ('[[ callee ]] # first\n"pattern" = 5\n', 2, "needs a pattern"),
        # No TOML
        ("[agent\n", 1, "this is no TOML: "),
        ('\n\n[agent]\nlisten = "\n', 4, "this is no TOML: "),
        ("[agent]\nx = '''\n", 3, "this is no TOML: "),
    ],
)
def test_faults_name_line_and_reason(tmp_path: Path, text: str, line: int, reason: str) -> None:
    said = fault(tmp_path, text)
    assert said.startswith(f"{line}: "), said
    assert reason in said


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match=r"none\.toml: cannot be read: No such file"):
        read_config(tmp_path / "none.toml")
    with pytest.raises(LocalError, match=r"agent\.toml: is not UTF-8"):
        read(tmp_path, b"\xff")


def test_addresses() -> None:
    assert address("127.0.0.1:0") == ("127.0.0.1", 0)
    assert address("[::1]:65535") == ("::1", 65535)
    for bad in ("::1", "", "127.0.0.1:", "1:2:3", "127.0.0.1:\N{ARABIC-INDIC DIGIT ONE}", "127.0.0.1:65536", 5):
        with pytest.raises(MalformedInput):
            address(bad)
