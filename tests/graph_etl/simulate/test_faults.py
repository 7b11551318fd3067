"""Damage adds rows in known numbers and never loses a good one."""

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from graph_etl.simulate.config import Faults
from graph_etl.simulate.faults import damage

_TIME = "2025-03-03T10:00:00Z"


def _tables(n: int) -> dict[str, pl.DataFrame]:
    def table(prefix: str, time: str, **columns: str) -> pl.DataFrame:
        rows = {"event_id": [f"{prefix}{k}" for k in range(n)], time: [_TIME] * n}
        return pl.DataFrame(rows | {name: [value] * n for name, value in columns.items()})

    return {
        "signups": table("s", "created_at", account_id="u1", ip="10.0.0.1", email="a@b.example", phone="1"),
        "logins": table("l", "at", account_id="u1", device_id="d1"),
        "gifts": table("g", "at", sender="u1", receiver="u2"),
        "payments": table("p", "at", account_id="u1", card="tok_1"),
    }


@given(
    n=st.integers(2, 12),
    malformed=st.integers(0, 30),
    repeated=st.integers(0, 30),
    conflicting=st.integers(0, 4),
    seed=st.integers(0, 99),
)
def test_good_rows_stay_in_order_and_additions_are_counted(
    n: int, malformed: int, repeated: int, conflicting: int, seed: int
) -> None:
    before = _tables(n)
    faults = Faults(
        malformed_rows=malformed, repeated_rows=repeated, conflicting_rows=conflicting, unreadable_cells=0
    )
    after, counts = damage(before, faults, np.random.default_rng(seed))
    added = sum(after[name].height - before[name].height for name in before)
    assert added == malformed + repeated + conflicting
    assert counts["malformed_rows"] == malformed
    for name, table in before.items():
        first = after[name].unique("event_id", keep="first", maintain_order=True)
        assert first.filter(~pl.col("event_id").str.starts_with("x")).equals(table)


def test_a_malformed_row_has_no_readable_time_or_no_account() -> None:
    after, _ = damage(_tables(9), Faults(malformed_rows=20), np.random.default_rng(0))
    gifts = after["gifts"].filter(pl.col("event_id").str.starts_with("x"))
    assert gifts.height == 4
    assert gifts.filter((pl.col("at") != _TIME) | pl.col("receiver").is_null()).height == 4


def test_a_contradicting_row_keeps_the_event_id() -> None:
    after, _ = damage(_tables(5), Faults(malformed_rows=0, repeated_rows=0), np.random.default_rng(0))
    twice = after["logins"].filter(pl.col("event_id").is_duplicated())
    assert twice["device_id"].n_unique() == 2
