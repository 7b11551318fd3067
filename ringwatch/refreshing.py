"""A refresh: journal to snapshot, bundle and rings, put to use if the gate holds; resumes where it died."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import gnn
import rings
from graph_etl.build import build
from graph_etl.progress import silent
from graph_etl.workspace import WorkspaceError, write_atomically
from rings.yardstick import why_anew
from ringwatch.gate import Candidate, Check, Limits, judge
from ringwatch.journals import benign_groups
from ringwatch.scores import current_scores

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from graph_etl import JournalReader, Spec, Workspace
    from scoring_service.policy import Policy

    Progress = Callable[[str, int, int], None]

STATE: Final = "refresh.json"
_STEPS: Final = ("build", "train", "rings", "gate", "publish")


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What a refresh did.

    Attributes:
        snapshot: Id of the new snapshot.
        bundle: Version of the new bundle.
        rings: Id of the new rings run.
        checks: What the gate looked at; none where nothing was in use before.
        published: Whether it is in use now.
        last_seq: Last row of the journal that the snapshot holds.
        seconds: Time of each step; 0 for steps that an earlier, stopped refresh had done.
    """

    snapshot: str
    bundle: str
    rings: str
    checks: tuple[Check, ...]
    published: bool
    last_seq: int
    seconds: dict[str, float]


class _State:
    """What a refresh has done so far, on disk, so that one that died goes on from there."""

    def __init__(self, workspace: Workspace, begun_with: dict[str, Any]) -> None:
        self._path = workspace.path / STATE
        self._held: dict[str, Any] = {}
        if self._path.exists():
            try:
                self._held = json.loads(self._path.read_text())
            except json.JSONDecodeError:
                self._held = {}
        # What was made from something else than is in use now is of no use.
        if self._held.get("begun_with") != begun_with:
            self._held = {"begun_with": begun_with}

    def done(self, step: str) -> str | None:
        """Id of what a step made; None if it is still to do."""
        found = self._held.get(step)
        return found if isinstance(found, str) else None

    def note(self, step: str, identity: str) -> None:
        """Keep what a step made."""
        self._held[step] = identity
        write_atomically(self._path, json.dumps(self._held, indent=1, sort_keys=True) + "\n")

    def end(self) -> None:
        """Forget it all: the refresh came to its end."""
        self._path.unlink(missing_ok=True)


def refresh(
    workspace: Workspace,
    spec: Spec,
    journal: JournalReader,
    policy: Policy,
    *,
    append: bool,
    data_dir: Path | None = None,
    limits: Limits | None = None,
    force: bool = False,
    seed: int = 0,
    n_erased: int = 0,
    progress: Progress | None = None,
) -> Refreshed:
    """Build, train, find rings, compare, and publish all three at once if the gate holds.

    Nothing that is in use changes before the last step, one atomic switch that a running service follows.

    Args:
        workspace: The workspace.
        spec: How files and journal map to the graph.
        journal: What the service accepted.
        policy: Turns scores into decisions.
        append: Add to the current snapshot, whose indices stay; else read all files anew.
        data_dir: Where the files are; the spec's own folder if None.
        limits: How far the new may fall behind what is in use.
        force: Publish whatever the gate says.
        seed: Of training and of rings.
        n_erased: Accounts that were forgotten since the snapshot in use.
        progress: Told the step, how much of it is done, of how much.

    Returns:
        What it did; killed at any point, the next one goes on from the last whole step.

    Raises:
        RingwatchError: If a step cannot be done.
    """
    with workspace.alone("refresh"):
        return _refresh(
            workspace,
            spec,
            journal,
            policy,
            append=append,
            data_dir=data_dir,
            limits=limits,
            force=force,
            seed=seed,
            n_erased=n_erased,
            progress=progress,
        )


def _refresh(
    workspace: Workspace,
    spec: Spec,
    journal: JournalReader,
    policy: Policy,
    *,
    append: bool,
    data_dir: Path | None,
    limits: Limits | None,
    force: bool,
    seed: int,
    n_erased: int,
    progress: Progress | None,
) -> Refreshed:
    tell = progress or silent
    uses = workspace.current()
    last_seq = journal.last_seq()
    state = _State(workspace, {"uses": uses, "spec": spec.spec_hash, "append": append, "seed": seed})
    seconds = dict.fromkeys(_STEPS, 0.0)

    def run(step: str, make: Callable[[], str]) -> str:
        found = state.done(step)
        if found is not None:
            return found
        start = time.perf_counter()
        made = make()
        seconds[step] = time.perf_counter() - start
        state.note(step, made)
        return made

    def make_snapshot() -> str:
        report = build(
            spec,
            workspace,
            data_dir=data_dir,
            append=append,
            journal=journal if last_seq else None,
            seed=seed,
            progress=progress,
            publish=False,
        )
        return report.snapshot_id

    snapshot_id = run("build", make_snapshot)
    snapshot = workspace.open_snapshot(snapshot_id)

    def make_bundle() -> str:
        made = gnn.train(snapshot, workspace, seed=seed, publish=False, progress=progress)
        return made.version

    version = run("train", make_bundle)
    bundle = gnn.Bundle.open(workspace.path_of("bundle", version))

    def make_rings() -> str:
        scores = current_scores(workspace, snapshot, version)
        earlier = base = None
        if uses["rings"] is not None:
            earlier = rings.RingsRun.open(workspace.path_of("rings", uses["rings"]))
            base = None if why_anew(snapshot, earlier.manifest, {"seed": seed}) else earlier
        found = rings.find(
            snapshot,
            scores.score,
            previous=earlier,
            seed=seed,
            bundle=version,
            benign=benign_groups(workspace.path),
            base=base,
            progress=tell,
        )
        with workspace.new_folder("rings", found.id) as folder:
            found.write(folder)
        return found.id

    run_id = run("rings", make_rings)
    checks: tuple[Check, ...] = ()
    start = time.perf_counter()
    if uses["snapshot"] is not None and uses["bundle"] is not None:
        tell("comparing with what is in use", 0, 1)
        found_rings = rings.RingsRun.open(workspace.path_of("rings", run_id))
        old_bundle = gnn.Bundle.open(workspace.path_of("bundle", uses["bundle"]))
        old = Candidate(workspace.open_snapshot(uses["snapshot"]), old_bundle, None)
        new = Candidate(snapshot, bundle, found_rings)
        checks = tuple(judge(old, new, limits or Limits(), policy, n_erased))
    seconds["gate"] = time.perf_counter() - start
    holds = force or all(check.passed for check in checks)
    if holds:
        tell("putting to use", 0, 1)
        if workspace.current() != uses:
            message = (
                f"{workspace.path}: something else was put to use meanwhile; run `ringwatch refresh` again, "
                "which compares with that"
            )
            raise WorkspaceError(message)
        workspace.publish({"snapshot": snapshot_id, "bundle": version, "rings": run_id})
    state.end()
    return Refreshed(snapshot_id, version, run_id, checks, holds, int(snapshot.manifest["last_seq"]), seconds)
