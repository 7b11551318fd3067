"""From files to a snapshot over Ray: parts are read in tasks, then merged in tasks.

Ray Data could read them, with a read task a file. It took longer and more memory for the same parts, and it
cannot be driven through ``ray://`` (``benchmarks/ray_data.py``).
"""

from __future__ import annotations

import os
import socket
import tempfile
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graph_etl import HashKeyError, build
from graph_etl.bounded import Bounds, merge_bounded
from graph_etl.errors import DataError, RingwatchError
from graph_etl.file_formats import open_table
from graph_etl.identifiers import HASH_KEY_VARIABLE, Hasher
from graph_etl.plan import plan_of
from graph_etl.progress import silent
from graph_etl.readers import SourceFile, columns_used, scan
from graph_etl.staging import part_name, stage, staged_part
from ray_jobs.cluster import connected
from ray_jobs.errors import JobFailed
from ray_jobs.spreading import spread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graph_etl import BuildReport, JournalReader, Spec, Workspace
    from graph_etl.bounded.run import Runner, Step
    from graph_etl.parts import Part
    from graph_etl.plan import Plan
    from graph_etl.progress import Progress


def etl_over_ray(
    spec: Spec,
    workspace: Workspace,
    *,
    address: str | None = None,
    data: str | None = None,
    append: bool = False,
    journal: JournalReader | None = None,
    max_quarantine: float = 0.05,
    seed: int = 0,
    bounds: Bounds | None = None,
    progress: Progress | None = None,
) -> BuildReport:
    """Build a snapshot over Ray and make it the workspace's current one.

    Each file is read, cleaned, hashed and staged in a task; the parts are merged in tasks of bounded memory.
    The snapshot is that of `graph_etl.build`, byte for byte. Staged parts and finished tasks of a merge stay
    when the driver dies: the same command goes on from there. Where indices of an earlier snapshot have to
    stay, a journal has rows or an account was forgotten, parts are merged in the driver's memory, as `build`
    does it.

    Args:
        spec: How the files map to accounts, events and verdicts.
        workspace: Where to; all nodes have to see it under the same path.
        address: As for `ray_jobs.cluster.connected`.
        data: Where the files are: a folder that all nodes see, or the address of one in a store, as fsspec
            takes it; the spec's own folder if None.
        append: As for `graph_etl.build`.
        journal: As for `graph_etl.build`.
        max_quarantine: As for `graph_etl.build`.
        seed: Deals the folds.
        bounds: How large the tasks of the merge are.
        progress: Told what is done.

    Returns:
        What was made, in numbers that add up.

    Raises:
        RingwatchError: If a file cannot be read, a worker has another key, no cluster answers, or as `build`.
    """
    base = Path(data).resolve() if data is not None and "://" not in data else data
    with connected(address) as ray:
        tell = progress or silent
        return build(
            spec,
            workspace,
            data_dir=base,
            append=append,
            journal=journal,
            max_quarantine=max_quarantine,
            seed=seed,
            progress=progress,
            read=partial(_read_over_ray, ray, tell, base),
            merge=partial(merge_bounded, runner=_runner(ray), bounds=bounds),
        )


@dataclass(frozen=True, slots=True)
class _File:
    """A file that a task reads.

    Attributes:
        source: Name of its source.
        name: Path relative to the data's folder; part of what names a row.
        place: Its path, or its address in a store.
        columns: Columns that the spec uses of it; found out by the task if None.
    """

    source: str
    name: str
    place: str
    columns: tuple[str, ...] | None


def _read_over_ray(
    ray: Any,
    tell: Progress,
    data: Path | str | None,
    plan: Plan,
    staging: Path,
    key_fingerprint: str | None,
) -> Iterator[tuple[Part, bool]]:
    files = [
        file
        for source in plan.sources
        if plan.spec.sources[source].cypher is None
        for file in files_of(plan.spec, source, data)
    ]
    tell("reading files", 0, len(files))
    folder = staging.resolve()
    spec = ray.put(plan.spec)
    calls = ((spec, file, str(folder), key_fingerprint) for file in files)
    for done, (at, (fingerprint, fresh)) in enumerate(spread(ray, stage_file, calls)):
        file = files[at]
        where = staging / part_name(plan, file.source, fingerprint, key_fingerprint)
        part = staged_part(where, source=file.source, file=file.name, fingerprint=fingerprint)
        if part is None:
            message = (
                f"{where}: staged on a node, not to be seen here; keep the workspace on a file system that"
                " all nodes share"
            )
            raise JobFailed(message)
        yield part, fresh
        tell("reading files", done + 1, len(files))


