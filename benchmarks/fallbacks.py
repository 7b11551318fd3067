"""How good the fallbacks of degraded answers are, beside the full score, on the same later events.

    python -m benchmarks.fallbacks [--accounts N] [--cut-day 40] [--end-day 60] [--seed N] [--json]

Data: examples/game_signups, simulated. Its history up to the cut is built and trained on; everything after
it, verdicts included, streams in order of time through three generations of the service: one whole, one
whose models' files are gone (it falls back to the last score, else to the identifiers' reputation, else to
the policy's default), and one without a bundle (so without last scores). All answers come from the service's
own code; nothing of it is copied here. Bad is who belongs to a ring or evades a ban, as the simulation knows.

Each row of the table is judged twice: over all its events, and, where it answers only some, beside the full
score on just those. Where nothing is answered a score counts as below all others, as it does for ranking a
queue. Events of accounts that were confirmed bad before are left out: they need no score. The rule counts the
accounts that used the event's device or card before. The policy's default is one answer for all, so it ranks
nothing; the last columns show what the default policy then decides.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import structlog
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

import gnn
import rings
from graph_etl import JournalRow, LiveVerdict, RingwatchError, Workspace, build, load_spec
from graph_etl.identifiers import HASH_KEY_VARIABLE
from graph_etl.simulate import SimulationConfig, load_simulation
from ringwatch.live_game import LABELS, Happening, LiveGame, play
from ringwatch.settings import DEMO_HASH_KEY
from scoring_service.loading import Loaded, load
from scoring_service.policy import load_policy
from scoring_service.risk.schemas import RiskRequest
from scoring_service.risk.service import RiskService

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

EXAMPLE: Final = Path(__file__).resolve().parents[1] / "examples" / "game_signups"
FULL, RULE = "full score", "rule: others on device or card"
LAST, REPUTATION, DEFAULT = "last_score", "identifier_reputation", "policy_default"
CHAIN: Final = "chain, as answered"
_MAX_FPR: Final = 0.01


@dataclass(frozen=True, slots=True)
class Asked:
    """What was answered about one event.

    Attributes:
        is_signup: Whether it is a sign-up.
        account: Whose event it is.
        is_bad: Whether that account is bad.
        scores: Score by source; sources that have none are left out.
        decisions: Decision by source that decides.
    """

    is_signup: bool
    account: str
    is_bad: bool
    scores: dict[str, float]
    decisions: dict[str, str]


@dataclass(frozen=True, slots=True)
class Quality:
    """How one source orders some events.

    Attributes:
        events: `signup` or `later`.
        source: Where the scores come from.
        n_events: Events asked about.
        base_rate: Share of events of bad accounts.
        coverage: Share of events on which the source has a score.
        average_precision: Over all events; those without a score count as the lowest.
        auroc: The same.
        recall: Share of bad found where at most 1 % of honest are.
        covered_base_rate: Base rate of the events with a score.
        covered_average_precision: Over the events with a score only; None where they are all of one kind.
        covered_full: Average precision of the full score on just those.
        stopped_bad: Share of bad events that are not simply allowed; None where the source decides nothing.
        stopped_good: The same of honest events.
    """

    events: str
    source: str
    n_events: int
    base_rate: float
    coverage: float
    average_precision: float
    auroc: float
    recall: float
    covered_base_rate: float | None
    covered_average_precision: float | None
    covered_full: float | None
    stopped_bad: float | None
    stopped_good: float | None


def recall_at(bad: NDArray[np.bool_], scores: NDArray[np.float64], max_fpr: float = _MAX_FPR) -> float:
    """Return the greatest recall at a threshold that at most a share of the honest reaches."""
    false_positive, true_positive, _ = roc_curve(bad, scores, drop_intermediate=False)
    return float(true_positive[false_positive <= max_fpr].max())


class Generations:
    """Three generations of the service over one history: whole, without models, without a bundle.

    Args:
        workspace: Snapshot, bundle and rings of the history; it is left as it is.
        folder: An empty folder.
        max_events: Events that are to be streamed.
    """

    def __init__(self, workspace: Path, folder: Path, max_events: int) -> None:
        self._risk = RiskService(max_skew_ms=0)
        self._seq = 0
        policy = load_policy()
        self.whole = load(Workspace(workspace), policy, max_live_events=max_events)
        # The files are really gone; what the service makes of it is its own affair.
        no_models = Path(shutil.copytree(workspace, folder / "no_models"))
        bundle = no_models / "bundles" / str(self.whole.bundle_version)
        for file in (*bundle.glob("trees_*.txt"), *bundle.glob("sage.npz")):
            file.unlink()
        self.no_models = load(Workspace(no_models), policy, max_live_events=max_events)
        no_bundle = Path(shutil.copytree(workspace, folder / "no_bundle"))
        shutil.rmtree(no_bundle / "bundles" / str(self.whole.bundle_version))
        self.no_bundle = load(Workspace(no_bundle), policy, max_live_events=max_events)
        self._all: Sequence[Loaded] = (self.whole, self.no_models, self.no_bundle)

    def ask(self, request: RiskRequest) -> tuple[dict[str, float], dict[str, str]]:
        """Score one event in each generation.

        Args:
            request: The event.

        Returns:
            Score and decision by source.

        Raises:
            RingwatchError: If the whole generation is degraded, or another one is not.
        """
        scores: dict[str, float] = {}
        decisions: dict[str, str] = {}
        whole, no_models, no_bundle = (self._risk.assess(one, request).answer for one in self._all)
        for answer in (no_models, no_bundle):
            if answer["degraded"] is None:
                message = "a generation without models scored all the same"
                raise RingwatchError(message)
            fallback = answer["degraded"]["fallback"]
            decisions[fallback] = answer["decision"]
            if answer["score"] is not None:
                scores[fallback] = answer["score"]
        if whole["degraded"] is not None:
            message = f"the whole generation is degraded: {whole['degraded']['message']}"
            raise RingwatchError(message)
        scores[FULL] = whole["score"]
        decisions |= {FULL: whole["decision"], CHAIN: no_models["decision"]}
        if no_models["score"] is not None:
            scores[CHAIN] = no_models["score"]
        return scores, decisions

    def apply(self, happening: Happening) -> None:
        """Let something have happened, in all generations."""
        self._seq += 1
        at_ms = _ms(happening.at)
        for loaded in self._all:
            if happening.path == LABELS:
                body = happening.body
                key = loaded.reader.account_key(body["account"])
                label = int(body["label"] == "bad")
                content: Any = LiveVerdict(key, label, at_ms, body["source"], reason=body["reason"])
            else:
                content = self._risk.read(loaded, RiskRequest.model_validate(happening.body))[0]
            loaded.apply(JournalRow(loaded.live.last_seq + 1, at_ms, content))


class _Rule:
    """Counts the other accounts on a device or card; what anybody would write first."""

    def __init__(self, game: LiveGame) -> None:
        self._users: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        columns = (
            ("signups", "device", "device_id"),
            ("logins", "device", "device_id"),
            ("payments", "card", "card"),
        )
        for table, kind, column in columns:
            for account, value in game.history[table].select("account_id", column).iter_rows():
                if value is not None:
                    self._users[kind, value].add(account)

    def count(self, happening: Happening) -> float | None:
        """Return the others that used the event's device or card, and note that its account does."""
        used = [
            self._users[kind, value]
            for kind, value in happening.body.get("identifiers", {}).items()
            if kind in ("device", "card")
        ]
        found = max((len(users - {happening.account}) for users in used), default=None)
        for users in used:
            users.add(happening.account)
        return found


