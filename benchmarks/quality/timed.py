"""Data sets with times: fitted on what was known at a cut, asked about what came after it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np

import gnn
from benchmarks.peers.as_of import AsOfProblem
from benchmarks.peers.problem import Part
from benchmarks.peers.rules import device_rule, quick_buyers, sharing_rule
from benchmarks.quality.judging import judged_by_verdicts
from benchmarks.quality.sets import DataSet, drawn_bad, notes_of, opened
from benchmarks.quality.slices import unlinked
from features import Queries
from gnn.backtest import Labels, as_of
from gnn.scorer import Scorer
from gnn.targets import targets
from scoring_service.risk.moments import Moments

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from graph_etl import Snapshot, Workspace

_DAY_MS: Final = 86_400_000
# The share of the training examples, the latest ones, that peers choose by.
_VALID: Final = 0.2
# Where verdicts go on, the rule of reputation gets so many lists.
_LISTS: Final = 10


@dataclass(frozen=True, kw_only=True)
class TimedSet(DataSet):
    """A data set with a cut in time. Examples are accounts at moments, those before the cut first.

    Attributes:
        cut_ms: Everything known by then may be learned from.
        labels: See `gnn.backtest.as_of`.
        asked: The questions of the examples, of both training and test.
        known: ``int8[A]`` verdicts on accounts that may be learned from; -1 none.
        at_signup: Whether every example is an account at its sign-up.
        verdicts_go_on: Whether verdicts that come after the cut are seen, each from when it was known.
    """

    cut_ms: int
    labels: Labels
    asked: Queries
    known: NDArray[np.int8]
    at_signup: bool = False
    verdicts_go_on: bool = False

    @property
    def one_chain(self) -> bool:
        """One part, one training."""
        return False

    def rule(self) -> NDArray[np.float64]:
        """Scores of the sharing rule at each example's moment."""
        return sharing_rule(self.snapshot, self.asked)

    def reputation(self) -> NDArray[np.float64]:
        """The worst share of known bad accounts among those on one thing with the account.

        Where verdicts go on, a question sees those that were known when its tenth of the questions began: a
        platform's list of bad identifiers is written anew every few days.
        """
        assert isinstance(self.problem, AsOfProblem)
        if not self.verdicts_go_on:
            return self.problem.reputation(self.known)
        found = np.zeros(len(self.asked))
        test = self.parts[0].test
        for some in np.array_split(test[np.argsort(self.asked.time_ms[test], kind="stable")], _LISTS):
            known = targets(self.snapshot, int(self.asked.time_ms[some].min()) - 1).label
            found[some] = self.problem.reputation(known)[some]
        return found

    def ringwatch(
        self, number: int, *, seed: int, n_threads: int, without: Sequence[str]
    ) -> tuple[NDArray[np.float64], dict[str, Any]]:
        """Train on what was known at the cut, score the test examples with the head of their age."""
        part = self.parts[number]
        cut = as_of(self.snapshot, self.workspace, self.cut_ms, labels=self.labels)
        less: dict[str, Any] = {"without": tuple(without)} if without else {}
        bundle = gnn.train(cut.before, self.workspace, seed=seed, n_threads=n_threads, publish=False, **less)
        questions = cut.asked(self.asked.take(part.test))
        scorer = Scorer(cut.after, bundle)
        moments = Moments(cut.before, list(bundle.moments), self.cut_ms)
        # As the service does: an account that this very row brings in is at its sign-up.
        known = questions.horizon > np.asarray(cut.after.first_pos)[questions.account] + 1
        head = np.array(
            [
                moments.of(bool(was_there), int(first_ms), int(time_ms))
                for was_there, first_ms, time_ms in zip(
                    known, questions.first_seen_ms, questions.time_ms, strict=True
                )
            ]
        )
        scores = np.full(len(self.asked), np.nan)
        for moment in np.unique(head):
            rows = np.flatnonzero(head == moment)
            scores[part.test[rows]] = scorer.score(questions.take(rows), str(moment)).score
        return scores, notes_of(bundle)