def files_of(spec: Spec, source: str, data: Path | str | None) -> list[_File]:
    """The files of a source, here or in a store.

    Args:
        spec: The spec.
        source: Name of the source.
        data: A folder, or the address of one; the spec's own folder if None.

    Returns:
        One for each, by name.

    Raises:
        DataError: If a pattern matches none.
        JobFailed: If no package serves the address.
    """
    if data is None or isinstance(data, Path):
        return [
            _File(source, file.name, str(file.path.resolve()), file.columns)
            for file in scan(spec, source, data)
        ]
    import fsspec

    try:
        system, root = fsspec.core.url_to_fs(data)
    except (ImportError, ValueError) as error:
        message = f"{data}: {error}; install the fsspec package that serves this kind of address"
        raise JobFailed(message) from None
    root = root.rstrip("/")
    found: dict[str, str] = {}
    for pattern in spec.sources[source].path:
        try:
            matches = [path for path in system.glob(f"{root}/{pattern}") if system.isfile(path)]
        except OSError as error:
            problem = f"cannot be listed ({error}); check the address and its credentials"
            raise DataError(problem, source=source, path=f"{data}/{pattern}") from None
        if not matches:
            problem = f"no file matches '{pattern}'; correct the path in the spec or the address with --data"
            raise DataError(problem, source=source, path=data)
        for path in matches:
            found[str(path).removeprefix(root).strip("/")] = system.unstrip_protocol(path)
    return [_File(source, name, place, None) for name, place in sorted(found.items())]


def stage_file(spec: Spec, file: _File, staging: str, key_fingerprint: str | None) -> tuple[str, bool]:
    """Stage one file where this runs.

    Args:
        spec: How it maps.
        file: One of `files_of`.
        staging: Folder of the staged parts.
        key_fingerprint: Of the driver's key; None if the spec needs none.

    Returns:
        The file's SHA-256, and whether it had not been staged before.

    Raises:
        RingwatchError: If the file cannot be read, or this process has another key.
    """
    plan = _plan(spec)
    hasher = _hasher(key_fingerprint)
    if "://" not in file.place:
        return _staged(plan, file, Path(file.place), Path(staging), hasher, key_fingerprint)
    import fsspec

    with tempfile.TemporaryDirectory(prefix="ringwatch-etl-") as folder:
        local = Path(folder) / Path(file.name).name
        try:
            system, path = fsspec.core.url_to_fs(file.place)
            system.get_file(path, str(local))
        except OSError as error:
            problem = f"cannot be fetched ({error}); run the command again"
            raise DataError(problem, source=file.source, path=file.place) from None
        try:
            return _staged(plan, file, local, Path(staging), hasher, key_fingerprint)
        except RingwatchError as error:
            raise JobFailed(str(error).replace(str(local), file.place)) from None


def _staged(
    plan: Plan, file: _File, path: Path, staging: Path, hasher: Hasher | None, key_fingerprint: str | None
) -> tuple[str, bool]:
    source = plan.spec.sources[file.source]
    table = open_table(file.source, source, path, plan.spec.columns_of(file.source))
    available = table.columns
    if source.format_name == "jsonl":  # a line need not have every key, nor a file
        available = tuple(dict.fromkeys((*available, *plan.spec.columns_of(file.source))))
    columns = file.columns or columns_used(plan.spec, file.source, path, available)
    rows = SourceFile(file.source, file.name, path, columns, table, source.nulls)
    part, fresh = stage(plan, rows, file.source, staging, hasher, key_fingerprint)
    return part.fingerprint, fresh


_PLANS: dict[str, Any] = {}


def _plan(spec: Spec) -> Plan:
    if spec.spec_hash not in _PLANS:
        _PLANS.clear()
        _PLANS[spec.spec_hash] = plan_of(spec)
    plan: Plan = _PLANS[spec.spec_hash]
    return plan


@cache
def _hasher(key_fingerprint: str | None) -> Hasher | None:
    """The hasher of this process, if its key is the driver's; the key itself never travels."""
    if key_fingerprint is None:
        return None
    try:
        hasher = Hasher.from_env()
    except HashKeyError as error:
        message = (
            f"node {socket.gethostname()}: {error}; give the cluster's processes {HASH_KEY_VARIABLE} when"
            " Ray starts (deploy/kuberay takes it from a secret)"
        )
        raise JobFailed(message) from None
    if hasher.fingerprint != key_fingerprint:
        message = (
            f"node {socket.gethostname()}, process {os.getpid()}: its {HASH_KEY_VARIABLE} is another key than"
            " the driver's; give all the same"
        )
        raise JobFailed(message)
    return hasher


def _runner(ray: Any) -> Runner:
    def run(step: Step, calls: list[tuple[str, int]]) -> Iterator[tuple[int, dict[str, Any]]]:
        yield from spread(ray, step, calls)

    return run
