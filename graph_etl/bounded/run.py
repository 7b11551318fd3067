"""One merge: its folder, what its steps have to know, and how they are run."""

from __future__ import annotations

import json
import pickle
from bisect import bisect_right
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from graph_etl.nodes import ACCOUNT
from graph_etl.parts import Part
from graph_etl.plan import EventPlan, Plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import polars as pl
    from numpy.typing import NDArray

    Step = Callable[[str, int], dict[str, Any]]
    Runner = Callable[[Step, list[tuple[str, int]]], Iterable[tuple[int, dict[str, Any]]]]

DEGREE_BINS: Final = 4096


@dataclass(frozen=True, slots=True)
class Bounds:
    """How large the tasks of a merge are.

    Attributes:
        rows: Rows of one bucket or range, about; memory of a task grows with it.
    """

    rows: int = 1 << 20


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a part is staged, without what it says of itself."""

    source: str
    file: str
    fingerprint: str
    folder: Path


@dataclass(frozen=True)
class Context:
    """What does not change during a merge.

    Attributes:
        plan: The plan.
        origins: The parts, by source, file and fingerprint.
        folder: Where the steps write.
    """

    plan: Plan
    origins: tuple[Origin, ...]
    folder: Path
    facts: dict[str, Any] = field(default_factory=dict)

    def part(self, number: int) -> Part:
        """One of the parts; that it is whole was checked when the merge began."""
        one = self.origins[number]
        meta = json.loads((one.folder / "part.json").read_text())
        return Part(one.source, one.file, one.fingerprint, one.folder, meta)

    def tables(self, number: int) -> list[tuple[int, EventPlan, pl.DataFrame]]:
        """The tables of events of a part: ordinal of the mapping, the mapping, its rows."""
        part = self.part(number)
        found = []
        for ordinal, mapping in self.plan.of_source(part.source):
            rows = part.table(f"{mapping.name}.rows") if isinstance(mapping, EventPlan) else None
            if rows is not None and isinstance(mapping, EventPlan):
                found.append((ordinal, mapping, rows))
        return found

    def file(self, step: str, number: int) -> Path:
        """The file that a task of a step writes."""
        return self.folder / step / f"{number:06d}.arrow"

    def files(self, step: str) -> list[Path]:
        """The files of all tasks of a step, in order."""
        return [self.file(step, number) for number in range(self.facts["tasks"][step])]

    @property
    def types(self) -> list[str]:
        """Types of events."""
        return list(self.facts["types"])

    @property
    def n_parts(self) -> int:
        """Number of parts."""
        return len(self.origins)

    @property
    def n_accounts(self) -> int:
        """Number of accounts: they stand before all other nodes."""
        return int(self.facts["by_kind"][ACCOUNT])

    def kind_of(self, nodes: NDArray[Any]) -> NDArray[np.int16]:
        """Kinds of nodes by their indices: nodes are sorted by kind, then key."""
        starts = np.concatenate([[0], np.cumsum(self.facts["by_kind"])])
        found: NDArray[np.int16] = (np.searchsorted(starts, nodes, side="right") - 1).astype(np.int16)
        return found

    def owner_range(self, nodes: NDArray[Any]) -> NDArray[np.int64]:
        """The range of indices that each node is in."""
        return np.searchsorted(np.array(self.facts["node_starts"][1:-1]), nodes, side="right")


@lru_cache(maxsize=2)
def context_of(facts: str) -> Context:
    """What a task has to know.

    Args:
        facts: File of the facts that the steps before found; it stands in the merge's folder, next to what
            does not change, and is itself never changed.

    Returns:
        The context with these facts.
    """
    path = Path(facts)
    with (path.parent / "context.pickle").open("rb") as stream:
        context: Context = pickle.load(stream)
    return replace(context, folder=path.parent, facts=json.loads(path.read_text()))


def one_after_the_other(step: Step, calls: list[tuple[str, int]]) -> Iterable[tuple[int, dict[str, Any]]]:
    """Run the tasks of a step in this process.

    Args:
        step: The step.
        calls: File of facts and number of each task.

    Yields:
        Place of the call and what it returned.
    """
    for at, call in enumerate(calls):
        yield at, step(*call)


class Steps:
    """Runs steps and keeps what they found; what an earlier run finished is not done again.

    Args:
        context: What the tasks have to know.
        runner: Runs tasks.
        tell: Told what is done.
    """

    def __init__(self, context: Context, runner: Runner, tell: Callable[[str, int, int], None]) -> None:
        self._runner = runner
        self._tell = tell
        self.context = context
        folder = context.folder
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "context.pickle").exists():
            partial = folder / ".context.partial"
            partial.write_bytes(pickle.dumps(context))
            partial.replace(folder / "context.pickle")
        self._facts: dict[str, Any] = {"tasks": {}}
        self._file = folder / "facts.0.json"
        self._n_files = 0

    def learn(self, facts: dict[str, Any]) -> None:
        """Let all tasks that follow know of something."""
        self._facts |= facts
        self._n_files += 1
        self._file = self.context.folder / f"facts.{self._n_files}.json"
        _write(self._file, json.dumps(self._facts))
        self.context = replace(self.context, facts=dict(self._facts))

    def run(self, step: Step, n_tasks: int) -> list[dict[str, Any]]:
        """Run a step.

        Args:
            step: A function of the file of facts and a number; it writes the file of that number.
            n_tasks: How many numbers.

        Returns:
            What each task found.
        """
        name = step.__name__
        self.learn({"tasks": self._facts["tasks"] | {name: n_tasks}})
        folder = self.context.folder / name
        folder.mkdir(exist_ok=True)
        found: dict[int, dict[str, Any]] = {}
        for number in range(n_tasks):
            # Both are there, or the task is done again: a machine that fell may have lost either.
            done = folder / f"{number:06d}.json"
            with suppress(OSError, ValueError):
                found[number] = json.loads(
                    done.read_text() if self.context.file(name, number).exists() else ""
                )
        missing = [number for number in range(n_tasks) if number not in found]
        self._tell(f"merging: {name}", len(found), n_tasks)
        calls = [(str(self._file), number) for number in missing]
        for at, result in self._runner(step, calls):
            # Written after the task's own file: where this is, that is whole.
            _write(folder / f"{missing[at]:06d}.json", json.dumps(result))
            found[missing[at]] = result
            self._tell(f"merging: {name}", len(found), n_tasks)
        return [found[number] for number in range(n_tasks)]


def _write(path: Path, text: str) -> None:
    """Replace a file at once; not made durable, which takes longer than most tasks."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text)
    partial.replace(path)


