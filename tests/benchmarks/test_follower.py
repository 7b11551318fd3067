"""The lag of a follower: times worked out by hand, and (slow) a small run with real processes."""

import shutil
from pathlib import Path

import pytest

from benchmarks.follower import Spread, lags_ms, measure
from tests.scoring_service import small_platform


def test_an_event_is_seen_by_the_first_answer_that_counts_it() -> None:
    seen = [(4, 1.000), (5, 1.010), (5, 1.020), (8, 1.030)]
    lags, unseen = lags_ms([(5, 1.004), (6, 1.005), (8, 1.030), (4, 1.002)], seen)
    # The follower may count an event before the writer's answer has arrived.
    assert lags == pytest.approx([6.0, 25.0, 0.0, 0.0])
    assert unseen == 0


def test_an_event_that_is_never_counted_is_not_forgotten() -> None:
    assert lags_ms([(1, 0.5), (9, 0.5)], [(3, 1.0)]) == ([500.0], 1)
    assert lags_ms([(1, 0.5)], []) == ([], 1)


def test_a_spread_of_nothing_has_no_times() -> None:
    assert Spread.of([1.0, 3.0]).p50_ms == 2.0
    nothing = Spread.of([])
    assert nothing.n == 0
    assert nothing.max_ms != nothing.max_ms


@pytest.mark.slow
def test_a_follower_sees_it_all_and_outlives_its_writer(tmp_path: Path, hash_key: str) -> None:
    assert hash_key
    workspace = Path(shutil.copytree(small_platform.make_workspace(tmp_path), tmp_path / "served"))
    found = measure(workspace, "process", rate=50, seconds=1, asks=5, poll_ms=20, connections=2)
    assert found.lag.n >= 25
    assert (found.unseen, found.not_accepted) == (0, 0)
    assert found.went_on == found.asked_while_dead
    assert found.asked.n >= 1
