"""The merge: runs the steps in their order, then writes the snapshot that they add up to."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graph_etl.assembly import event_types
from graph_etl.bounded import nodes, places, rows
from graph_etl.bounded.finishing import finish
from graph_etl.bounded.run import (
    DEGREE_BINS,
    Bounds,
    Context,
    Origin,
    Steps,
    one_after_the_other,
    quantile_cuts,
)
from graph_etl.code import code_version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graph_etl.bounded.run import Runner
    from graph_etl.build import Merged, Work
    from graph_etl.plan import EventPlan, Plan

_FOLDER = "merging"


def merge_bounded(
    work: Work, *, runner: Runner = one_after_the_other, bounds: Bounds | None = None
) -> Merged:
    """Merge parts into a snapshot in tasks whose memory does not grow with the number of rows.

    What an interrupted merge of the same parts finished is used. The snapshot is `build`'s, bit for bit.

    Args:
        work: What there is to be merged.
        runner: Runs the tasks of a step.
        bounds: How large tasks are.

    Returns:
        The snapshot.
    """
    size = bounds or Bounds()
    words = [
        code_version("graph_etl"),
        str(work.seed),
        str(size.rows),
        work.key_fingerprint or "",
        work.plan.spec.spec_hash,
    ]
    words += [f"{part.file}\0{part.folder.resolve()}" for part in work.parts]
    name = hashlib.sha256("\0".join(words).encode()).hexdigest()[:16]
    folder = work.workspace.path.resolve() / _FOLDER / name
    for other in folder.parent.glob("*"):
        if other != folder:
            shutil.rmtree(other)
    origins = tuple(
        Origin(part.source, part.file, part.fingerprint, part.folder.resolve()) for part in work.parts
    )
    steps = Steps(Context(work.plan, origins, folder), runner, work.tell)
    found = run_steps(steps, size)
    merged = finish(work, steps.context, found)
    shutil.rmtree(folder)
    if not any(folder.parent.iterdir()):
        folder.parent.rmdir()
    return merged


def run_steps(steps: Steps, size: Bounds) -> dict[str, list[dict[str, Any]]]:
    """Run all steps.

    Args:
        steps: Runs them.
        size: How large tasks are.

    Returns:
        What the tasks found, by step.
    """
    context = steps.context
    plan, n_parts = context.plan, context.n_parts
    found = {"sampled": steps.run(nodes.sampled, n_parts)}
    parts = [context.part(number) for number in range(n_parts)]
    tables = [{int(at): count for at, count in one["tables"].items()} for one in found["sampled"]]
    n_rows = sum(sum(one.values()) for one in tables)
    n_nodes = sum(one["nodes"] for one in found["sampled"])
    steps.learn(
        {
            "types": event_types(plan, parts),
            "attributes": _attributes(plan, tables),
            "node_cuts": _cuts(
                found["sampled"], "keys", [one["nodes"] for one in found["sampled"]], n_nodes, size
            ),
            "row_cuts": _cuts(found["sampled"], "rows", [sum(one.values()) for one in tables], n_rows, size),
            "identity_buckets": _pieces(n_rows, size),
            "alias_buckets": _pieces(n_nodes, size),
        }
    )
    facts = steps.context.facts
    n_node_ranges, n_row_ranges = len(facts["node_cuts"]) + 1, len(facts["row_cuts"]) + 1
    if plan.has_either:
        steps.run(nodes.aliased, n_parts)
        steps.run(nodes.listed, facts["alias_buckets"])
    steps.run(nodes.named, n_parts)
    steps.run(nodes.united, n_node_ranges)
    steps.run(rows.told, n_parts)
    steps.run(rows.accepted, facts["identity_buckets"])
    found["touched"] = steps.run(rows.touched, n_parts)
    numbered = steps.run(nodes.numbered, n_node_ranges)
    by_kind = np.sum([one["by_kind"] for one in numbered], axis=0)
    sizes = [sum(one["by_kind"]) for one in numbered]
    by_range = np.sum([one["by_range"] for one in found["touched"]], axis=0)
    steps.learn(
        {
            "by_kind": by_kind.tolist(),
            "node_bases": [0, *np.cumsum(sizes).tolist()],
            "row_bases": [0, *np.cumsum(by_range).tolist()],
        }
    )
    found["located"] = steps.run(rows.located, n_parts)
    degrees = np.sum([one["degrees"] for one in found["located"]], axis=0)
    steps.learn(
        {
            "node_starts": _node_starts(degrees, int(by_kind.sum()), size),
            "relations": _relations(plan, steps.context.types, tables),
        }
    )
    found["placed"] = steps.run(places.placed, n_row_ranges)
    n_ranges = len(steps.context.facts["node_starts"]) - 1
    found["grouped"] = steps.run(places.grouped, n_ranges)
    steps.run(places.touching, n_ranges)
    found["met"] = steps.run(places.met, n_row_ranges)
    return found


def _pieces(n_rows: int, size: Bounds) -> int:
    return max(1, -(-n_rows // size.rows))


def _cuts(
    sampled: Sequence[dict[str, Any]], what: str, counts: Sequence[int], n_rows: int, size: Bounds
) -> list[Any]:
    keys: list[tuple[Any, ...]] = []
    weights: list[float] = []
    for one, count in zip(sampled, counts, strict=True):
        drawn = [tuple(key) for key in one[what]]
        keys += drawn
        weights += [count / len(drawn)] * len(drawn) if drawn else []
    return [list(cut) for cut in quantile_cuts(keys, weights, _pieces(n_rows, size))]


def _node_starts(degrees: Any, n_nodes: int, size: Bounds) -> list[int]:
    """Ranges of indices with about as many entries of lists each; a single node is never cut."""
    reached = np.cumsum(degrees)
    n_ranges = _pieces(int(reached[-1]), size)
    wanted = np.arange(1, n_ranges) * (reached[-1] / n_ranges)
    bins = np.searchsorted(reached, wanted) + 1
    # The first index of a bin.
    starts = {-(-int(at) * max(1, n_nodes) // DEGREE_BINS) for at in bins}
    return [0, *sorted(start for start in starts if 0 < start < n_nodes), n_nodes]


def _attributes(plan: Plan, tables: Sequence[dict[int, int]]) -> list[tuple[str, str]]:
    found: dict[str, str] = {}
    for one in tables:
        for ordinal in one:
            mapping = plan.mappings[ordinal]
            found |= {attribute.name: attribute.type for attribute in getattr(mapping, "attributes", ())}
    return list(found.items())


def _relations(plan: Plan, types: Sequence[str], tables: Sequence[dict[int, int]]) -> list[dict[str, Any]]:
    """The relations that there may be; one whose type is read from a column is left out if it stays empty."""
    relations: list[dict[str, Any]] = [
        {
            "name": f"used:{plan.kinds[kind].name}",
            "used": True,
            "kind": kind,
            "directed": True,
            "value": "one",
        }
        for kind in plan.identifier_kinds
    ]
    two_ended = [mapping for mapping in plan.events if mapping.dst is not None][::-1]
    of_type = {mapping.type: mapping for mapping in two_ended if isinstance(mapping.type, str)}
    spread = [mapping for mapping in two_ended if not isinstance(mapping.type, str)]
    del tables
    for at, name in enumerate(types):
        mapping: EventPlan | None = of_type.get(name) or (spread[0] if spread else None)
        if mapping is not None:
            relations.append(
                {
                    "name": name,
                    "used": False,
                    "type": at,
                    "directed": mapping.directed,
                    "value": mapping.value,
                    "optional": name not in of_type,
                }
            )
    return relations


def folder_of(path: Path) -> Path:
    """The folder in which merges of a workspace work.

    Args:
        path: The workspace.

    Returns:
        The folder.
    """
    return path / _FOLDER
