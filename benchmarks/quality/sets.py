"""The data sets of the table and how each is divided."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

import gnn
from benchmarks.peers.problem import Part
from benchmarks.peers.rules import sharing_rule
from benchmarks.peers.static import StaticProblem
from benchmarks.quality.judging import Judged, judged_by_rings, judged_by_verdicts
from benchmarks.quality.reduced import drawn, keeping
from benchmarks.quality.slices import unlinked, unseen_rings
from features import Queries
from gnn.inputs import input_specs
from gnn.targets import MIN_OF_A_CLASS, targets
from graph_etl import NO_TIME, Snapshot, Workspace, build, load_spec
from graph_etl.identifiers import HASH_KEY_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from benchmarks.peers.problem import Problem
    from gnn import Bundle

# What is hashed here is public or drawn, so a key that everybody can read hides nothing that it should.
_KEY: Final = "bench-quality-key-for-public-data"
ROOT: Final = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Which of the verdicts a trainer has.

    Attributes:
        name: For the table.
        share: Of the accounts with a verdict, drawn without looking at it.
        bad_only: Whether good verdicts are missing.
        seed: Of the draw.
    """

    name: str = "all"
    share: float = 1.0
    bad_only: bool = False
    seed: int = 0

    def kept(self, label: NDArray[np.int8]) -> NDArray[np.bool_]:
        """Accounts whose verdict is known, ``bool[A]``."""
        if self.share in (0.0, 1.0):
            return np.full(len(label), self.share == 1.0)
        return drawn(label, self.share, self.seed)


ALL: Final = Verdicts()


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """One data set under one protocol. Examples are accounts, ``A`` of them.

    Attributes:
        name: As in the table.
        protocol: One sentence for readers.
        snapshot: With all verdicts.
        workspace: Where bundles and reduced snapshots go.
        problem: What peers see.
        parts: The divisions.
        judged: Who is judged, over all parts.
        label: ``int8[A]``, all verdicts; only for judging.
        pooled: Whether the parts' scores are judged together; else each part alone, and their mean.
        splits: Number of the official split that each part is; empty where parts are folds.
        slices: ``bool[A]`` by name.
        verdicts: Which verdicts a trainer has.
        truth: ``int8[A]``, what a score is the probability of, where that is not what is judged.
        own_rules: Scores of rules that people know of this data set, by their names.
    """

    name: str
    protocol: str
    snapshot: Snapshot
    workspace: Workspace
    problem: Problem
    parts: tuple[Part, ...]
    judged: Judged
    label: NDArray[np.int8]
    pooled: bool
    splits: tuple[int, ...]
    slices: dict[str, NDArray[np.bool_]] = field(default_factory=dict)
    verdicts: Verdicts = ALL
    truth: NDArray[np.int8] | None = None
    own_rules: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    def rule(self) -> NDArray[np.float64]:
        """Scores of the sharing rule, ``float64[A]``; it learns from nobody."""
        return sharing_rule(self.snapshot, Queries.for_accounts(self.snapshot))

    def reputation(self) -> NDArray[np.float64] | None:
        """Scores by known bad accounts on the same things; None where that is no row of the table."""
        return None

    @property
    def one_chain(self) -> bool:
        """Whether one training of Ringwatch answers for all parts, holding each out in turn."""
        return not self.splits

    def families(self) -> set[str]:
        """Families of inputs that Ringwatch may have here, and ``graph_sage``."""
        told = bool(self.snapshot.verdicts["known_ms"].is_not_null().any())
        return {spec.family for spec in input_specs(self.snapshot, with_contact=told)} | {"graph_sage"}

    def ringwatch(
        self, number: int, *, seed: int, n_threads: int, without: Sequence[str]
    ) -> tuple[NDArray[np.float64], dict[str, Any]]:
        """Train Ringwatch and score.

        Args:
            number: Of the part; of no matter where one chain answers for all.
            seed: Of the training.
            n_threads: Of the training.
            without: Families of inputs to leave out.

        Returns:
            ``float64[A]`` held-out scores, and notes.
        """
        bundle = gnn.train(
            self.trained_on(self.parts[number]),
            self.workspace,
            seed=seed,
            split=self.splits[number] if self.splits else None,
            n_threads=n_threads,
            publish=False,
            **_less(without),
        )
        column = bundle.scores["oof_score"]
        if column.null_count() == len(column):  # no verdicts were learned from, so nothing was held out
            column = bundle.scores["score"]
        return column.fill_null(float("nan")).to_numpy(), notes_of(bundle)

    def trained_on(self, part: Part) -> Snapshot:
        """What Ringwatch is trained on.

        Args:
            part: The division.

        Returns:
            The snapshot with the verdicts that a trainer has. Where parts are official splits, the verdicts
            of the test accounts are not in it at all; where they are folds, training holds each out itself.
        """
        if not self.splits and self.verdicts == ALL:
            return self.snapshot
        kept = self.verdicts.kept(self.label)
        if self.splits:
            kept[part.test] = False
        return keeping(self.snapshot, self.workspace, kept, bad_only=self.verdicts.bad_only)

    def with_verdicts(self, verdicts: Verdicts) -> DataSet:
        """The same accounts, judged by all verdicts, learned from fewer.

        Args:
            verdicts: Which ones.

        Returns:
            The data set; where parts are official splits, only the one that the seed names, since all of them
            would take as long as the whole table.
        """
        kept = verdicts.kept(self.label)
        reduced = keeping(self.snapshot, self.workspace, kept, bad_only=verdicts.bad_only)
        known = targets(reduced).label
        if not self.splits:
            judged = {part.name for part in self.parts}
            parts = tuple(part for part in fold_parts(reduced) if part.name in judged)
            return replace(self, parts=parts, verdicts=verdicts)
        at = verdicts.seed % len(self.parts)
        whole = np.asarray(self.snapshot.splits)[:, self.splits[at]]
        part = Part.of_split(self.parts[at].name, whole, known)
        return replace(self, parts=(part,), splits=(self.splits[at],), verdicts=verdicts)


