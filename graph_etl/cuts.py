"""Pairs of accounts that somebody said are not linked, from the rows of the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from graph_etl.plan import CutPlan
from graph_etl.quarantine import Notes
from graph_etl.snapshot_writer import CUT_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from graph_etl.events import Accepted, EventRows
    from graph_etl.nodes import NamedNodes, NodeLayout
    from graph_etl.parts import Part
    from graph_etl.plan import Plan


def find_cuts(
    plan: Plan,
    parts: Sequence[Part],
    named: NamedNodes,
    layout: NodeLayout,
    node_account: NDArray[np.int32],
    known: Known,
) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """Collect cuts, with the positions from which and until which they are known.

    Args:
        plan: The plan.
        parts: All parts.
        named: The named nodes.
        layout: The nodes of the graph.
        node_account: ``int32[N]``.
        known: Tells how many events were known before a row of the journal.

    Returns:
        account, other, until_ms, known_pos, undone_pos, in the order of the journal; and the rows on accounts
        that the graph does not have.
    """
    account_of = np.append(node_account, np.int32(-1))
    standing: dict[tuple[int, int], int] = {}
    cuts: list[dict[str, Any]] = []
    quarantine: list[pl.DataFrame] = []
    mappings = [mapping for mapping in plan.mappings if isinstance(mapping, CutPlan)]
    for part_at, part in enumerate(parts):
        for mapping in mappings:
            rows = part.table(f"{mapping.name}.rows") if part.source == mapping.source else None
            if rows is None:
                continue
            ends = [
                account_of[layout.index[named.of_part[part_at][rows[end]]]] for end in ("account", "other")
            ]
            unknown = (ends[0] < 0) | (ends[1] < 0)
            notes = Notes(part.source, mapping.name, part.file)
            quarantine.append(notes.rows(rows["row"].to_numpy()[unknown], "account_unknown"))
            columns = rows.select("row", "known_ms", "until_ms", "undone").iter_rows()
            for (seq, known_ms, until_ms, undone), one, other, lost in zip(
                columns, *ends, unknown, strict=True
            ):
                if lost or one == other:
                    continue
                pos = known.before(known_ms, seq) - 1
                pair = (int(min(one, other)), int(max(one, other)))
                if pair in standing:
                    cuts[standing.pop(pair)]["undone_pos"] = pos
                if not undone:
                    standing[pair] = len(cuts)
                    ends_of = {"account": pair[0], "other": pair[1]}
                    cuts.append(ends_of | {"until_ms": until_ms, "known_pos": pos, "undone_pos": None})
    return pl.DataFrame(cuts, schema=CUT_SCHEMA), quarantine


class Known:
    """Tells how many events were known before a row of the journal that is no event."""

    def __init__(self, events: EventRows, accepted: Accepted, live: NDArray[np.bool_]) -> None:
        self._known_ms = events.known_ms[accepted.rows]
        # Among rows of one millisecond, those of files come first.
        self._seq = np.where(live, events.row, 0)[accepted.rows]

    def before(self, known_ms: int, seq: int) -> int:
        """How many events were known before.

        Args:
            known_ms: When the row became known.
            seq: The row.

        Returns:
            Their number.
        """
        start = int(np.searchsorted(self._known_ms, known_ms, side="left"))
        stop = int(np.searchsorted(self._known_ms, known_ms, side="right"))
        return start + int((self._seq[start:stop] < seq).sum())