def stream(game: LiveGame, generations: Generations) -> list[Asked]:
    """Ask about each event after the cut, just before it happens.

    Args:
        game: The game, cut in two.
        generations: Generations over its history.

    Returns:
        What was answered, without the events of accounts confirmed bad by then.
    """
    confirmed = set(game.history["verdicts"].filter(game.history["verdicts"]["verdict"] == "bad")["account"])
    rule, answers = _Rule(game), []
    for happening in game.happenings:
        if happening.path == LABELS:
            if happening.body["label"] == "bad":
                confirmed.add(happening.account)
        else:
            others = rule.count(happening)
            if happening.account not in confirmed:
                scores, decisions = generations.ask(RiskRequest.model_validate(happening.body))
                if others is not None:
                    scores[RULE] = others
                answers.append(
                    Asked(
                        happening.kind == "signup",
                        happening.account,
                        happening.account in game.bad,
                        scores,
                        decisions,
                    )
                )
        generations.apply(happening)
    return answers


def judge(answers: Sequence[Asked]) -> list[Quality]:
    """Judge each source on sign-ups and on later events.

    Args:
        answers: What was answered.

    Returns:
        One row a source and kind of event that has both bad and honest events.
    """
    rows = []
    for kind in ("signup", "later"):
        asked = [one for one in answers if one.is_signup == (kind == "signup")]
        bad = np.array([one.is_bad for one in asked], dtype=bool)
        if len(set(bad.tolist())) < 2:
            continue
        full = np.array([one.scores[FULL] for one in asked])
        rows += [
            _quality(kind, source, asked, bad, full)
            for source in (FULL, LAST, REPUTATION, CHAIN, DEFAULT, RULE)
        ]
    return rows


def _quality(
    kind: str, source: str, asked: Sequence[Asked], bad: NDArray[np.bool_], full: NDArray[np.float64]
) -> Quality:
    scores = np.array([one.scores.get(source, -1.0) for one in asked])
    has = np.array([source in one.scores for one in asked])
    both = len(set(bad[has].tolist())) == 2
    # A fallback decides only where it is the one that answers.
    decided = np.array([one.decisions.get(source) for one in asked], dtype=object)
    decides = decided != None  # noqa: E711 - element by element
    stopped = decides & (decided != "allow")

    def share(of: NDArray[np.bool_]) -> float | None:
        return round(float(stopped[of].mean()), 4) if of.any() else None

    coverage = decides.mean() if source == DEFAULT else has.mean()
    return Quality(
        events=kind,
        source=source,
        n_events=len(asked),
        base_rate=round(float(bad.mean()), 4),
        coverage=round(float(coverage), 4),
        average_precision=round(float(average_precision_score(bad, scores)), 4),
        auroc=round(float(roc_auc_score(bad, scores)), 4),
        recall=round(recall_at(bad, scores), 4),
        covered_base_rate=round(float(bad[has].mean()), 4) if has.any() else None,
        covered_average_precision=round(float(average_precision_score(bad[has], scores[has])), 4)
        if both
        else None,
        covered_full=round(float(average_precision_score(bad[has], full[has])), 4) if both else None,
        stopped_bad=share(bad & decides),
        stopped_good=share(~bad & decides),
    )


