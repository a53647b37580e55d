"""Media plane: SRTP and SRTCP on libsrtp and `cryptography`."""

from imsmediasec.media.srtp_backend import PylibsrtpBackend
from imsmediasec.media.srtp_session import KeyExpiring, MediaStream

__all__ = ["KeyExpiring", "MediaStream", "PylibsrtpBackend"]
