"""SIP messages, read and edited without loss, and the values of their header fields."""

from imsmediasec.sip.addresses import HistoryEntry, NameAddr
from imsmediasec.sip.fields import HeaderFields
from imsmediasec.sip.framing import Keepalive, StreamFramer
from imsmediasec.sip.grammar import Parameters
from imsmediasec.sip.headers import CSeq, RAck, Replaces, Via, parse_option_tags
from imsmediasec.sip.message import SipMessage
from imsmediasec.sip.multipart import body_parts, replace_session_description, session_description
from imsmediasec.sip.uri import OtherUri, SipUri, TelUri, Uri, parse_uri
from imsmediasec.sip.validity import check

__all__ = [
    "CSeq",
    "HeaderFields",
    "HistoryEntry",
    "Keepalive",
    "NameAddr",
    "OtherUri",
    "Parameters",
    "RAck",
    "Replaces",
    "SipMessage",
    "SipUri",
    "StreamFramer",
    "TelUri",
    "Uri",
    "Via",
    "body_parts",
    "check",
    "parse_option_tags",
    "parse_uri",
    "replace_session_description",
    "session_description",
]
