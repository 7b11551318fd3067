"""Questions: whose they are, and what they may see."""

from pathlib import Path

import numpy as np
import pytest

from features import Queries, compute, registry_of
from tests.building import build_from_text

SPEC = """
ringwatch: 1
name: edits
title: Three edits of two users.
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
EDITS = "user,page,at\nann,p,100\nbob,p,200\nann,q,300\n"


def test_each_event_is_asked_about_just_after_it(tmp_path: Path) -> None:
    snapshot = build_from_text(tmp_path, SPEC, {"edits.csv": EDITS}).snapshot
    asked = Queries.for_events(snapshot, np.array([2, 0, 1]))
    assert [snapshot.account_ids[account] for account in asked.account] == ["ann", "ann", "bob"]
    assert asked.horizon.tolist() == [3, 1, 2]
    assert asked.time_ms.tolist() == [300_000, 100_000, 200_000]
    assert asked.first_seen_ms.tolist() == [100_000, 100_000, 200_000]
    events = compute(snapshot, asked)[:, registry_of(snapshot).names.index("edit>.events")]
    # The event that is asked about is seen, later ones are not.
    np.testing.assert_allclose(np.expm1(events), [2, 1, 1], rtol=1e-6)


def test_a_row_that_nobody_is_behind_cannot_be_asked_about(tmp_path: Path) -> None:
    spec = SPEC.replace("from: {account: user}", "from: {page: page}").replace(
        "to: {page: page}", "to: {account: user}"
    )
    snapshot = build_from_text(tmp_path, spec, {"edits.csv": EDITS}).snapshot
    # The first row of each user brought that user in; the third only leads to one.
    assert len(Queries.for_events(snapshot, np.array([0, 1]))) == 2
    with pytest.raises(ValueError, match="behind 1 of the positions, 2 the first"):
        Queries.for_events(snapshot, np.array([0, 2]))
