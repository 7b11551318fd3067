"""The build: files in, a snapshot out. Killed at any point, the next build goes on where this one stopped."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from graph_etl.assembly import Assembled, assemble
from graph_etl.doubts import warnings_of
from graph_etl.erasure import read_erased, without_erased
from graph_etl.errors import DataError, RingwatchError
from graph_etl.identifiers import Hasher
from graph_etl.journal_staging import erasures, last_seq, stage_journal
from graph_etl.parts import Part, PartDamaged
from graph_etl.plan import plan_of
from graph_etl.progress import silent
from graph_etl.quarantine import check_share
from graph_etl.readers import scan
from graph_etl.report import BuildReport
from graph_etl.snapshot import FORMAT, NO_TIME
from graph_etl.snapshot_writer import write_snapshot
from graph_etl.spec import JOURNAL
from graph_etl.staging import remove_part, stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from graph_etl.erasure import Erased
    from graph_etl.journal import JournalReader
    from graph_etl.neo4j_store.pages import Answer
    from graph_etl.plan import Plan
    from graph_etl.progress import Progress
    from graph_etl.readers import SourceFile
    from graph_etl.report import SourceCount
    from graph_etl.snapshot import Snapshot
    from graph_etl.spec import Spec
    from graph_etl.workspace import Workspace

    Reading = Callable[[Plan, Path, str | None], Iterable[tuple[Part, bool]]]
    Merging = Callable[["Work"], "Merged"]


class AppendError(RingwatchError):
    """Files cannot be appended to the current snapshot."""


def build(
    spec: Spec,
    workspace: Workspace,
    *,
    data_dir: str | Path | None = None,
    append: bool = False,
    journal: JournalReader | None = None,
    max_quarantine: float = 0.05,
    seed: int = 0,
    publish: bool = True,
    progress: Progress | None = None,
    read: Reading | None = None,
    merge: Merging | None = None,
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
        journal: What the service accepted, read like one more source. Where it has rows, all files may be
            missing. None: no journal, or with ``append`` the rows that the current snapshot has of it.
        max_quarantine: Largest share of rows that may be left out, 0 to 1.
        seed: Deals the folds, where they are not given by the data.
        publish: Whether the snapshot becomes the current one; else it waits for ``Workspace.publish``.
        progress: Told what is done: the step, how many of its units are done, how many there are.
        read: Stages the files in another way than one after the other in this process.
        merge: Makes a snapshot of parts in another way than in this process's memory; not asked where indices
            of an earlier snapshot have to stay, a journal has rows, or an account was forgotten.

    Returns:
        What was made, in numbers that add up.

    Raises:
        RingwatchError: If a file cannot be read, a key is missing, too many rows would be left out, or
            another build is running in the workspace.
    """
    start = time.perf_counter()
    tell = progress or silent
    with workspace.alone("build"):
        plan = plan_of(spec)
        hasher = Hasher.from_env(required=spec.needs_key) if spec.needs_key else None
        key_fingerprint = None if hasher is None else hasher.fingerprint
        previous = _previous(plan, workspace, key_fingerprint) if append else None
        before_seq = _seq_in_use(workspace)
        _sweep(workspace.staging)
        _sweep(workspace.snapshots)
        erased = read_erased(workspace, draw=journal is not None)
        gathered = _Gathered(workspace, previous)
        if journal is not None:
            gathered.add_journal(stage_journal(plan, journal, workspace.staging, hasher, erased, tell))
        files = []
        if read is None:
            files = _files(plan, data_dir, missing_ok=previous is not None, none_ok=gathered.last_seq > 0)
        # All queries are checked before anything is read.
        answers = [(source, _opened(spec, source)) for source in plan.sources if _asked(spec, source)]
        if read is not None:
            for part, fresh in read(plan, workspace.staging, key_fingerprint):
                gathered.add(part, fresh)
        for done, (source, file) in enumerate(files):
            tell(f"reading {file.name}", done, len(files))
            gathered.add(*stage(plan, file, source, workspace.staging, hasher, key_fingerprint))
        for done, (source, answer) in enumerate(answers):
            tell(f"reading {source} from {answer.target.shown}", done, len(answers))
            gathered.add_answer(
                source,
                (
                    stage(plan, page, source, workspace.staging, hasher, key_fingerprint)
                    for page in answer.pages(hasher)
                ),
            )
        erased = erased.joined(erasures(gathered.parts))
        parts, replaced = _without_erased(plan, gathered.whole(), erased)
        work = Work(workspace, plan, parts, seed, max_quarantine, key_fingerprint, tell)
        plain = previous is None and not answers and not last_seq(parts) and not erased.until_ms
        if merge is not None and plain:
            merged = merge(work)
        else:
            tombstone = erased.tombstone if erased.until_ms else None
            merged = _merged(work, previous, tombstone)
        identity = merged.snapshot_id
        if publish:
            workspace.publish({"snapshot": identity})
        _prune(workspace, {part.folder.name for part in parts}, replaced)
    warnings = ["there was no snapshot to append to; built anew"] if append and previous is None else []
    if last_seq(parts) < before_seq:
        warnings.append(
            f"rows of the journal up to {last_seq(parts):,} are in; the snapshot before held {before_seq:,}"
        )
    return BuildReport(
        snapshot_id=identity,
        path=workspace.path_of("snapshot", identity),
        files_read=gathered.files_read,
        files_reused=gathered.files_reused,
        journal_read=gathered.journal_read,
        journal_reused=gathered.journal_reused,
        last_seq=last_seq(parts),
        warnings=tuple(warnings + merged.warnings),
        seconds=time.perf_counter() - start,
        **merged.figures,
    )


