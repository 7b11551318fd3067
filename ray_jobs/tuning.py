"""Which trees, on which families of inputs: a study by Ray Tune, resumed where it was cut short."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from gnn.choices import Choices, families
from gnn.trees import ROUNDS
from gnn.trials import Trials
from graph_etl.progress import silent
from ray_jobs.cluster import connected
from ray_jobs.errors import JobFailed
from ray_jobs.kept import Kept
from ray_jobs.places import within_reach
from ray_jobs.sage_training import SageSettings
from ray_jobs.training import OverRay

if TYPE_CHECKING:
    from collections.abc import Callable

    from gnn.trees import Model
    from graph_etl import Snapshot, Workspace

MODELS: Final[tuple[Model, ...]] = ("lightgbm", "extra_trees", "random_forest")
"""Models that need no extra."""

LEAST_GAIN: Final = 0.002
"""Less than this over the defaults is chance: every trial is judged on the same held-out accounts."""

_PRECISION: Final = "average_precision"
_ROUNDS: Final = "trees"
_DEFAULTS: Final = Choices()


@dataclass(frozen=True, slots=True)
class Study:
    """What came of a study.

    Attributes:
        choices: The best; the defaults unless others gained `LEAST_GAIN`.
        precision: Average precision of the best on held-out accounts; the best of many flatters itself.
        defaults: That of the defaults.
        trials: Number of trials, those of earlier runs too.
        stopped: Number of them that were given up early.
    """

    choices: Choices
    precision: float
    defaults: float
    trials: int
    stopped: int


def tune_over_ray(
    snapshot: Snapshot,
    workspace: Workspace,
    *,
    trials: int = 30,
    address: str | None = None,
    store: str | None = None,
    seed: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
) -> Study:
    """Search for better choices than the defaults, which are the first trial.

    Optuna's tree-structured Parzen estimator (Bergstra et al., 2011) proposes; successive halving (ASHA, Li
    et al., 2020) gives up early by the precision of the first trees.

    Args:
        snapshot: The snapshot.
        workspace: Keeps the study; of those before it the last few stay.
        trials: Number of trials. A study of as many that was cut short goes on.
        address: As for `ray_jobs.cluster.connected`.
        store: Address of a folder that all nodes see; the workspace if None.
        seed: Of everything random.
        progress: Called with a stage, trials done and trials in all.

    Returns:
        What came of it.

    Raises:
        RayMissing: If Ray or Optuna is not installed.
        JobFailed: If there is nothing to judge by, or trials fail.
    """
    tell = progress or silent
    with connected(address) as ray:
        place = within_reach(snapshot.path, store)
        words = [place.content_hash, seed, trials]
        kept = Kept.of_run(store or str((workspace.path / "ray").resolve()), "study", words)
        over = OverRay(ray, place, kept, SageSettings(), 1)
        shared = Trials.of(snapshot, seed=seed, spread=over, progress=tell)
        if not shared.judged:
            message = f"snapshot {snapshot.id}: too few verdicts of both kinds to judge trials by"
            raise JobFailed(message)
        found = _run_trials(shared, kept.url, trials, seed, tell)
    return _best(found)


def _run_trials(
    shared: Trials, folder: str, trials: int, seed: int, tell: Callable[[str, int, int], None]
) -> Any:
    """Results of all trials, those of a run that was cut short among them."""
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler

    from ray_jobs.trial_progress import TrialProgress

    names = families(shared.run.snapshot)
    trainable = tune.with_resources(tune.with_parameters(_try, shared=shared), {"CPU": 1})
    if tune.Tuner.can_restore(f"{folder}/trials"):
        tuner = tune.Tuner.restore(f"{folder}/trials", trainable, restart_errored=True)
    else:
        space = {"model": tune.choice(list(MODELS))} | {name: tune.choice([True, False]) for name in names}
        tuner = tune.Tuner(
            trainable,
            param_space=space,
            tune_config=tune.TuneConfig(
                metric=_PRECISION,
                mode="max",
                search_alg=_search({"model": _DEFAULTS.model} | dict.fromkeys(names, True), seed),
                scheduler=ASHAScheduler(time_attr=_ROUNDS, max_t=ROUNDS[-1], grace_period=ROUNDS[0]),
                num_samples=trials,
            ),
            run_config=tune.RunConfig(
                name="trials", storage_path=folder, verbose=0, callbacks=[TrialProgress()]
            ),
        )
    tell("trials", 0, trials)
    TrialProgress.listener, TrialProgress.trials = tell, trials
    try:
        with warnings.catch_warnings():
            # A trial that was cut short begins again, and says again what it had said.
            warnings.filterwarnings("ignore", message="The reported value is ignored")
            found = tuner.fit()
    finally:
        TrialProgress.listener = None
    if found.num_errors:
        message = f"{found.num_errors} of {trials} trials failed, first: {_first_line(found.errors[0])}"
        raise JobFailed(message)
    tell("trials", trials, trials)
    return found


def _try(config: dict[str, Any], shared: Trials) -> None:
    """One trial, in a process of its own."""
    from ray import tune

    for rounds, precision in shared.precision(_choices(config)):
        tune.report({_PRECISION: precision, _ROUNDS: rounds})


def _choices(config: dict[str, Any]) -> Choices:
    left_out = sorted(name for name, kept in config.items() if name != "model" and not kept)
    return Choices(config["model"], tuple(left_out))


def _search(first: dict[str, Any], seed: int) -> Any:
    try:
        from ray.tune.search.optuna import OptunaSearch

        return OptunaSearch(metric=_PRECISION, mode="max", points_to_evaluate=[first], seed=seed)
    except (ImportError, AssertionError):
        message = "Optuna is not installed; install the extra with `pip install 'ringwatch[ray]'`"
        raise JobFailed(message) from None


def _best(results: Any) -> Study:
    """The best number of trees of the best trial, against that of the defaults."""
    reached: dict[Choices, float] = {}
    for result in results:
        curve = result.metrics_dataframe
        if curve is not None and len(curve):
            reached[_choices(result.config)] = float(curve[_PRECISION].max())
    defaults = reached[_DEFAULTS]
    choices = max(reached, key=lambda one: reached[one])
    if reached[choices] < defaults + LEAST_GAIN:
        choices = _DEFAULTS
    stopped = sum(result.metrics.get(_ROUNDS, 0) < ROUNDS[-1] for result in results)
    return Study(choices, reached[choices], defaults, len(results), stopped)


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[-200:]
