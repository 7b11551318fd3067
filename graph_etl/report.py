"""What a build did, in numbers that add up."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class SourceCount:
    """Where the rows of one source went, for one of the mappings that use it.

    Attributes:
        source: Name of the source.
        mapping: The mapping, as ``events[0]``.
        rows: Rows read: ``in_graph + duplicates + quarantined``.
        in_graph: Rows that are in the graph, or validly say nothing for this mapping.
        duplicates: Rows that were there already.
        quarantined: Rows left out.
        reasons: Rows left out by reason.
        cells: Single cells left out of rows that are in the graph, by reason.
    """

    source: str
    mapping: str
    rows: int
    in_graph: int
    duplicates: int
    quarantined: int
    reasons: dict[str, int] = field(default_factory=dict)
    cells: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReportTable:
    """A table to show: a title, the names of the columns, rows of text and numbers."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | int, ...], ...]


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What a build made.

    Attributes:
        snapshot_id: Id of the snapshot.
        content_hash: Hash of what is in it, whatever the order of its indices.
        path: Its folder.
        name: Name of the data set.
        simulated: Whether the data is simulated.
        sources: Row counts by source and mapping.
        accounts: Number of accounts.
        entities: Number of entities by kind.
        edges: Number of edges by relation.
        events: Number of rows that are events.
        hubs: Hubs with kind, key, accounts and reason, largest first.
        fold_policy: Where the fold table comes from.
        files_read: Files read by this build.
        files_reused: Files that earlier builds had read already.
        seconds: Wall time.
        time_range_ms: First and last time of an event, milliseconds; None if none has a time.
        last_seq: Last row of the journal that is in the snapshot; 0 without a journal.
        journal_read: Parts of the journal read by this build.
        journal_reused: Parts of the journal that earlier builds had read already.
        erased: Rows left out because their account asked to be forgotten.
        warnings: What may not be as it was meant, a line each.
    """

    snapshot_id: str
    content_hash: str
    path: Path
    name: str
    simulated: bool
    sources: tuple[SourceCount, ...]
    accounts: int
    entities: dict[str, int]
    edges: dict[str, int]
    events: int
    hubs: tuple[dict[str, Any], ...]
    fold_policy: str
    files_read: int
    files_reused: int
    seconds: float
    time_range_ms: tuple[int, int] | None = None
    last_seq: int = 0
    journal_read: int = 0
    journal_reused: int = 0
    erased: int = 0
    warnings: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """Rows read, counted once for each mapping."""
        return sum(count.rows for count in self.sources)

    @property
    def quarantined(self) -> int:
        """Rows left out."""
        return sum(count.quarantined for count in self.sources)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values for JSON.

        Returns:
            All fields, and the sums over the sources as ``totals``.
        """
        totals = {
            name: sum(getattr(count, name) for count in self.sources)
            for name in ("rows", "in_graph", "duplicates", "quarantined")
        }
        return asdict(self) | {"path": str(self.path), "totals": totals}

    def tables(self, most_hubs: int = 10) -> tuple[ReportTable, ...]:
        """The report as tables to show.

        Args:
            most_hubs: Number of hubs to list.

        Returns:
            Rows, graph and, if there are any, reasons and hubs.
        """
        counts = [
            (count.source, count.mapping, count.rows, count.in_graph, count.duplicates, count.quarantined)
            for count in self.sources
        ]
        totals = self.to_dict()["totals"]
        in_all: tuple[str | int, ...] = ("all", "", *totals.values())
        reasons = [
            (count.source, count.mapping, scope, reason, number)
            for count in self.sources
            for scope, found in (("row", count.reasons), ("cell", count.cells))
            for reason, number in sorted(found.items(), key=lambda item: (-item[1], item[0]))
        ]
        graph: list[tuple[str | int, ...]] = [("accounts", self.accounts), ("events", self.events)]
        if self.time_range_ms is not None:
            graph += [
                (what, _iso(time_ms))
                for what, time_ms in zip(("first event", "last event"), self.time_range_ms, strict=True)
            ]
        graph += [("last row of the journal", self.last_seq)] if self.last_seq else []
        graph += [(f"entities of kind {kind}", number) for kind, number in self.entities.items()]
        graph += [(f"edges {relation}", number) for relation, number in self.edges.items()]
        tables = [
            ReportTable(
                "Rows",
                ("source", "mapping", "rows", "in the graph", "duplicates", "quarantined"),
                (*counts, in_all),
            ),
            ReportTable("Graph", ("what", "number"), tuple(graph)),
        ]
        if reasons:
            columns = ("source", "mapping", "scope", "reason", "number")
            tables.insert(1, ReportTable("Quarantine", columns, tuple(reasons)))
        if self.hubs:
            rows = tuple(
                (hub["kind"], hub["key"], hub["accounts"], hub["reason"]) for hub in self.hubs[:most_hubs]
            )
            title = f"Hubs ({len(self.hubs):,} in all)" if len(self.hubs) > most_hubs else "Hubs"
            tables.append(ReportTable(title, ("kind", "key", "accounts", "why"), rows))
        return tuple(tables)


def _iso(time_ms: int) -> str:
    try:
        moment = _EPOCH + timedelta(milliseconds=time_ms)
    except OverflowError:  # counted from another start, in another unit
        return f"{time_ms} ms"
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