def _divided(
    name: str, n_train: int, n_test: int, label: NDArray[np.int8], *, order_ms: NDArray[np.int64]
) -> Part:
    """The latest training examples validate; test comes after all of them."""
    train = np.argsort(order_ms[:n_train], kind="stable")
    cut = round((1.0 - _VALID) * n_train)
    test = np.arange(n_train, n_train + n_test)
    return Part.of(name, train[:cut], train[cut:], test, label, np.ones(len(label)), refit=True)


def _timed(
    name: str,
    protocol: str,
    built: tuple[Snapshot, Workspace],
    asked: tuple[Queries, Queries],
    label: NDArray[np.int8],
    known: NDArray[np.int8],
    cut_ms: int,
    labels: Labels,
) -> TimedSet:
    snapshot, workspace = built
    queries = Queries.join(asked)
    n_train = len(asked[0])
    part = _divided("after", n_train, len(asked[1]), label, order_ms=queries.time_ms)
    return TimedSet(
        name=name,
        protocol=protocol,
        snapshot=snapshot,
        workspace=workspace,
        problem=AsOfProblem(snapshot, queries),
        parts=(part,),
        judged=judged_by_verdicts(label, part.test),
        label=label,
        pooled=True,
        splits=(),
        slices={"less than a day old": queries.time_ms - queries.first_seen_ms < _DAY_MS}
        | unlinked(snapshot, queries),
        cut_ms=cut_ms,
        labels=labels,
        asked=queries,
        known=known,
    )


def _ms(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1000)


def fraud_ecommerce(folder: Path, data: Path) -> list[DataSet]:
    """Sign-ups with what was known at sign-up: in the burst, and after it.

    Args:
        folder: Where workspaces go.
        data: Folder of the data.

    Returns:
        Three data sets: within the burst of its first two weeks, the same with nothing but the verdicts that
        a shop has on that day (none, for a charge-back takes 30 days), and after it.
    """
    built = opened("fraud_ecommerce", folder, data)
    first_seen_ms = np.asarray(built[0].first_seen_ms)
    late = int(np.quantile(first_seen_ms, 0.7))
    end = int(first_seen_ms.max()) + 1
    return [
        _signups(
            built,
            "fraud_ecommerce",
            "5 to 12 January 2015, in its burst",
            _ms("2015-01-05"),
            _ms("2015-01-13"),
        ),
        _signups(
            built,
            "fraud_ecommerce on its first day",
            "5 to 12 January 2015, in its burst",
            _ms("2015-01-05"),
            _ms("2015-01-13"),
            labels="known",
        ),
        _signups(built, "fraud_ecommerce after its burst", "the last 30 %", late, end),
    ]


def _signups(
    built: tuple[Snapshot, Workspace],
    name: str,
    which: str,
    from_ms: int,
    to_ms: int,
    *,
    labels: Labels = "matured",
) -> DataSet:
    snapshot = built[0]
    first_seen_ms = np.asarray(snapshot.first_seen_ms)
    label = snapshot.labels()
    train = np.flatnonzero((first_seen_ms < from_ms) & (label >= 0))
    test = np.flatnonzero((first_seen_ms >= from_ms) & (first_seen_ms < to_ms))
    known = np.full(len(label), -1, np.int8)
    told = "with the verdicts known by then: none, for a charge-back takes 30 days"
    if labels == "matured":
        known[train] = label[train]
        told = (
            "with their labels as given (a charge-back takes 30 days, so a shop would not have all of them "
            "on that day)"
        )
    found = _timed(
        name,
        f"sign-ups of {which}, each with what was known at sign-up, by methods fitted on the sign-ups before "
        f"{told}; standard deviation over 100 resamples of the accounts",
        built,
        tuple(Queries.for_accounts(snapshot, rows, "signup") for rows in (train, test)),  # type: ignore[arg-type]
        np.concatenate([known[train], label[test]]),
        known,
        from_ms - 1,
        labels,
    )
    shared = device_rule(snapshot, found.asked)
    quick = quick_buyers(snapshot)[found.asked.account]
    ever = device_rule(snapshot, Queries.for_accounts(snapshot, found.asked.account))
    rules = {
        "rule: device shared by three": shared,
        "rule with hindsight: that, or a purchase within a minute": np.maximum(ever, quick),
    }
    return replace(found, own_rules=rules, at_signup=True)