def quantile_cuts(keys: Sequence[tuple[Any, ...]], weights: Sequence[float], n_ranges: int) -> list[Any]:
    """Keys that cut a weighted sample into ranges of about equal weight.

    Args:
        keys: The sample.
        weights: Rows that each stands for.
        n_ranges: Number of ranges wanted.

    Returns:
        Ascending keys, at most ``n_ranges - 1``; a key lies in the range after the cuts not above it.
    """
    order = sorted(range(len(keys)), key=keys.__getitem__)
    total, reached = sum(weights), 0.0
    cuts: list[Any] = []
    for at in order:
        wanted = (len(cuts) + 1) * total / n_ranges
        if len(cuts) < n_ranges - 1 and reached >= wanted and (not cuts or keys[at] > cuts[-1]):
            cuts.append(keys[at])
        reached += weights[at]
    return cuts


def range_of_keys(
    kinds: NDArray[np.int16], keys: pl.Series, cuts: Sequence[Sequence[Any]]
) -> NDArray[np.int64]:
    """The range of each node.

    Args:
        kinds: ``int16[n]`` ordinals of kinds.
        keys: ``n`` keys.
        cuts: Kinds and keys, ascending.

    Returns:
        ``int64[n]``, from 0.
    """
    if not cuts:
        return np.zeros(len(kinds), np.int64)
    bounds = [(int(kind), str(key)) for kind, key in cuts]
    pairs = zip(kinds.tolist(), keys.to_list(), strict=True)
    return np.fromiter((bisect_right(bounds, pair) for pair in pairs), np.int64, len(kinds))


def range_of_rows(
    known_ms: NDArray[np.int64],
    part: int,
    row: NDArray[np.int64],
    table: NDArray[np.int32],
    cuts: Sequence[Sequence[int]],
) -> NDArray[np.int64]:
    """The range of each row of a part in the order of positions.

    Args:
        known_ms: ``int64[n]``.
        part: Number of the part.
        row: ``int64[n]``.
        table: ``int32[n]``.
        cuts: known_ms, part, row and table, ascending.

    Returns:
        ``int64[n]``, from 0.
    """
    if not cuts:
        return np.zeros(len(known_ms), np.int64)
    bounds = np.array([cut[0] for cut in cuts], np.int64)
    found = np.searchsorted(bounds, known_ms, side="left").astype(np.int64)
    # Equal times are told apart by part, row and table.
    for at, (cut_ms, *rest) in enumerate(cuts):
        same = np.flatnonzero(known_ms == cut_ms)
        if len(same) and part >= rest[0]:
            after = np.full(len(same), part > rest[0])
            after |= (row[same] > rest[1]) | ((row[same] == rest[1]) & (table[same] >= rest[2]))
            found[same[after]] = at + 1
    return found
