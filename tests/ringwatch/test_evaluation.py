"""Figures against values worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringwatch.evaluation import judge_rings, judge_scores, recall_at_k

BAD = np.array([True, True, False, False])


@pytest.mark.parametrize(
    ("score", "average_precision", "auroc", "recall"),
    [
        pytest.param([0.9, 0.8, 0.2, 0.1], 1.0, 1.0, 1.0, id="perfect"),
        pytest.param([0.1, 0.2, 0.8, 0.9], (1 / 3 + 2 / 4) / 2, 0.0, 0.0, id="reversed"),
        pytest.param([0.5, 0.5, 0.5, 0.5], 0.5, 0.5, 0.5, id="all-tied"),
        pytest.param([0.9, 0.2, 0.8, 0.1], (1 + 2 / 3) / 2, 0.75, 0.5, id="one-swapped"),
    ],
)
def test_figures_by_hand(score: list[float], average_precision: float, auroc: float, recall: float) -> None:
    report = judge_scores(BAD, np.array(score))
    assert report is not None
    assert report.average_precision.value == pytest.approx(average_precision)
    assert report.auroc.value == pytest.approx(auroc)
    assert report.recall_at_k.value == pytest.approx(recall)


def test_one_class_cannot_be_judged() -> None:
    assert judge_scores(np.array([True, True]), np.array([0.1, 0.2])) is None
    assert judge_scores(np.array([False, False]), np.array([0.1, 0.2])) is None


def test_the_same_seed_gives_the_same_interval() -> None:
    score = np.linspace(0, 1, 40)
    bad = (np.arange(40) % 3 == 0) | (np.arange(40) > 30)
    one, two = (judge_scores(bad, score, seed=5) for _ in range(2))
    assert one == two
    assert one is not None
    assert one.auroc.low < one.auroc.value < one.auroc.high


def test_ring_mates_are_drawn_together_so_the_interval_widens() -> None:
    """Ten rings of ten score alike inside a ring: 100 accounts, yet ten pieces of evidence."""
    rng = np.random.default_rng(0)
    ring = np.repeat(np.arange(10), 10)
    score = np.concatenate([rng.normal(0.6, 0.3, 10)[ring], rng.normal(0.3, 0.1, 200)])
    bad = np.arange(300) < 100
    names = [f"ring {r}" for r in ring] + [None] * 200
    alone, together = judge_scores(bad, score), judge_scores(bad, score, names)
    assert alone is not None
    assert together is not None
    width = together.auroc.high - together.auroc.low
    assert width > 1.5 * (alone.auroc.high - alone.auroc.low)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=30))
def test_recall_at_k_does_not_depend_on_the_order_of_the_rows(rows: list[tuple[bool, int]]) -> None:
    bad = np.array([row[0] for row in rows])
    score = np.array([float(row[1]) for row in rows])
    if not bad.any():
        bad[0] = True
    assert recall_at_k(bad, score) == pytest.approx(recall_at_k(bad[::-1], score[::-1]))


def test_a_ring_is_found_by_half_of_it_at_the_least_overlap() -> None:
    reported = {"a": set("abcd"), "b": set("wxyz"), "single": {"q"}}
    ours = [("r1", set("ab")), ("r2", set("cd")), ("r3", set("w") | set("123")), ("r4", set("wxy12345"))]
    report = judge_rings(reported, ours)
    # r1: 2 of the 4 of a, Jaccard 2/4; r2 is too late for a; r3: 1 of the 4 of b; r4: 3 of them, Jaccard 3/9.
    assert report.found == (("a", "r1"), ("b", "r4"))
    assert (report.n_reported, report.n_found, report.n_rings) == (2, 2, 4)


def test_too_large_a_ring_finds_nothing() -> None:
    report = judge_rings({"a": set("abc")}, [("r1", set("abcdefghijk"))])  # Jaccard 3/11
    assert report.n_found == 0