def game_of(accounts: int | None, cut_day: float, end_day: float, seed: int | None) -> LiveGame:
    """Simulate the game without damaged rows and cut it.

    Args:
        accounts: Its size; that of the example if None.
        cut_day: Day on which the history ends.
        end_day: Day on which the stream ends.
        seed: Draws it; that of the example if None.

    Returns:
        The game.
    """
    config = load_simulation(EXAMPLE / "simulation.yaml")
    document = (config if accounts is None else config.scaled(accounts)).model_dump()
    document["faults"] = dict.fromkeys(document["faults"], 0)
    if seed is not None:
        document["seed"] = seed
    return play(SimulationConfig.model_validate(document), cut_day=cut_day, end_day=end_day)


def learn(game: LiveGame, folder: Path, seed: int = 0) -> Path:
    """Build a workspace from a game's history: snapshot, bundle and rings.

    Args:
        game: The game.
        folder: An empty folder.
        seed: Of the training.

    Returns:
        The workspace's folder.
    """
    game.write_history(folder)
    spec = Path(shutil.copy(EXAMPLE / "spec.yaml", folder / "spec.yaml"))
    workspace = Workspace(folder / "workspace")
    build(load_spec(spec), workspace, seed=seed)
    snapshot = workspace.open_snapshot()
    bundle = gnn.train(snapshot, workspace, seed=seed)
    run = rings.find(snapshot, bundle.scores["score"].to_numpy(), bundle=bundle.version)
    with workspace.new_folder("rings", run.id) as target:
        run.write(target)
    workspace.set_current("rings", run.id)
    return workspace.path


def _ms(at: str) -> int:
    return int(datetime.fromisoformat(at).timestamp() * 1000)


def _table(rows: Sequence[Quality]) -> str:
    def number(value: float | None, form: str = ".3f") -> str:
        return "–" if value is None else format(value, form)

    lines = [
        "| events | answered from | coverage | AP | AUROC | recall at 1 % FPR "
        "| AP where it answers (base rate; full score there) | not allowed: bad, honest |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        covered = (
            "–"
            if row.covered_average_precision is None
            else f"{number(row.covered_average_precision)} ({number(row.covered_base_rate)}; "
            f"{number(row.covered_full)})"
        )
        decided = (
            "–"
            if row.stopped_bad is None and row.stopped_good is None
            else f"{number(row.stopped_bad, '.1%')}, {number(row.stopped_good, '.1%')}"
        )
        lines.append(
            f"| {row.events} | {row.source} | {row.coverage:.1%} | {row.average_precision:.3f} "
            f"| {row.auroc:.3f} | {row.recall:.3f} | {covered} | {decided} |"
        )
    return "\n".join(lines)


def main() -> int:
    """Simulate, learn, stream, judge, print; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fallbacks", description="Quality of each fallback of a degraded answer."
    )
    parser.add_argument("--accounts", type=int, help="size of the game; that of the example if left out")
    parser.add_argument("--cut-day", type=float, default=40)
    parser.add_argument("--end-day", type=float, default=60)
    parser.add_argument("--seed", type=int, help="draws the game; that of the example if left out")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    # That the models are missing is told where it disturbs no table.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    os.environ.setdefault(HASH_KEY_VARIABLE, DEMO_HASH_KEY)
    game = game_of(options.accounts, options.cut_day, options.end_day, options.seed)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        learned = learn(game, folder / "learned")
        started = time.perf_counter()
        answers = stream(game, Generations(learned, folder, len(game.happenings) + 1))
        stream_s = time.perf_counter() - started
    rows = judge(answers)
    if options.json:
        print(json.dumps([asdict(row) for row in rows]))
        return 0
    print(f"game_signups (simulated), {os.cpu_count()} cores, {platform.machine()}")
    print(f"history: {game.history['signups'].height:,} accounts until {game.cut:%Y-%m-%d %H:%M}Z")
    for kind in ("signup", "later"):
        asked = [one for one in answers if one.is_signup == (kind == "signup")]
        bad = [one for one in asked if one.is_bad]
        print(
            f"{kind}: {len(asked):,} events of {len({one.account for one in asked}):,} accounts; "
            f"base rate {len(bad) / max(1, len(asked)):.3f}: {len(bad):,} events of "
            f"{len({one.account for one in bad}):,} bad accounts"
        )
    print(f"streamed in {stream_s:.0f} s\n\n{_table(rows)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