@dataclass(frozen=True, slots=True)
class Work:
    """What there is to be merged.

    Attributes:
        workspace: Where to.
        plan: The plan.
        parts: All parts, by source, file and fingerprint.
        seed: Deals the folds.
        max_quarantine: Largest share of rows that may be left out, 0 to 1.
        key_fingerprint: Which key hashed identifiers.
        tell: Told what is done.
    """

    workspace: Workspace
    plan: Plan
    parts: list[Part]
    seed: int
    max_quarantine: float
    key_fingerprint: str | None
    tell: Progress


@dataclass(frozen=True, slots=True)
class Merged:
    """A snapshot that was written.

    Attributes:
        snapshot_id: Its id.
        figures: What a report says of the graph.
        warnings: What may not be as it was meant, a line each.
    """

    snapshot_id: str
    figures: dict[str, Any]
    warnings: list[str]


def _merged(work: Work, previous: Snapshot | None, tombstone: Callable[[int], str] | None) -> Merged:
    plan, parts = work.plan, work.parts
    work.tell("building the graph", 0, 2)
    assembled = assemble(plan, parts, previous, seed=work.seed, tombstone=tombstone)
    check_share(assembled.quarantine, sum(count.rows for count in assembled.counts), work.max_quarantine)
    work.tell("writing the snapshot", 1, 2)
    identity = _identity(assembled, last_seq(parts))
    assembled.tables.manifest |= manifest_words(work, identity, assembled.content_hash, assembled.counts)
    with work.workspace.new_folder("snapshot", identity) as folder:
        write_snapshot(folder, assembled.tables)
    work.tell("writing the snapshot", 2, 2)
    return Merged(identity, _graph_figures(plan, assembled), warnings_of(plan, assembled))


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


def _seq_in_use(workspace: Workspace) -> int:
    identity = workspace.current()["snapshot"]
    manifest = None if identity is None else workspace.path_of("snapshot", identity) / "manifest.json"
    try:
        return 0 if manifest is None else int(json.loads(manifest.read_text())["last_seq"])
    except (OSError, ValueError, KeyError):  # damaged or gone: a new one is what it takes
        return 0


