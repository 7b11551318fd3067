"""The head for an account at its events: there where accounts act, learned from the past of each block."""

from pathlib import Path

import numpy as np
import pytest

from features import Queries, moment_ms
from features.queries import EVENT
from gnn.event_head import EventHead, fit_event_head
from gnn.inputs import inputs
from gnn.targets import event_examples, targets
from gnn.trees import margins
from graph_etl import Snapshot
from tests.building import PLATFORM_SPEC, build_from_text, platform_files


@pytest.fixture(scope="module")
def fitted(timed_snapshot: Snapshot) -> EventHead:
    found = fit_event_head(timed_snapshot, targets(timed_snapshot))
    assert found is not None
    return found


def test_the_head_tells_bad_accounts_at_their_events(timed_snapshot: Snapshot, fitted: EventHead) -> None:
    assert fitted.head.moment == EVENT
    assert moment_ms(EVENT) is None
    assert fitted.head.booster is not None
    labels = targets(timed_snapshot)
    examples = event_examples(timed_snapshot, labels)
    assert len(fitted.margin) == len(examples) > 200
    columns = inputs(timed_snapshot, Queries.for_events(timed_snapshot, examples.position))
    np.testing.assert_array_equal(margins(fitted.head.booster, columns), fitted.margin)
    assert fitted.metrics["auroc"]["value"] > 0.8


def test_figures_are_of_later_blocks_only(timed_snapshot: Snapshot, fitted: EventHead) -> None:
    examples = event_examples(timed_snapshot, targets(timed_snapshot))
    assert 0 < fitted.metrics["events"] < len(examples)
    assert fitted.metrics["folds"] == "time"
    assert 0.0 <= fitted.metrics["calibration_error"] < 0.2
    assert 1 <= len(fitted.metrics["calibration_error_of_blocks"]) <= 4


def test_there_is_no_head_where_nothing_is_timed(untimed_snapshot: Snapshot) -> None:
    assert fit_event_head(untimed_snapshot, targets(untimed_snapshot)) is None


def test_there_is_no_head_where_accounts_only_sign_up(tmp_path: Path) -> None:
    files = platform_files()
    for name in ("logins.csv", "gifts.csv"):
        files[name] = files[name].splitlines()[0] + "\n"
    snapshot = build_from_text(tmp_path, PLATFORM_SPEC, files).snapshot
    assert (targets(snapshot).label == 1).sum() > 10
    assert fit_event_head(snapshot, targets(snapshot)) is None
