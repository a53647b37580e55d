"""Contacts of a REGISTER and its 2xx, and how long they live (RFC 3261 10.2, 10.3)."""

from __future__ import annotations

from collections.abc import Sequence

from imsmediasec.errors import LocalError, MalformedInput
from imsmediasec.sip.addresses import NameAddr
from imsmediasec.sip.feature_parameters import MAX_VALUES
from imsmediasec.sip.fields import field_key
from imsmediasec.sip.folding import one_line
from imsmediasec.sip.grammar import LWS, number, split

DEFAULT_EXPIRES = 3600
Headers = Sequence[tuple[str, str]]

_CLAUSE = "RFC 3261 20.10"


def values_of(headers: Headers, name: str) -> list[str]:
    """The values of all fields of this name, compact form included, in order."""
    key = field_key(name)
    return [value for other, value in headers if field_key(other) == key]


def contacts_of(headers: Headers) -> list[str]:
    """All values of Contact, each on one line. `MalformedInput`: an open quote, or more than `MAX_VALUES`."""
    found = [one_line(value, clause=_CLAUSE) for line in values_of(headers, "Contact") for value in split(line)]
    if len(found) > MAX_VALUES:
        raise MalformedInput("too many Contacts", clause=_CLAUSE)
    return found


def contact_uri(contact: str) -> str:
    """The URI of a Contact of our own, given with or without <>; "" stays. Raises LocalError if there is none."""
    if not contact:
        return ""
    try:
        return str(NameAddr.parse(contact if "<" in contact else f"<{contact}>").uri)
    except MalformedInput as error:
        raise LocalError(f"contact: {error.reason}") from None


def expires_of(contact: NameAddr | None, headers: Headers) -> int:
    """Seconds of this Contact: its parameter, else the Expires header, else `DEFAULT_EXPIRES`.

    `MalformedInput` for what is no number below 2**32 (RFC 3261 20.19).
    """
    text = None if contact is None else contact.parameters.get("expires")
    if text is None:
        text = next(iter(values_of(headers, "Expires")), str(DEFAULT_EXPIRES)).strip(LWS)
    return number(text, 2**32 - 1, "expires", "RFC 3261 20.19")


def granted(headers: Headers) -> dict[str, int]:
    """Seconds by URI that a 2xx grants to each Contact it lists.

    A Contact that cannot be read is another terminal's fault and passed over, unless none can be read:
    then `MalformedInput`.
    """
    found: dict[str, int] = {}
    broken: MalformedInput | None = None
    for value in contacts_of(headers):
        try:
            contact = NameAddr.parse(value)
            found[str(contact.uri)] = expires_of(contact, headers)
        except MalformedInput as error:
            broken = error
    if broken is not None and not found:
        raise broken
    return found


def lifetime(headers: Headers, uri: str = "") -> int:
    """Seconds that a 2xx grants to the Contact with `uri`, else the longest of all; 0 without any Contact."""
    found = granted(headers)
    return found[uri] if uri in found else max(found.values(), default=0)
