"""How an account acts: every column worked out by hand, and the past only."""

from pathlib import Path

import numpy as np
import pytest

from features import LiveGraph, Queries
from features.rhythm import RHYTHM_FEATURES, rhythm, rhythm_specs
from graph_etl import JournalRow, LiveEvent, Snapshot
from tests.building import build_from_text, csv_text

SPEC = """
ringwatch: 1
name: edits
title: Edits of two users.
sources:
  edits: {path: edits.csv}
kinds:
  page: {identifier: false, public: true, normalise: exact}
events:
  - source: edits
    type: edit
    from: {account: user}
    to: {page: page}
    time: {column: at, unit: s}
"""
# ann's edits at 0, 10 and 5000 s are followed by bob within an hour, on another page, and after an hour.
EDITS = [
    ("ann", "p", 0),  # 0
    ("bob", "p", 5),  # 1
    ("ann", "q", 10),  # 2
    ("ann", "p", 1000),  # 3
    ("ann", "p", 1100),  # 4
    ("bob", "q", 4000),  # 5
]
NAMES = [spec.name.removeprefix("rhythm.") for spec in RHYTHM_FEATURES]


def edits(folder: Path, n_rows: int = len(EDITS)) -> Snapshot:
    return build_from_text(folder, SPEC, {"edits.csv": csv_text("user,page,at", EDITS[:n_rows])}).snapshot


def at_event(snapshot: Snapshot, position: int) -> dict[str, float]:
    row = rhythm(snapshot, Queries.for_events(snapshot, np.array([position])))[0]
    return dict(zip(NAMES, row.tolist(), strict=True))


def test_columns_at_the_fourth_edit_of_ann(tmp_path: Path) -> None:
    found = at_event(edits(tmp_path), 4)
    gaps = np.log1p([100.0, 990.0, 10.0])
    expected = {
        "gap": gaps[0],
        "gap_mean": gaps.mean(),
        "gap_spread": gaps.std(),
        "gap_deviation": gaps[0] - gaps.mean(),
        "gap_4": np.nan,
        "gap_8": np.nan,
        # Only the first edit was followed by then: bob comes to q later.
        "followed": np.log1p(1.0),
        "followed_share": 0.25,
        "same_recent": np.log1p(2.0),
        "same_as_last": 1.0,
        # On p before: ann, bob, ann.
        "alternations": np.log1p(2.0),
        "run": np.log1p(1.0),
        "own_1h": np.log1p(2.0),
    }
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, err_msg=name)


def test_a_first_event_has_no_pace(tmp_path: Path) -> None:
    found = at_event(edits(tmp_path), 0)
    assert np.isnan([found[name] for name in ("gap", "gap_mean", "gap_4", "same_as_last")]).all()
    assert [found[name] for name in ("followed", "same_recent", "run", "own_1h")] == [0.0] * 4


@pytest.mark.parametrize(
    ("after_s", "followed"),
    [pytest.param(3600, 1.0, id="an-hour-counts"), pytest.param(3601, 0.0, id="a-second-more-does-not")],
)
def test_what_is_followed_up_after_an_hour_is_not_followed(
    after_s: int, followed: float, tmp_path: Path
) -> None:
    rows = [("ann", "p", 0), ("bob", "p", after_s), ("ann", "q", 9000)]
    snapshot = build_from_text(tmp_path, SPEC, {"edits.csv": csv_text("user,page,at", rows)}).snapshot
    assert np.expm1(at_event(snapshot, 2)["followed"]) == pytest.approx(followed)


def test_what_comes_later_changes_nothing(tmp_path: Path) -> None:
    whole, short = edits(tmp_path / "whole"), edits(tmp_path / "short", 5)
    positions = np.arange(5)
    np.testing.assert_array_equal(
        rhythm(whole, Queries.for_events(whole, positions)),
        rhythm(short, Queries.for_events(short, positions)),
    )


def test_the_service_sees_what_training_saw(tmp_path: Path) -> None:
    whole, short = edits(tmp_path / "whole"), edits(tmp_path / "short", 2)
    live = LiveGraph(short)
    for seq, (user, page, at_s) in enumerate(EDITS[2:], start=1):
        event = LiveEvent("edit", user, at_s * 1000, interactions=(("edit", "page", page, 1.0),))
        # Asked before it is applied, with its own edge, as the service asks.
        np.testing.assert_array_equal(
            rhythm(live, live.question(event)),
            rhythm(whole, Queries.for_events(whole, np.array([seq + 1]))),
            err_msg=f"event {seq}",
        )
        live.apply(JournalRow(seq, at_s * 1000, event))


def test_there_are_no_columns_where_nothing_is_timed(
    timed_snapshot: Snapshot, untimed_snapshot: Snapshot
) -> None:
    assert rhythm_specs(untimed_snapshot) == ()
    assert rhythm(untimed_snapshot, Queries.for_accounts(untimed_snapshot)).shape[1] == 0
    found = rhythm(timed_snapshot, Queries.for_accounts(timed_snapshot))
    assert found.shape == (timed_snapshot.n_accounts, len(RHYTHM_FEATURES))
    # Log-ins tell the pace too, though they are about nothing.
    assert (~np.isnan(found[:, 0])).sum() > 200
