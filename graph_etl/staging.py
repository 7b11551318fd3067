"""Reading one file into a staged part: normalised, hashed, checked, once for all later builds."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import polars as pl

from graph_etl.parts import Part, PartDamaged, write_part
from graph_etl.plan import EventPlan, FoldPlan, GroupPlan, Mapping, Plan, SplitPlan, VerdictPlan
from graph_etl.quarantine import Notes, gathered
from graph_etl.readers import ROW_ERROR
from graph_etl.staged_events import stage_events
from graph_etl.staged_keys import KeyNamer
from graph_etl.staged_targets import stage_folds, stage_groups, stage_splits, stage_verdicts
from graph_etl.workspace import fresh_folder

if TYPE_CHECKING:
    from pathlib import Path

    from graph_etl.identifiers import Hasher
    from graph_etl.readers import Rows

# Rises when parts staged by an older version must not be used any more.
_VERSION = 2


def part_name(plan: Plan, source: str, fingerprint: str, key_fingerprint: str | None) -> str:
    """Name of the folder that a file is staged in.

    Args:
        plan: The plan.
        source: Name of the source.
        fingerprint: SHA-256 of the file.
        key_fingerprint: Which key hashes identifiers.

    Returns:
        A name that differs if any of these differs.
    """
    words = (str(_VERSION), plan.spec.spec_hash, source, fingerprint, key_fingerprint or "")
    return f"{source}-{hashlib.sha256(chr(0).join(words).encode()).hexdigest()[:16]}"


def stage(
    plan: Plan,
    file: Rows,
    source: str,
    staging: Path,
    hasher: Hasher | None,
    key_fingerprint: str | None,
) -> tuple[Part, bool]:
    """Stage one file or page, unless it is staged already.

    Args:
        plan: The plan.
        file: The file or page.
        source: Name of its source.
        staging: Folder of staged parts.
        hasher: Hashes private identifiers; None if nothing is private.
        key_fingerprint: Which key it hashes with.

    Returns:
        The part, and whether this call staged it.
    """
    folder = staging / part_name(plan, source, file.fingerprint, key_fingerprint)
    part = staged_part(folder, source=source, file=file.name, fingerprint=file.fingerprint)
    if part is not None:
        return part, False
    with fresh_folder(folder) as partial:
        _stage(plan, file, source, partial, hasher)
    return Part.open(folder, source=source, file=file.name, fingerprint=file.fingerprint), True


def staged_part(folder: Path, *, source: str, file: str, fingerprint: str) -> Part | None:
    """Open a part if it is there; a copy without forgotten accounts stands for the part.

    Args:
        folder: Where the part was staged.
        source: Name of the source.
        file: Name of the file.
        fingerprint: SHA-256 of the file.

    Returns:
        The part; None if it has to be staged. What is damaged is removed.
    """
    for found in (*sorted(folder.parent.glob(f"{folder.name}.*")), folder):
        if not found.exists():
            continue
        try:
            return Part.open(found, source=source, file=file, fingerprint=fingerprint)
        except PartDamaged:
            remove_part(found)
    return None


def remove_part(folder: Path) -> None:
    """Remove a staged part; killed in the middle, this leaves nothing that looks like a whole one.

    Args:
        folder: Where it is staged.
    """
    shutil.rmtree(folder.rename(folder.with_name(f".{folder.name}.partial")))


def _stage(plan: Plan, file: Rows, source: str, folder: Path, hasher: Hasher | None) -> None:
    mappings = [_with_masks(plan, mapping, file.available) for _, mapping in plan.of_source(source)]
    all_rows = file.rows().collect()
    broken = all_rows.filter(pl.col(ROW_ERROR).is_not_null())["row"].to_numpy()
    rows = all_rows.filter(pl.col(ROW_ERROR).is_null()) if len(broken) else all_rows
    namer = KeyNamer(plan, hasher)
    tables: dict[str, pl.DataFrame] = {}
    quarantine: list[pl.DataFrame] = []
    meta: dict[str, Any] = {"source": source, "rows": len(all_rows), "mappings": {}}
    for mapping in mappings:
        # Which file it was is added when the part is used: a copy under another name shares the part.
        notes = Notes(source, mapping.name, "")
        quarantine.append(notes.rows(broken, "line_unreadable"))
        match mapping:
            case EventPlan():
                staged = stage_events(mapping, rows, namer, notes)
            case VerdictPlan():
                staged = stage_verdicts(mapping, rows, namer, notes)
            case GroupPlan():
                staged = stage_groups(mapping, rows, namer, notes)
            case FoldPlan():
                staged = stage_folds(mapping, rows, namer, notes)
            case SplitPlan():
                staged = stage_splits(mapping, rows, namer, notes)
        tables |= {f"{mapping.name}.{name}": table for name, table in staged.tables.items()}
        quarantine += staged.quarantine
        meta["mappings"][mapping.name] = {
            "rows": len(all_rows),
            "silent": staged.silent,
            "types": staged.types,
        }
    tables["nodes"] = namer.nodes()
    tables["quarantine"] = gathered(quarantine)
    write_part(folder, tables, meta)


def _with_masks(plan: Plan, mapping: Mapping, available: tuple[str, ...]) -> Mapping:
    if isinstance(mapping, SplitPlan) and plan.spec.splits is not None:
        return replace(mapping, masks=tuple(plan.spec.splits.columns(list(available))))
    return mapping
