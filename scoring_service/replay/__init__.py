"""Replay: what was answered, computed again from snapshots and journal, bit by bit."""

from scoring_service.replay.service import Difference, Replay, Trial, replay, try_bundle

__all__ = ["Difference", "Replay", "Trial", "replay", "try_bundle"]
