"""The agent's configuration from a TOML file. Every fault names file, line and reason."""

from __future__ import annotations

import ipaddress
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import fields
from enum import Enum
from pathlib import Path
from typing import Any, NoReturn

from imsmediasec.agent.config import Account, AgentConfig, SecureForking
from imsmediasec.agent.endpoint import TransportProtocol
from imsmediasec.agent.passing import endpoint_of
from imsmediasec.errors import LocalError, MalformedInput, MediaSecurityError
from imsmediasec.policy import STRICT, TOLERANT, Quirk, SecurityPolicy
from imsmediasec.policy_book import Mode, PolicyBook, Rule, unreachable
from imsmediasec.registration import CARRIER, THREE_GPP, AgreementProfile
from imsmediasec.secret import Secret
from imsmediasec.suites import suite_by_name
from imsmediasec.terms import Forking, Hop, KeyManagement, OnFailure, OptionalForm, Requirement, Scope


def read_config(path: Path) -> AgentConfig:
    """Read and check the file. Raises LocalError, "FILE:LINE: reason"."""
    return _Reader(path).config()


class _Reader:
    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._text = path.read_text("utf-8")
            self._data: dict[str, Any] = tomllib.loads(self._text)
        except OSError as error:
            raise LocalError(f"{path}: cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise LocalError(f"{path}: is not UTF-8") from None
        except tomllib.TOMLDecodeError as error:
            reason, _, place = str(error).partition(" (at line ")
            line = place.partition(",")[0] or str(self._text.count("\n") + 1)
            raise LocalError(f"{path}:{line}: this is no TOML: {reason}") from None

    def config(self) -> AgentConfig:
        self._only("", self._data, {"agent", "account", "policy", "callee"})
        agent = self._table("agent")
        options: dict[str, Any] = {}
        readers: dict[str, tuple[str, Callable[[Any], Any]]] = {
            "transport": ("network_protocol", _protocol),
            "outbound": ("outbound", lambda v: endpoint_of(_text(v))),
            "softphone": ("softphone", lambda v: _text(endpoint_of(_text(v)) and v)),
            "signalling": ("signalling", Hop),
            "trust-asserted-identity": ("trust_asserted_identity", _boolean),
            "secure-forking": ("secure_forking", SecureForking),
            "media-ports": ("media_ports", port_range),
            "ca-file": ("ca_file", _text),
            "verify-tls": ("verify_tls", _boolean),
            "allow-other-users": ("allow_other_users", _boolean),
            "mediasec": ("mediasec", _boolean),
            "mediasec-profile": ("mediasec_profile", _profile),
        }
        self._only("agent", agent, {"listen", "network", *readers})
        for key, (host, port) in (
            ("listen", ("local_host", "local_port")),
            ("network", ("network_host", "network_port")),
        ):
            if key in agent:
                options[host], options[port] = self._read("agent", key, address, agent[key])
        for key, (name, reader) in readers.items():
            if key in agent:
                options[name] = self._read("agent", key, reader, agent[key])
        if "local_host" in options and not ipaddress.ip_address(options["local_host"]).is_loopback:
            self._fail("agent", "listen", "softphones are served on loopback only, such as 127.0.0.1:5060")
        if "outbound" in options:
            protocol = options["outbound"].protocol
            if options.setdefault("network_protocol", protocol) is not protocol:
                self._fail("agent", "outbound", f"outbound says {protocol.value}, transport says otherwise")
        if "account" in self._data:
            options["accounts"] = (self._account(self._table("account")),)
        book = self._book()
        try:
            return AgentConfig(policy=book.default.policy, book=book, **options)
        except LocalError as error:
            self._fail("agent", "mediasec", error.reason)

    def _account(self, table: Mapping[str, Any]) -> Account:
        self._only("account", table, {"username", "password", "realm"})
        for key in ("username", "password"):
            if not isinstance(table.get(key), str):
                self._fail("account", key, "username and password are needed, as text")
        if not isinstance(table.get("realm", ""), str):
            self._fail("account", "realm", "realm is text")
        return Account(
            username=table["username"], password=Secret(table["password"].encode()), realm=table.get("realm")
        )

    def _book(self) -> PolicyBook:
        table = self._table("policy")
        prefix = self._read("policy", "request-prefix", _text, table.get("request-prefix", ""))
        default = self._rule("policy", table, "*", {"request-prefix"})
        rules: list[Rule] = []
        entries = self._data.get("callee", [])
        if not isinstance(entries, list):
            self._fail("", "callee", "write [[callee]], once for each pattern")
        for number, entry in enumerate(entries, 1):
            where = f"callee#{number}"
            if not isinstance(entry, dict) or not isinstance(entry.get("pattern"), str):
                self._fail(where, "pattern", "a [[callee]] needs a pattern such as sip:*@example.org")
            merged = {key: value for key, value in table.items() if key != "request-prefix"} | entry
            rules.append(self._rule(where, merged, entry["pattern"], {"pattern"}))
            for hidden, by in unreachable(rules):
                self._fail(where, "pattern", f"{hidden.pattern} never holds: {by.pattern} before it matches the same")
        for where, rule in [("policy", default), *((f"callee#{n}", r) for n, r in enumerate(rules, 1))]:
            if rule.mode is Mode.ON_REQUEST and not prefix:
                self._fail(where, "mode", "on-request needs request-prefix in [policy], or nobody can ask for it")
        return PolicyBook(default=default, rules=tuple(rules), request_prefix=str(prefix))

    def _rule(self, where: str, table: Mapping[str, Any], pattern: str, more: set[str]) -> Rule:
        readers: dict[str, Callable[[Any], Any]] = {
            "scope": lambda v: tuple(Scope(item) for item in _list(v)),
            "key-management": lambda v: tuple(KeyManagement(item) for item in _list(v)),
            "suites": lambda v: tuple(_suite(item) for item in _list(v)),
            "optional-form": OptionalForm,
            "forking": Forking,
            "trusted-middle": _list,
            "terminals": _list,
            "tolerate": _tolerance,
            "sdes-over-unprotected-signalling": _boolean,
            "accept-unencrypted": _boolean,
            "key-lifetime": _integer,
            "mki-length": _integer,
            "on-exposed": OnFailure,
            "on-caller-exposed": OnFailure,
            "on-unprotected": OnFailure,
            "on-protection-lost": OnFailure,
            "emergency-numbers": _list,
            "media": lambda v: {media: Requirement(requirement) for media, requirement in v.items()},
        }
        self._only(where, table, {"mode", *more, *readers})
        mode = self._read(where, "mode", Mode, table.get("mode", "always"))
        options = {}
        known = {f.name for f in fields(SecurityPolicy)}
        for key, reader in readers.items():
            if key in table:
                name = "requirement_by_media" if key == "media" else key.replace("-", "_")
                assert name in known
                options[name] = self._read(where, key, reader, table[key])
        try:
            return Rule(pattern=pattern, mode=mode, policy=SecurityPolicy(**options))
        except LocalError as error:
            word = error.reason.removeprefix("policy: ").split(":")[0].split()[0].rstrip(",")
            self._fail(where, word.replace("_", "-"), error.reason)

    def _table(self, name: str) -> Mapping[str, Any]:
        table = self._data.get(name, {})
        if not isinstance(table, dict):
            self._fail(name, "", f"[{name}] is a table")
        return table

    def _only(self, where: str, table: Mapping[str, Any], known: set[str]) -> None:
        for key in table:
            if key not in known:
                self._fail(where, key, f"{key} is not known here; known: {', '.join(sorted(known))}")

    def _read(self, where: str, key: str, reader: Callable[[Any], Any], value: Any) -> Any:
        try:
            return reader(value)
        except (ValueError, TypeError, AttributeError, MediaSecurityError) as error:
            choices = ""
            if isinstance(reader, type) and issubclass(reader, Enum):
                choices = f"; one of {', '.join(str(item.value) for item in reader)}"
            reason = error.reason if isinstance(error, MediaSecurityError) else f"{value!r} does not fit"
            self._fail(where, key, f"{key}: {reason}{choices}")

    def _fail(self, where: str, key: str, reason: str) -> NoReturn:
        raise LocalError(f"{self._path}:{self._line(where, key)}: {reason}")

    def _line(self, where: str, key: str) -> int:
        """The line of `key` in the table `where` ("callee#2": the second [[callee]]); 1 if it is not found."""
        table, _, number = where.partition("#")
        section, count, header = "", 0, 1
        for position, line in enumerate(self._text.splitlines(), 1):
            match = re.match(r"\s*\[\[?\s*([\w.-]+)\s*\]\]?\s*(?:#.*)?$", line)
            if match:
                section = match[1]
                count += section == table
                if section == table and (not number or count == int(number)):
                    header = position
            here = section == table and (not number or count == int(number))
            if here and key and re.match(rf"\s*\"?{re.escape(key)}\"?\s*[.=]", line):
                return position
            if not where and section == key:
                return position
        return header


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise MalformedInput("this is to be text, in quotes")
    return value


def _protocol(value: Any) -> TransportProtocol:
    try:
        return TransportProtocol(_text(value).upper())
    except ValueError:
        raise MalformedInput(f"{value} is none of udp, tcp, tls") from None


def _profile(value: Any) -> AgreementProfile:
    profiles = {profile.name: profile for profile in (CARRIER, THREE_GPP)}
    if _text(value) not in profiles:
        raise MalformedInput(f"{value} is none of {', '.join(profiles)}")
    return profiles[value]


def _list(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise MalformedInput('this is to be a list of texts, such as ["one", "two"]')
    return tuple(value)


def address(value: Any) -> tuple[str, int]:
    """Host and port of "127.0.0.1:5060" or "[::1]:5060". Raises MalformedInput."""
    host, _, port = str(value).rpartition(":")
    try:
        where = str(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        where = ""
    if not where or not (port.isascii() and port.isdigit()) or int(port[:6]) > 65535:
        raise MalformedInput(f"{value!r} is no address and port, such as 127.0.0.1:5060")
    return where, int(port)


def port_range(value: Any) -> range:
    """The ports of "40000-40099". Raises MalformedInput."""
    first, _, last = str(value).partition("-")
    if first.isascii() and first.isdigit() and last.isascii() and last.isdigit():
        ports = range(int(first[:6]), int(last[:6]) + 1)
        if 1024 <= ports.start < ports.stop <= 65536:
            return ports
    raise MalformedInput(f"{value!r} is no range of ports from 1024 to 65535, such as 40000-40099")


def _suite(name: Any) -> Any:
    suite = suite_by_name(str(name))
    if suite is None:
        raise MalformedInput(f"{name} is no crypto suite")
    return suite


def _tolerance(value: Any) -> frozenset[Quirk]:
    if value == "strict":
        return STRICT
    if value == "tolerant":
        return TOLERANT
    return frozenset(Quirk(item) for item in _list(value))