def _less(without: Sequence[str]) -> dict[str, Any]:
    return {"without": tuple(without)} if without else {}


def notes_of(bundle: Bundle) -> dict[str, Any]:
    """What is worth knowing of a bundle beside its scores.

    Args:
        bundle: The bundle.

    Returns:
        Version, supervision, and the blend of each moment.
    """
    heads = bundle.manifest["heads"]
    return {
        "bundle": bundle.version,
        "supervision": bundle.manifest["supervision"],
        "blend": {moment: round(head["blend"]["weight"], 3) for moment, head in heads.items()},
    }


def opened(name: str, folder: Path, data: Path | None, seed: int = 0) -> tuple[Snapshot, Workspace]:
    """Build an example into its workspace, or open what was built there.

    Args:
        name: Folder below ``examples``.
        folder: Where workspaces go.
        data: Folder of files that are not shipped.
        seed: Of the build.

    Returns:
        Snapshot and workspace.
    """
    os.environ.setdefault(HASH_KEY_VARIABLE, _KEY)
    workspace = Workspace(folder / name)
    spec = load_spec(ROOT / "examples" / name / "spec.yaml")
    report = build(spec, workspace, data_dir=data, seed=seed)
    return workspace.open_snapshot(report.snapshot_id), workspace


def tolokers(folder: Path, n_splits: int = 10) -> DataSet:
    """The official splits of tolokers (Platonov et al., 2023).

    Args:
        folder: Where workspaces go.
        n_splits: The first so many of the ten.

    Returns:
        The data set.
    """
    snapshot, workspace = opened("tolokers", folder, None)
    return by_splits(snapshot, workspace, n_splits)


def by_splits(snapshot: Snapshot, workspace: Workspace, n_splits: int) -> DataSet:
    """A data set with given splits, each fitted on its training part and chosen by its validation part.

    Args:
        snapshot: With splits.
        workspace: Its workspace.
        n_splits: The first so many.

    Returns:
        The data set.
    """
    part_of = np.asarray(snapshot.splits)
    label = snapshot.labels()
    parts = tuple(
        Part.of_split(f"split{number}", part_of[:, number], label)
        for number in range(min(n_splits, part_of.shape[1]))
    )
    return DataSet(
        name=snapshot.manifest["name"],
        protocol=f"{len(parts)} of the official splits; fitted on train, chosen by validation, judged on "
        "test; mean ± standard deviation over the splits",
        snapshot=snapshot,
        workspace=workspace,
        problem=StaticProblem(snapshot),
        parts=parts,
        judged=judged_by_verdicts(label, np.arange(len(label))),
        label=label,
        pooled=False,
        splits=tuple(range(len(parts))),
        slices=unlinked(snapshot, Queries.for_accounts(snapshot)),
    )


