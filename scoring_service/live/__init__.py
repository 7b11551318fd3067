"""The live graph of this very moment, the journal behind it, and the generation that answers."""

__all__ = ["LiveState", "NotAccepted"]

from scoring_service.live.state import LiveState, NotAccepted
