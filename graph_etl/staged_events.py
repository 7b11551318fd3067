"""Rows that are events, as staged."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pyarrow.compute as pc

from graph_etl.identity import occurrence_numbers, row_names
from graph_etl.nodes import ACCOUNT
from graph_etl.snapshot import NO_TIME, node_hashes
from graph_etl.staged_keys import Named, trimmed
from graph_etl.times import times_ms

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from graph_etl.plan import EventPlan, TimeColumn
    from graph_etl.quarantine import Notes
    from graph_etl.staged_keys import KeyNamer


@dataclass(slots=True)
class Staged:
    """What a mapping makes of a file.

    Attributes:
        tables: Tables by name.
        quarantine: What is left out.
        silent: Rows that validly say nothing.
        types: Types of events, as the rows number them.
    """

    tables: dict[str, pl.DataFrame]
    quarantine: list[pl.DataFrame]
    silent: int = 0
    types: list[str] = field(default_factory=list)


class Rejections:
    """The first reason for which each row is left out."""

    def __init__(self, n_rows: int) -> None:
        self._reasons: list[str] = []
        self._code = np.full(n_rows, -1, np.int8)

    def add(self, rows: NDArray[np.bool_], reason: str) -> None:
        """Leave rows out.

        Args:
            rows: ``bool[n]``, which rows; those left out already keep their reason.
            reason: Why.
        """
        self._code[rows & (self._code < 0)] = len(self._reasons)
        self._reasons.append(reason)

    @property
    def kept(self) -> NDArray[np.int64]:
        """Places of the rows that stay."""
        return np.flatnonzero(self._code < 0)

    def noted(self, notes: Notes, rows: NDArray[np.int64]) -> pl.DataFrame:
        """The rows left out, for the quarantine.

        Args:
            notes: Where they are from.
            rows: ``int64[n]`` row numbers.

        Returns:
            One row for each row left out.
        """
        out = np.flatnonzero(self._code >= 0)
        return notes.rows(rows[out], [self._reasons[code] for code in self._code[out]])


def read_times(
    rows: pl.DataFrame, time: TimeColumn, rejections: Rejections, name: str, *, required: bool
) -> NDArray[np.int64]:
    """Read a column of times.

    Args:
        rows: ``n`` rows.
        time: The column.
        rejections: Takes the rows whose time is missing or unreadable.
        name: ``time`` or ``known_at``.
        required: Whether a missing time is a reason to leave the row out.

    Returns:
        ``int64[n]`` milliseconds, ``NO_TIME`` where there is none.
    """
    told = rows[time.column]
    read = times_ms(told, unit=time.unit, format=time.format, timezone=time.timezone)
    blank = told.is_null() | (told.cast(pl.String).str.strip_chars() == "")
    if required:
        rejections.add(blank.to_numpy(), f"{name}_missing")
    rejections.add((read.is_null() & ~blank).to_numpy(), f"{name}_unreadable")
    return read.fill_null(NO_TIME).to_numpy()


def _types(
    plan: EventPlan, rows: pl.DataFrame, rejections: Rejections
) -> tuple[NDArray[np.int32], list[str]]:
    if isinstance(plan.type, str):
        return np.zeros(len(rows), np.int32), [plan.type]
    texts = rows.select(
        pl.concat_str([pl.lit(trimmed(rows[column])) for column in plan.type], separator=":").alias("type")
    )["type"]
    rejections.add(texts.is_null().to_numpy(), "type_missing")
    encoded = pc.dictionary_encode(texts.fill_null("").to_arrow())
    codes = pl.Series(pl.from_arrow(encoded.indices)).cast(pl.Int32).to_numpy()
    return codes, encoded.dictionary.to_pylist()


def _values(plan: EventPlan, rows: pl.DataFrame, rejections: Rejections) -> NDArray[np.float32]:
    if plan.value_column is None:
        return np.ones(len(rows), np.float32)
    texts = trimmed(rows[plan.value_column])
    numbers = texts.cast(pl.Float64, strict=False)
    # Edges hold amounts as float32; beyond its range they would silently become infinite.
    finite = (numbers.is_finite() & (numbers.abs() <= float(np.finfo(np.float32).max))).fill_null(False)
    rejections.add((texts.is_not_null() & ~finite).to_numpy(), "amount_unreadable")
    # A blank amount moved nothing; a row without a count is one event.
    blank = 1.0 if plan.value == "count" else 0.0
    return pl.select(pl.when(finite).then(numbers).otherwise(blank)).to_series().to_numpy().astype(np.float32)


def _attributes(plan: EventPlan, rows: pl.DataFrame, notes: Notes) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    columns, noted = [], []
    for attribute in plan.attributes:
        texts = trimmed(rows[attribute.column])
        if attribute.type == "category":
            columns.append(texts.alias(attribute.name))
            continue
        if attribute.type == "flag":
            flags = {"1": 1.0, "true": 1.0, "t": 1.0, "yes": 1.0, "y": 1.0}
            flags |= {"0": 0.0, "false": 0.0, "f": 0.0, "no": 0.0, "n": 0.0}
            read = texts.str.to_lowercase().replace_strict(flags, default=None, return_dtype=pl.Float64)
        else:
            read = texts.cast(pl.Float64, strict=False)
            read = read.set(~read.is_finite().fill_null(True), None)
        bad = np.flatnonzero((read.is_null() & texts.is_not_null()).to_numpy())
        if len(bad):
            noted.append(notes.cells(rows["row"].to_numpy()[bad], attribute.column, "attribute_unreadable"))
        columns.append(read.alias(attribute.name))
    return pl.DataFrame(columns), noted


def _ends(
    plan: EventPlan, rows: pl.DataFrame, namer: KeyNamer, rejections: Rejections
) -> tuple[Named, Named | None]:
    src = namer.end(rows[plan.src.column], plan.src, declared=plan.lists_accounts)
    alone = plan.src.kind == ACCOUNT
    rejections.add(src.missing, "account_missing" if alone else "endpoint_missing")
    rejections.add(src.unreadable, "account_unreadable" if alone else "endpoint_unreadable")
    if plan.dst is None:
        return src, None
    dst = namer.end(rows[plan.dst.column], plan.dst)
    rejections.add(dst.missing, "endpoint_missing")
    rejections.add(dst.unreadable, "endpoint_unreadable")
    return src, dst


def stage_events(plan: EventPlan, rows: pl.DataFrame, namer: KeyNamer, notes: Notes) -> Staged:
    """Stage rows that are events.

    Args:
        plan: The mapping.
        rows: The file's rows with ``row`` and the columns of the mapping.
        namer: Numbers the nodes.
        notes: Notes what is left out.

    Returns:
        Tables ``rows`` (one an event), ``used`` (one an identifier of an event) and, for rows that list
        accounts with attributes, ``attributes`` (one a row of ``rows``).
    """
    row = rows["row"].cast(pl.Int64).to_numpy()
    rejections = Rejections(len(rows))
    src, dst = _ends(plan, rows, namer, rejections)
    nowhere = np.full(len(rows), NO_TIME)
    time = nowhere if plan.time is None else read_times(rows, plan.time, rejections, "time", required=True)
    known = time
    if plan.known_at is not None:
        known = read_times(rows, plan.known_at, rejections, "known_at", required=False)
        known = np.where(known == NO_TIME, time, known)
    type_codes, types = _types(plan, rows, rejections)
    value = _values(plan, rows, rejections)
    kept = rejections.kept
    # Without rejections a view, not a copy of every column.
    stay = slice(None) if len(kept) == len(rows) else kept
    quarantine = [rejections.noted(notes, row)]
    type_names = node_hashes("type", types)[type_codes]
    content = [type_names, time, known, src.names, value.astype(np.float64)]
    content += [] if dst is None else [dst.names]
    used_at, used_node = [], []
    for column in plan.identifiers:
        for named in namer.identifiers(rows[column.column], column.kind):
            at = np.flatnonzero(named.node[kept] >= 0)
            used_at.append(at)
            used_node.append(named.node[kept[at]])
            content.append(named.names)
            bad = kept[named.unreadable[kept]]
            if len(bad):
                quarantine.append(notes.cells(row[bad], column.column, "identifier_unreadable"))
    attributes, noted = _attributes(plan, rows, notes)
    for table in noted:
        quarantine.append(table.filter(pl.col("row").is_in(row[stay])))
    for name in attributes.columns:
        content.append(_attribute_words(attributes[name]))
    names = row_names((column[stay] for column in content), len(kept))
    identity = _identities(plan, rows[stay], type_names[stay], names)
    tables = {
        "rows": pl.DataFrame(
            {
                "row": row[stay],
                "time_ms": time[stay],
                "known_ms": known[stay],
                "type": type_codes[stay],
                "src": src.node[stay],
                "dst": np.full(len(kept), -1, np.int32) if dst is None else dst.node[stay],
                "value": value[stay],
                "identity_low": identity[:, 0].copy(),
                "identity_high": identity[:, 1].copy(),
                "content_low": names[:, 0].copy(),
                "content_high": names[:, 1].copy(),
            }
        ),
        "used": _used(used_at, used_node),
    }
    if plan.attributes:
        tables["attributes"] = attributes[stay]
    return Staged(tables, quarantine, types=types)


def _used(at: list[NDArray[np.int64]], node: list[NDArray[np.int32]]) -> pl.DataFrame:
    if not at:
        return pl.DataFrame(schema={"at": pl.Int64, "node": pl.Int32})
    places = np.concatenate(at)
    order = np.argsort(places, kind="stable")
    return pl.DataFrame({"at": places[order], "node": np.concatenate(node)[order]})


def _attribute_words(values: pl.Series) -> NDArray[np.uint64]:
    if values.dtype == pl.String:
        distinct = values.unique(maintain_order=True).drop_nulls()
        place = dict(zip(distinct.to_list(), range(len(distinct)), strict=True))
        codes = values.replace_strict(place, default=-1, return_dtype=pl.Int64).to_numpy()
        names = np.zeros((len(distinct) + 1, 2), np.uint64)
        names[:-1] = node_hashes("category", distinct.to_list())
        words: NDArray[np.uint64] = names[codes]
        return words
    missing = values.is_null().to_numpy()
    words = values.fill_null(0.0).to_numpy().view(np.uint64)
    return np.column_stack([words, missing.astype(np.uint64)])


def content_identities(plan: EventPlan, content: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """What tells rows without an event id apart: what they say, and how many rows said the same before.

    Args:
        plan: The mapping.
        content: ``uint64[n, 2]``, what each row says.

    Returns:
        ``uint64[n, 2]``.
    """
    source = np.broadcast_to(node_hashes("source", [f"{plan.source}:{plan.lists_accounts}"]), content.shape)
    return row_names([source, content, occurrence_numbers(content)], len(content))


def _identities(
    plan: EventPlan, rows: pl.DataFrame, type_names: NDArray[np.uint64], content: NDArray[np.uint64]
) -> NDArray[np.uint64]:
    """An event's id within its type; else its source, its content and how often the file had it before."""
    identity = content_identities(plan, content)
    if plan.event_id is None:
        return identity
    ids = trimmed(rows[plan.event_id])
    given = np.flatnonzero(ids.is_not_null().to_numpy())
    names = node_hashes("event", ids.drop_nulls().to_list())
    identity[given] = row_names([type_names[given], names], len(given))
    return identity
