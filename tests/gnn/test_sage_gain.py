"""What GraphSAGE adds, with an interval, and the early decision."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from gnn.sage_gain import LEAST_GAIN, gain_of, held_together
from graph_etl import Snapshot


def drawn(n: int, more: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, trees that see half of the truth, and a second model that sees ``more`` of the other half."""
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, n))
    label = (first + second + 0.5 * rng.normal(size=n) > 1.0).astype(np.int8)
    return label, first, more * second + (1.0 - more) * rng.normal(size=n)


def test_a_second_view_gains_and_says_how_much() -> None:
    label, trees, sage = drawn(2000, 1.0)
    found = gain_of(label, trees, sage, np.ones(2000))
    level = sage * trees.std() / sage.std()
    mixed = (1.0 - found.weight) * trees + found.weight * level
    gain = average_precision_score(label, mixed) - average_precision_score(label, trees)
    assert found.gain == pytest.approx(gain)
    assert found.weight == 0.5
    assert 0.1 < found.low < found.gain < found.high
    assert not found.hopeless
    assert found.accounts == 2000


def test_noise_is_hopeless() -> None:
    label, trees, sage = drawn(20_000, 0.0)
    found = gain_of(label, trees, sage, np.ones(20_000))
    assert found.weight == 0.0
    assert found.gain == 0.0
    assert found.high < LEAST_GAIN
    assert found.hopeless


def test_few_accounts_leave_the_question_open() -> None:
    label, trees, _ = drawn(60, 0.0)
    sage = trees + 0.3 * np.random.default_rng(5).normal(size=60)
    found = gain_of(label, trees, sage, np.ones(60))
    assert found.low < 0.0 < found.high
    assert not found.hopeless


def test_groups_that_are_drawn_together_widen_the_interval() -> None:
    label, trees, sage = drawn(400, 1.0)
    label, trees, sage = (np.tile(values, 10) for values in (label, trees, sage))
    weight = np.ones(4000)
    each = gain_of(label, trees, sage, weight)
    grouped = gain_of(label, trees, sage, weight, group=np.tile(np.arange(400), 10))
    assert grouped.gain == each.gain
    assert grouped.high - grouped.low > 2.0 * (each.high - each.low)


def test_known_rings_are_held_together(timed_snapshot: Snapshot) -> None:
    everyone = np.arange(timed_snapshot.n_accounts)
    found = held_together(timed_snapshot, everyone)
    ids = timed_snapshot.account_ids.to_list()
    farm = [ids.index(f"farm{at:02}") for at in range(14)]
    assert len(np.unique(found[farm])) == 1
    mill = [ids.index(f"mill{at:02}") for at in range(10)]
    assert len(np.unique(found[mill + farm])) == 2
    honest = [at for at, name in enumerate(ids) if name.startswith("h")]
    assert len(np.unique(found[honest])) == len(honest)