class _Gathered:
    """The parts of a build, from the snapshot that it appends to and from what was staged for it."""

    def __init__(self, workspace: Workspace, previous: Snapshot | None) -> None:
        self.files_read = 0
        self.files_reused = 0
        self.journal_read = 0
        self.journal_reused = 0
        self._parts: dict[tuple[str, str, str], Part] = {}
        self._lost: dict[tuple[str, str, str], Path] = {}
        for entry in [] if previous is None else previous.manifest["files"]:
            folder = workspace.staging / entry["part"]
            origin = (str(entry["source"]), str(entry["file"]), str(entry["fingerprint"]))
            source, file, fingerprint = origin
            try:
                self._parts[origin] = Part.open(folder, source=source, file=file, fingerprint=fingerprint)
            except PartDamaged:
                self._lost[origin] = folder
                if folder.exists():
                    remove_part(folder)
        self.files_reused = sum(source != JOURNAL for source, *_ in self._parts)

    @property
    def parts(self) -> list[Part]:
        """The parts, in no order."""
        return list(self._parts.values())

    @property
    def last_seq(self) -> int:
        """The last row of the journal."""
        return last_seq(self.parts)

    def add(self, part: Part, fresh: bool) -> None:
        """Add a part of a file, staged by this build (``fresh``) or by an earlier one."""
        origin = (part.source, part.file, part.fingerprint)
        self._lost.pop(origin, None)
        if origin not in self._parts:
            self._parts[origin] = part
            self.files_reused += not fresh
        self.files_read += fresh

    def add_journal(self, staged: Iterable[tuple[Part, bool]]) -> None:
        """Put a journal in the place of what the earlier snapshot had of it."""
        earlier = self.last_seq
        self._forget(JOURNAL)
        for part, fresh in staged:
            self._parts[part.source, part.file, part.fingerprint] = part
            self.journal_read += fresh
            self.journal_reused += not fresh
        if self.last_seq < earlier:
            message = (
                f"the journal ends at row {self.last_seq:,}, the snapshot holds rows up to {earlier:,};"
                " restore the journal from its backup, or build without --append"
            )
            raise AppendError(message)

    def add_answer(self, source: str, staged: Iterable[tuple[Part, bool]]) -> None:
        """Put the pages of an answer in the place of what the earlier snapshot had of its source."""
        self.files_reused -= self._forget(source)
        for part, fresh in staged:
            self.add(part, fresh)

    def _forget(self, source: str) -> int:
        """Drop the parts of a source; the number of those that were there."""
        before = len(self._parts)
        self._parts = {origin: part for origin, part in self._parts.items() if origin[0] != source}
        self._lost = {origin: folder for origin, folder in self._lost.items() if origin[0] != source}
        return before - len(self._parts)

    def whole(self) -> list[Part]:
        """The parts, if none that the earlier snapshot was made of is lost."""
        for (_, file, _), folder in self._lost.items():
            message = (
                f"{folder}: what was read from {file} is gone or damaged, and the file is not there to be"
                " read again; build all files anew, without --append"
            )
            raise AppendError(message)
        return self.parts


def _files(
    plan: Plan, data_dir: str | Path | None, *, missing_ok: bool, none_ok: bool
) -> list[tuple[str, SourceFile]]:
    found = []
    lacking: DataError | None = None
    for source in plan.sources:
        if _asked(plan.spec, source):
            continue
        try:
            files = scan(plan.spec, source, data_dir)
        except DataError as error:
            if not _is_absence(error):
                raise
            lacking = lacking or error
            continue
        found += [(source, file) for file in files]
    # A platform may have nothing but the journal yet; a file that is missing among others is a slip.
    if lacking is not None and not (missing_ok and found) and not (none_ok and not found):
        raise lacking
    return found


def _asked(spec: Spec, source: str) -> bool:
    """Whether the rows of a source are the answer of a database, not files."""
    return spec.sources[source].cypher is not None


def _opened(spec: Spec, source: str) -> Answer:
    # Most builds need no driver, and those without one must not.
    from graph_etl.neo4j_store.pages import open_answer

    return open_answer(spec, source)


def _without_erased(plan: Plan, parts: list[Part], erased: Erased) -> tuple[list[Part], set[str]]:
    """The parts in order, without forgotten accounts; and the names of those that had to be replaced."""
    order = {source: at for at, source in enumerate((*plan.sources, JOURNAL))}
    parts.sort(key=lambda part: (order[part.source], part.file, part.fingerprint))
    if not erased.until_ms:
        return parts, set()
    kept = [without_erased(part, erased) for part in parts]
    return kept, {old.folder.name for old, new in zip(parts, kept, strict=True) if old is not new}