def hop_sybil(folder: Path) -> DataSet:
    """The ring-disjoint folds of hop_sybil.

    Args:
        folder: Where workspaces go.

    Returns:
        The data set.
    """
    snapshot, workspace = opened("hop_sybil", folder, None)
    return by_folds(snapshot, workspace, judged_by_rings(snapshot))


def game_signups(folder: Path) -> DataSet:
    """The simulated game, cut into blocks of time.

    Args:
        folder: Where workspaces go.

    Returns:
        The data set. Judged by who acts together against the rules, as it was drawn: verdicts find four bad
        accounts in five, some of them honest ones, and of the newest accounts hardly any but bad ones.
    """
    snapshot, workspace = opened("game_signups", folder, None)
    bad = drawn_bad(snapshot)
    return by_folds(snapshot, workspace, judged_by_verdicts(bad, np.arange(snapshot.n_accounts)), bad)


def drawn_bad(snapshot: Snapshot) -> NDArray[np.int8]:
    """Who acts together against the rules on a simulated platform, whatever its verdicts found.

    Args:
        snapshot: Simulated; its known groups are those that were drawn.

    Returns:
        ``int8[A]``: 1 bad, 0 good.
    """
    bad = np.zeros(snapshot.n_accounts, np.int8)
    bad[snapshot.groups["account"].to_numpy()] = 1
    return bad


def by_folds(
    snapshot: Snapshot, workspace: Workspace, judged: Judged, label: NDArray[np.int8] | None = None
) -> DataSet:
    """A data set whose folds are held out in turn, everything refitted without the fold's labels.

    Args:
        snapshot: With its fold table.
        workspace: Its workspace.
        judged: Who is judged.
        label: ``int8[A]``, who is bad; what the verdicts say if None.

    Returns:
        The data set. Validation is the next fold (the previous block where folds are blocks of time); what
        it chose is fitted again with it.
    """
    # Ringwatch holds out no fold beside which there is too little to learn from, so nobody is judged there.
    parts = tuple(part for part in fold_parts(snapshot) if part.least >= MIN_OF_A_CLASS)
    covered = np.zeros(snapshot.n_accounts, np.bool_)
    for part in parts:
        covered[part.test] = True
    by_time = snapshot.manifest["fold_policy"] == "time"
    how = (
        "blocks of time, each judged by what was fitted on the accounts and verdicts before it"
        if by_time
        else "folds that never cut a ring in two, each judged by a chain refitted without its labels and "
        "groups, so that every ring is an unseen one"
    )
    return DataSet(
        name=snapshot.manifest["name"] + (" (simulated)" if snapshot.manifest["simulated"] else ""),
        protocol=f"{len(parts)} {how}; figures over all parts together ± standard deviation over them",
        snapshot=snapshot,
        workspace=workspace,
        problem=StaticProblem(snapshot),
        parts=parts,
        judged=judged.within(covered),
        label=targets(snapshot).label if label is None else label,
        pooled=True,
        splits=(),
        slices=unlinked(snapshot, Queries.for_accounts(snapshot))
        | {"unseen rings": unseen_rings(snapshot, parts)},
    )


def fold_parts(snapshot: Snapshot) -> tuple[Part, ...]:
    """The divisions that a fold table gives.

    Args:
        snapshot: With its fold table; its verdicts may be reduced.

    Returns:
        One part a fold; under time all but the first block, with the verdicts known when the block began.
    """
    table = np.asarray(snapshot.folds)
    n_folds = int(table.max()) + 1
    by_time = snapshot.manifest["fold_policy"] == "time"
    first_seen_ms = np.asarray(snapshot.first_seen_ms)
    parts: list[Part] = []
    for number in range(1 if by_time else 0, n_folds):
        test = np.flatnonzero(table == number)
        if by_time:
            began = first_seen_ms[test]
            known = targets(snapshot, int(began[began != NO_TIME].min()))
            earlier = np.flatnonzero((table < number) & (known.label >= 0))
            earlier = earlier[np.argsort(first_seen_ms[earlier], kind="stable")]
            cut = round(0.8 * len(earlier))
            train, valid = earlier[:cut], earlier[cut:]
        else:
            known = targets(snapshot)
            valid = np.flatnonzero(table == (number + 1) % n_folds)
            train = np.flatnonzero((table != number) & (table != (number + 1) % n_folds))
        weight = known.weight.copy()
        labelled = np.concatenate([train, valid])
        weight[labelled] = known.fit_weight(labelled)
        parts.append(Part.of(f"fold{number}", train, valid, test, known.label, weight, refit=True))
    return tuple(parts)
