"""Progress of a study. Imports Ray, so only `ray_jobs.tuning` does so, when it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from ray import tune

if TYPE_CHECKING:
    from collections.abc import Callable


class TrialProgress(tune.Callback):
    """Tells how many trials have ended.

    Ray Tune keeps its callbacks with the study and goes on with those: who listens is the class's, not kept.
    """

    listener: ClassVar[Callable[[str, int, int], None] | None] = None
    trials: ClassVar[int] = 0

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Called by Ray Tune."""
        del iteration, info
        ended = sum(one.is_finished() or one is trial for one in trials)
        if TrialProgress.listener is not None:
            TrialProgress.listener("trials", min(ended, self.trials), self.trials)
