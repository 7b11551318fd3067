"""The build: files in, a snapshot out. Killed at any point, the next build goes on where this one stopped."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from graph_etl.assembly import Assembled, assemble
from graph_etl.errors import DataError, RingwatchError
from graph_etl.identifiers import Hasher
from graph_etl.parts import Part
from graph_etl.plan import Plan, plan_of
from graph_etl.quarantine import check_share
from graph_etl.readers import scan
from graph_etl.report import BuildReport
from graph_etl.snapshot import FORMAT
from graph_etl.snapshot_writer import write_snapshot
from graph_etl.staging import stage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from graph_etl.readers import SourceFile
    from graph_etl.snapshot import Snapshot
    from graph_etl.spec import Spec
    from graph_etl.workspace import Workspace

    Progress = Callable[[str, int, int], None]


class AppendError(RingwatchError):
    """Files cannot be appended to the current snapshot."""


def build(
    spec: Spec,
    workspace: Workspace,
    *,
    data_dir: str | Path | None = None,
    append: bool = False,
    max_quarantine: float = 0.05,
    seed: int = 0,
    publish: bool = True,
    progress: Progress | None = None,
) -> BuildReport:
    """Build a snapshot and, unless told otherwise, make it the workspace's current one.

    Each file is read once into a staged part; parts that an earlier build finished, even one that was killed,
    are used as they are. The same files give the same content hash, in any number of builds and threads.

    Args:
        spec: How the files map to accounts, events and verdicts.
        workspace: Where to.
        data_dir: Where the files are; the spec's own folder if None.
        append: Add files to those of the current snapshot and keep the indices of its nodes and accounts.
            What is in the snapshot then equals a build of all the files. Sources that have no new file may be
            missing.
        max_quarantine: Largest share of rows that may be left out, 0 to 1.
        seed: Deals the folds, where they are not given by the data.
        publish: Whether the snapshot becomes the current one; else it waits for ``Workspace.publish``.
        progress: Told what is done: the step, how many of its units are done, how many there are.

    Returns:
        What was made, in numbers that add up.

    Raises:
        RingwatchError: If a file cannot be read, a key is missing, too many rows would be left out, or
            another build is running in the workspace.
    """
    start = time.perf_counter()
    tell = progress or _silent
    with workspace.building():
        plan = plan_of(spec)
        hasher = Hasher.from_env(required=spec.needs_key) if spec.needs_key else None
        key_fingerprint = None if hasher is None else hasher.fingerprint
        previous = _previous(plan, workspace, key_fingerprint) if append else None
        _sweep(workspace.staging)
        _sweep(workspace.snapshots)
        parts = [] if previous is None else _earlier_parts(workspace, previous)
        reused = len(parts)
        files = _files(plan, data_dir, missing_ok=previous is not None)
        known = {(part.source, part.file, part.fingerprint) for part in parts}
        fresh_files = 0
        for done, (source, file) in enumerate(files):
            tell(f"reading {file.name}", done, len(files))
            part, fresh = stage(plan, file, source, workspace.staging, hasher, key_fingerprint)
            if (part.source, part.file, part.fingerprint) not in known:
                parts.append(part)
                known.add((part.source, part.file, part.fingerprint))
                reused += not fresh
            fresh_files += fresh
        order = {source: at for at, source in enumerate(plan.sources)}
        parts.sort(key=lambda part: (order[part.source], part.file, part.fingerprint))
        tell("building the graph", 0, 2)
        assembled = assemble(plan, parts, previous, seed=seed)
        check_share(assembled.quarantine, sum(count.rows for count in assembled.counts), max_quarantine)
        tell("writing the snapshot", 1, 2)
        identity = _identity(assembled)
        manifest = _manifest(plan, assembled, parts, identity, key_fingerprint, seed)
        assembled.tables.manifest |= manifest
        with workspace.new_folder("snapshot", identity) as folder:
            write_snapshot(folder, assembled.tables)
        if publish:
            workspace.publish({"snapshot": identity})
        _prune(workspace, {part.folder.name for part in parts})
        tell("writing the snapshot", 2, 2)
    return _report(plan, assembled, workspace, identity, (fresh_files, reused), time.perf_counter() - start)


def _silent(step: str, done: int, total: int) -> None:
    del step, done, total


def _previous(plan: Plan, workspace: Workspace, key_fingerprint: str | None) -> Snapshot | None:
    if workspace.current()["snapshot"] is None:
        return None
    previous = workspace.open_snapshot()
    for what, before, now in (
        ("spec", previous.manifest["spec_hash"], plan.spec.spec_hash),
        ("hash key", previous.manifest["key_fingerprint"], key_fingerprint),
    ):
        if before != now:
            message = (
                f"{workspace.path}: the {what} is not the one that snapshot {previous.id} was built with;"
                " build all files anew, without --append"
            )
            raise AppendError(message)
    return previous


def _earlier_parts(workspace: Workspace, previous: Snapshot) -> list[Part]:
    parts = []
    for entry in previous.manifest["files"]:
        folder = workspace.staging / entry["part"]
        if not folder.exists():
            message = (
                f"{folder}: what was read from {entry['file']} is gone;"
                " build all files anew, without --append"
            )
            raise AppendError(message)
        parts.append(
            Part.open(folder, source=entry["source"], file=entry["file"], fingerprint=entry["fingerprint"])
        )
    return parts


def _files(plan: Plan, data_dir: str | Path | None, *, missing_ok: bool) -> list[tuple[str, SourceFile]]:
    found = []
    lacking: DataError | None = None
    for source in plan.sources:
        try:
            files = scan(plan.spec, source, data_dir)
        except DataError as error:
            if not missing_ok or not _is_absence(error):
                raise
            lacking = error
            continue
        found += [(source, file) for file in files]
    if not found and lacking is not None:
        raise lacking
    return found


def _is_absence(error: DataError) -> bool:
    return error.problem.startswith(("no such file", "no file matches"))


def _sweep(folder: Path) -> None:
    """Remove what killed builds left half done; only the one build that holds the workspace writes there."""
    if folder.exists():
        for left in folder.glob(".*.partial"):
            shutil.rmtree(left)


def _prune(workspace: Workspace, used: set[str]) -> None:
    """Remove staged parts that neither this build nor a snapshot that can be appended to uses."""
    for identity in workspace.in_use_or_before("snapshot"):
        manifest = workspace.path_of("snapshot", identity) / "manifest.json"
        if manifest.exists():
            used |= {entry["part"] for entry in json.loads(manifest.read_text())["files"]}
    for folder in workspace.staging.iterdir():
        if folder.is_dir() and folder.name not in used:
            # Renamed first: killed in the middle, this leaves nothing that looks like a whole part.
            shutil.rmtree(folder.rename(folder.with_name(f".{folder.name}.partial")))


def _identity(assembled: Assembled) -> str:
    """The same content in the same order of indices and the same format has the same id."""
    layout = hashlib.sha256(f"{FORMAT}:{assembled.content_hash}".encode())
    layout.update(np.ascontiguousarray(assembled.rank).data if assembled.rank.size else b"")
    return f"s{layout.hexdigest()[:12]}"


def _manifest(
    plan: Plan,
    assembled: Assembled,
    parts: Sequence[Part],
    identity: str,
    key_fingerprint: str | None,
    seed: int,
) -> dict[str, Any]:
    spec = plan.spec
    return {
        "id": identity,
        "title": spec.title,
        "attribution": spec.attribution,
        "simulated": spec.simulated,
        "spec_hash": spec.spec_hash,
        "spec": spec.model_dump(mode="json", by_alias=True, exclude_defaults=True),
        "content_hash": assembled.content_hash,
        "moments": list(spec.moments),
        "files": [
            {
                "source": part.source,
                "file": part.file,
                "fingerprint": part.fingerprint,
                "part": part.folder.name,
                "rows": part.meta["rows"],
            }
            for part in parts
        ],
        "counts": {
            name: sum(getattr(count, name) for count in assembled.counts)
            for name in ("rows", "in_graph", "duplicates", "quarantined")
        },
        "key_fingerprint": key_fingerprint,
        "prevalence": spec.prevalence,
        "assume_good_after_ms": spec.assume_good_after_ms,
        "seed": seed,
    }


def _report(
    plan: Plan,
    assembled: Assembled,
    workspace: Workspace,
    identity: str,
    files: tuple[int, int],
    seconds: float,
) -> BuildReport:
    tables = assembled.tables
    by_kind = np.bincount(tables.node_kind[assembled.rank >= 0], minlength=len(plan.kinds))
    hubs = tables.hubs
    return BuildReport(
        snapshot_id=identity,
        content_hash=assembled.content_hash,
        path=workspace.path_of("snapshot", identity),
        name=plan.spec.name,
        simulated=plan.spec.simulated,
        sources=assembled.counts,
        accounts=len(tables.account_node),
        entities={kind.name: int(by_kind[at]) for at, kind in enumerate(plan.kinds) if at},
        edges={edges.name: len(edges.src) for edges in tables.relations},
        events=len(tables.event_time_ms),
        hubs=() if hubs is None else tuple(hubs.select("kind", "key", "accounts", "reason").to_dicts()),
        fold_policy=tables.manifest["fold_policy"],
        files_read=files[0],
        files_reused=files[1],
        seconds=seconds,
    )
