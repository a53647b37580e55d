"""The security of the media of one call: offers, answers, forking, status. No I/O."""

from imsmediasec.negotiation.negotiation import Negotiation

__all__ = ["Negotiation"]
