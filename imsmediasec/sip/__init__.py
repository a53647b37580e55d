"""SIP messages, read and edited without loss, and the values of their header fields."""

from imsmediasec.sip.addresses import HistoryEntry, NameAddr
from imsmediasec.sip.caller_preferences import Target, parse_preferences, rank_contacts
from imsmediasec.sip.feature_parameters import FeatureParameters, parse_feature_caps, parse_feature_values
from imsmediasec.sip.fields import HeaderFields
from imsmediasec.sip.framing import Keepalive, StreamFramer
from imsmediasec.sip.grammar import Parameters
from imsmediasec.sip.headers import CSeq, RAck, Replaces, Via, parse_option_tags
from imsmediasec.sip.message import SipMessage
from imsmediasec.sip.multipart import (
    body_parts,
    has_stray_description,
    replace_session_description,
    session_description,
)
from imsmediasec.sip.security_agreement import (
    MediaMechanism,
    SecurityMechanism,
    media_mechanisms,
    parse_security_mechanisms,
    same_mechanisms,
    signalling_choice,
    write_mechanisms,
)
from imsmediasec.sip.uri import OtherUri, SipUri, TelUri, Uri, parse_uri
from imsmediasec.sip.validity import check

__all__ = [
    "CSeq",
    "FeatureParameters",
    "HeaderFields",
    "HistoryEntry",
    "Keepalive",
    "MediaMechanism",
    "NameAddr",
    "OtherUri",
    "Parameters",
    "RAck",
    "Replaces",
    "SecurityMechanism",
    "SipMessage",
    "SipUri",
    "StreamFramer",
    "Target",
    "TelUri",
    "Uri",
    "Via",
    "body_parts",
    "check",
    "has_stray_description",
    "media_mechanisms",
    "parse_feature_caps",
    "parse_feature_values",
    "parse_option_tags",
    "parse_preferences",
    "parse_security_mechanisms",
    "parse_uri",
    "rank_contacts",
    "replace_session_description",
    "same_mechanisms",
    "session_description",
    "signalling_choice",
    "write_mechanisms",
]