def _is_absence(error: DataError) -> bool:
    return error.problem.startswith(("no such file", "no file matches", "no such folder"))


def _sweep(folder: Path) -> None:
    """Remove what killed builds left half done; only the one build that holds the workspace writes there."""
    if folder.exists():
        for left in folder.glob(".*.partial"):
            shutil.rmtree(left)


def _prune(workspace: Workspace, used: set[str], replaced: set[str]) -> None:
    """Remove staged parts that neither this build nor a snapshot that can be appended to uses.

    Those that held forgotten accounts go in any case.
    """
    for identity in workspace.in_use_or_before("snapshot"):
        manifest = workspace.path_of("snapshot", identity) / "manifest.json"
        with suppress(OSError, ValueError, KeyError):  # nobody can append to what is damaged
            used |= {entry["part"] for entry in json.loads(manifest.read_text())["files"]}
    for folder in workspace.staging.iterdir() if workspace.staging.exists() else ():
        if folder.is_dir() and (folder.name not in used or folder.name in replaced):
            remove_part(folder)


def _identity(assembled: Assembled, seq: int) -> str:
    """The same content in the same order of indices, of the same journal and format, has the same id."""
    layout = hashlib.sha256(f"{FORMAT}:{seq}:{assembled.content_hash}".encode())
    layout.update(np.ascontiguousarray(assembled.rank).data if assembled.rank.size else b"")
    # What nothing touches any more is no content, but what is left of its name differs once it is forgotten.
    names = assembled.tables.node_names
    if names is not None:
        layout.update(np.ascontiguousarray(names[assembled.rank < 0]).tobytes())
    return f"s{layout.hexdigest()[:12]}"


def manifest_words(
    work: Work, identity: str, content_hash: str, counts: Sequence[SourceCount]
) -> dict[str, Any]:
    """What a snapshot's manifest says of where it comes from.

    Args:
        work: What was merged.
        identity: The snapshot's id.
        content_hash: Hash of its content.
        counts: Where the rows of each mapping went.

    Returns:
        Entries of the manifest.
    """
    spec, parts = work.plan.spec, work.parts
    return {
        "id": identity,
        "title": spec.title,
        "attribution": spec.attribution,
        "simulated": spec.simulated,
        "spec_hash": spec.spec_hash,
        "spec": spec.model_dump(mode="json", by_alias=True, exclude_defaults=True),
        "content_hash": content_hash,
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
            name: sum(getattr(count, name) for count in counts)
            for name in ("rows", "in_graph", "duplicates", "quarantined")
        },
        "last_seq": last_seq(parts),
        "key_fingerprint": work.key_fingerprint,
        "prevalence": spec.prevalence,
        "assume_good_after_ms": spec.assume_good_after_ms,
        "seed": work.seed,
    }


def _graph_figures(plan: Plan, assembled: Assembled) -> dict[str, Any]:
    tables = assembled.tables
    by_kind = np.bincount(tables.node_kind[assembled.rank >= 0], minlength=len(plan.kinds))
    hubs = tables.hubs
    times = tables.event_time_ms[tables.event_time_ms != NO_TIME]
    return {
        "content_hash": assembled.content_hash,
        "name": plan.spec.name,
        "simulated": plan.spec.simulated,
        "sources": assembled.counts,
        "accounts": len(tables.account_node),
        "entities": {kind.name: int(by_kind[at]) for at, kind in enumerate(plan.kinds) if at},
        "edges": {edges.name: len(edges.src) for edges in tables.relations},
        "events": len(tables.event_time_ms),
        "hubs": () if hubs is None else tuple(hubs.select("kind", "key", "accounts", "reason").to_dicts()),
        "fold_policy": tables.manifest["fold_policy"],
        "time_range_ms": (int(times.min()), int(times.max())) if len(times) else None,
        "erased": sum(count.reasons.get("erased", 0) for count in assembled.counts),
    }
