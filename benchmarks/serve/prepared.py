"""The workspace that the service answers from: drawn, built and trained once, then kept."""

from __future__ import annotations

import os
import shutil
import sys
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import gnn
import rings
from benchmarks.serve.data import write_platform
from graph_etl import RingwatchError, Workspace, build, load_spec
from ringwatch.scores import current_scores

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.serve.data import Size
    from graph_etl import Snapshot

HASH_KEY: Final = "bench-serve-key-for-drawn-data"
"""Hashes the identifiers of the drawn platform; they belong to nobody."""

_TRAINED_ACCOUNTS: Final = 50_000


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the load is sent to.

    Attributes:
        folder: Holds the drawn files and the workspace.
        size: What was drawn.
        seconds: What each step took that had to be done now; empty if all was there.
    """

    folder: Path
    size: Size
    seconds: dict[str, float]

    @property
    def workspace(self) -> Workspace:
        """The workspace."""
        return Workspace(self.folder / "workspace")

    @property
    def known(self) -> Path:
        """Identifiers of accounts that the graph knows, for the load."""
        return self.folder / "known.tsv"

    @property
    def n_links(self) -> int:
        """Edges between accounts and identifiers in the snapshot, those to derived ones too."""
        return sum(relation.edges for relation in self.workspace.open_snapshot().relations if relation.used)


def prepare(folder: Path, size: Size, *, with_rings: bool) -> Prepared:
    """Draw, build and train what is not there yet or cannot be opened by this version.

    Training scores every account several times over, which takes an hour for a million. So the models of a
    large platform are trained on one of the same kind and seed with 50,000 accounts and as many verdicts: how
    many trees there are and how deep they go follows from the verdicts, not from the accounts.

    Args:
        folder: Keeps one folder for each size.
        size: What to draw.
        with_rings: Find rings too.

    Returns:
        Where everything is.
    """
    os.environ["RINGWATCH_HASH_KEY"] = HASH_KEY
    here = folder / size.key
    seconds: dict[str, float] = {}

    def timed(step: str, work: Callable[[], object]) -> None:
        _say(f"{step} ({size.accounts:,} accounts) ...")
        started = time.perf_counter()
        work()
        seconds[step] = round(time.perf_counter() - started, 1)
        _say(f"{step}: {seconds[step]:.1f} s")

    place = Workspace(here / "workspace")
    if not (here / "spec.yaml").exists():
        timed("draw", lambda: write_platform(here, size))
    snapshot = _opened(place)
    if snapshot is None:
        timed("build", lambda: build(load_spec(here / "spec.yaml"), place))
        snapshot = place.open_snapshot()
    if not _has_bundle(place, snapshot):
        if size.accounts <= _TRAINED_ACCOUNTS:
            timed("train", lambda: gnn.train(snapshot, place, seed=size.seed))
        else:
            small = replace(
                size,
                accounts=_TRAINED_ACCOUNTS,
                identifiers=size.identifiers * _TRAINED_ACCOUNTS // size.accounts,
                links=size.links * _TRAINED_ACCOUNTS // size.accounts,
            )
            _take_bundle(prepare(folder, small, with_rings=False).workspace, place)
    if with_rings and not _has_rings(place, snapshot):
        timed("rings", lambda: _find_rings(place, snapshot))
    return Prepared(here, size, seconds)


def _opened(place: Workspace) -> Snapshot | None:
    try:
        return place.open_snapshot()
    except RingwatchError:
        return None


def _has_bundle(place: Workspace, snapshot: Snapshot) -> bool:
    version = place.current()["bundle"]
    if version is None:
        return False
    try:
        gnn.Scorer(snapshot, gnn.Bundle.open(place.path_of("bundle", version)))
    except RingwatchError:
        return False
    return True


def _take_bundle(source: Workspace, target: Workspace) -> None:
    version = str(source.current()["bundle"])
    with target.new_folder("bundle", version) as folder:
        shutil.copytree(source.path_of("bundle", version), folder, dirs_exist_ok=True)
    target.set_current("bundle", version)


def _has_rings(place: Workspace, snapshot: Snapshot) -> bool:
    run_id = place.current()["rings"]
    if run_id is None:
        return False
    try:
        return rings.RingsRun.open(place.path_of("rings", run_id)).manifest.get("snapshot") == snapshot.id
    except RingwatchError:
        return False


def _find_rings(place: Workspace, snapshot: Snapshot) -> None:
    scores = current_scores(place, snapshot)
    run = rings.find(snapshot, scores.score, bundle=scores.bundle)
    with place.new_folder("rings", run.id) as target:
        run.write(target)
    place.set_current("rings", run.id)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
