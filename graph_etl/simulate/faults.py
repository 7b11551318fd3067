"""Damage to the exports as it happens in practice, in known numbers."""

from collections.abc import Mapping

import numpy as np
import polars as pl

from graph_etl.simulate.config import Faults

_BAD_TIMES = ("32/13/2025 25:61", "yesterday", "2025-02-30T12:00:00Z", "")
_BAD_CELLS = {
    "ip": ("999.12.1.1", "10.0.0"),
    "email": ("no address", "@mail.example"),
    "phone": ("n/k", "12"),
}
_TIME_COLUMN = {"signups": "created_at", "logins": "at", "gifts": "at", "payments": "at"}
_ACCOUNT_COLUMN = {
    "signups": "account_id",
    "logins": "account_id",
    "gifts": "receiver",
    "payments": "account_id",
}
_TABLE_SHARE = {"signups": 0.2, "logins": 0.4, "gifts": 0.2, "payments": 0.2}


def damage(
    tables: Mapping[str, pl.DataFrame], faults: Faults, rng: np.random.Generator
) -> tuple[dict[str, pl.DataFrame], dict[str, int]]:
    """Add unreadable rows, repeat some, contradict others and spoil a few cells.

    Damaged rows come on top of the good ones, so that no true event is lost: a malformed row is a copy
    with an unreadable time or no account and an event id of its own; a conflicting row repeats an
    event id with another account.

    Args:
        tables: The undamaged exports.
        faults: How many of each.
        rng: Source of randomness.

    Returns:
        The damaged tables and how many rows or cells were damaged, by kind.
    """
    damaged = dict(tables)
    counts = dict.fromkeys(("malformed_rows", "repeated_rows", "conflicting_rows", "unreadable_cells"), 0)
    damaged["signups"], counts["unreadable_cells"] = _spoil_cells(
        tables["signups"], faults.unreadable_cells, rng
    )
    serial = 0
    malformed = _share_out(faults.malformed_rows)
    repeated = _share_out(faults.repeated_rows)
    for name in _TABLE_SHARE:
        table = damaged[name]
        if not table.height:
            continue
        added: list[tuple[int, dict[str, str | None]]] = []
        for k in range(malformed[name]):
            place = int(rng.integers(table.height))
            row = dict(table.row(place, named=True))
            serial += 1
            row["event_id"] = f"x{serial:07d}"
            if k % 4 == 3:
                row[_ACCOUNT_COLUMN[name]] = None
            else:
                row[_TIME_COLUMN[name]] = _BAD_TIMES[k % len(_BAD_TIMES)]
            added.append((place, row))
            counts["malformed_rows"] += 1
        for _ in range(repeated[name]):
            place = int(rng.integers(table.height))
            added.append((place, dict(table.row(place, named=True))))
            counts["repeated_rows"] += 1
        if name == "logins":
            for _ in range(faults.conflicting_rows):
                place = int(rng.integers(1, table.height))
                row = dict(table.row(place, named=True))
                row["device_id"] = f"{row['device_id']}0"
                added.append((place, row))
                counts["conflicting_rows"] += 1
        damaged[name] = _insert(table, added)
    return damaged, counts


def _share_out(n: int) -> dict[str, int]:
    """Split a number over the tables; what rounding leaves goes to the log-ins."""
    parts = {name: int(n * share) for name, share in _TABLE_SHARE.items()}
    parts["logins"] += n - sum(parts.values())
    return parts


def _insert(table: pl.DataFrame, added: list[tuple[int, dict[str, str | None]]]) -> pl.DataFrame:
    """Return the table with each added row right after the row that it was made from."""
    if not added:
        return table
    extra = pl.DataFrame([row for _, row in added], schema=table.schema)
    keys = pl.concat(
        [
            pl.DataFrame({"place": np.arange(table.height), "turn": np.zeros(table.height, dtype=np.int64)}),
            pl.DataFrame({"place": [place for place, _ in added], "turn": np.arange(1, len(added) + 1)}),
        ]
    )
    order = keys.with_row_index("index").sort("place", "turn")["index"]
    return pl.concat([table, extra])[order]


def _spoil_cells(table: pl.DataFrame, n: int, rng: np.random.Generator) -> tuple[pl.DataFrame, int]:
    """Make some identifiers unreadable; the rows stay good."""
    columns = tuple(_BAD_CELLS)
    rows = rng.choice(table.height, min(n, table.height), replace=False)
    values = {column: table[column].to_list() for column in columns}
    for k, row in enumerate(rows):
        column = columns[k % len(columns)]
        choices = _BAD_CELLS[column]
        values[column][int(row)] = choices[k // len(columns) % len(choices)]
    spoilt = table.with_columns(pl.Series(c, v, dtype=pl.String) for c, v in values.items())
    return spoilt, len(rows)
