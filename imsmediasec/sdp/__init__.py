"""SDP, read and edited without loss, with its security attributes typed."""

from imsmediasec.sdp.crypto import CryptoAttribute, InlineKey
from imsmediasec.sdp.dict_view import as_dict
from imsmediasec.sdp.document import MediaDescription, Section, SessionDescription
from imsmediasec.sdp.redact import redact

__all__ = ["CryptoAttribute", "InlineKey", "MediaDescription", "Section", "SessionDescription", "as_dict", "redact"]