def sign_ups(built: tuple[Snapshot, Workspace], truth: NDArray[np.int8] | None = None) -> TimedSet:
    """The last 30 % of a platform's sign-ups, each with what was known at that second.

    Args:
        built: Snapshot, with times and verdicts that say when they were known, and workspace.
        truth: ``int8[A]``, who is bad; the accounts with a bad verdict, whenever it came, if None.

    Returns:
        The data set. Everything is fitted on what was known when the first of them began, verdicts too;
        verdicts that come later are seen from then on, by the rule of reputation and by Ringwatch.
    """
    snapshot = built[0]
    first_seen_ms = np.asarray(snapshot.first_seen_ms)
    bad = (snapshot.labels() == 1).astype(np.int8) if truth is None else truth
    from_ms = int(np.quantile(first_seen_ms, 0.7))
    known = targets(snapshot, from_ms - 1).label
    train = np.flatnonzero((first_seen_ms < from_ms) & (known >= 0))
    test = np.flatnonzero(first_seen_ms >= from_ms)
    name = snapshot.manifest["name"] + (" (simulated)" if snapshot.manifest["simulated"] else "")
    found = _timed(
        f"{name} at sign-up",
        "the last 30 % of the sign-ups, each with what was known at sign-up, by methods fitted on accounts "
        "and verdicts before them; standard deviation over 100 resamples of the accounts",
        built,
        (Queries.for_accounts(snapshot, train, "signup"), Queries.for_accounts(snapshot, test, "signup")),
        np.concatenate([known[train], bad[test]]),
        known,
        from_ms - 1,
        "known",
    )
    return replace(found, at_signup=True, verdicts_go_on=True)


def game_sign_ups(folder: Path) -> TimedSet:
    """The simulated game's sign-ups, judged by what was drawn.

    Args:
        folder: Where workspaces go.

    Returns:
        The data set.
    """
    built = opened("game_signups", folder, None)
    return sign_ups(built, drawn_bad(built[0]))


def jodie_wikipedia(folder: Path, data: Path) -> list[DataSet]:
    """Users of Wikipedia, scored at each of the last 30 % of the edits.

    Args:
        folder: Where workspaces go.
        data: Folder of the data.

    Returns:
        Two data sets: users at their edits, where the label of an edit is whether the user was banned after
        it, which is the user's last; and new users at the edit that brings them in, banned later or not.
    """
    built = opened("jodie_wikipedia", folder, data)
    snapshot = built[0]
    known_ms = np.asarray(snapshot.event_known_ms)
    n_events = snapshot.n_events
    cut_ms = int(known_ms[int(0.7 * n_events) - 1])
    positions = np.arange(n_events)
    asked = Queries.for_events(snapshot, positions[known_ms <= cut_ms])
    after = Queries.for_events(snapshot, positions[known_ms > cut_ms])
    bad = snapshot.labels() == 1
    last_ms = np.asarray(snapshot.last_seen_ms)

    def banned(queries: Queries) -> NDArray[np.int8]:
        last = queries.time_ms == last_ms[queries.account]
        return np.where(bad[queries.account] & last, 1, 0).astype(np.int8)

    verdicts = snapshot.verdicts
    early = verdicts.filter(verdicts["known_ms"] <= cut_ms)["account"].to_numpy()
    known = np.where(np.asarray(snapshot.first_seen_ms) <= cut_ms, 0, -1).astype(np.int8)
    known[early] = 1
    found = _timed(
        "jodie_wikipedia",
        "users at each of the last 30 % of the edits, by methods fitted on the edits and bans before; "
        "the label of an edit says whether the user was banned after it; standard deviation over 100 "
        "resamples of the edits",
        built,
        (asked, after),
        np.concatenate([banned(asked), banned(after)]),
        known,
        cut_ms,
        "known",
    )
    # A score says how likely the user is a bad one, not that this edit is the last.
    users = np.concatenate([asked.account, after.account])
    return [replace(found, truth=np.where(bad[users], 1, 0).astype(np.int8)), sign_ups(built)]
