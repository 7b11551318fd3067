"""A budget stops the search before its end, never in the middle, and tells what was left out."""

import pytest

from gnn.budget import Budget


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def spend(budget: Budget, clock: Clock, name: str, seconds: float) -> None:
    with budget.step(name):
        clock.now_s += seconds


@pytest.mark.parametrize(
    ("total_s", "allowed"),
    [
        pytest.param(None, True, id="no-limit"),
        pytest.param(22.0, True, id="10-and-10-and-15-per-cent-of-10"),
        pytest.param(21.0, False, id="just-too-little"),
        pytest.param(5.0, False, id="over-already"),
    ],
)
def test_a_step_is_taken_only_if_it_would_end_in_time(total_s: float | None, allowed: bool) -> None:
    clock = Clock()
    budget = Budget(total_s, clock)
    spend(budget, clock, "wide trees", 10.0)
    assert budget.allows("narrow trees", like="wide trees") is allowed
    assert budget.left_out == ([] if allowed else ["narrow trees"])


def test_time_is_kept_for_what_must_still_come() -> None:
    clock = Clock()
    budget = Budget(30.0, clock)
    spend(budget, clock, "held-out trees", 10.0)
    assert budget.allows("another shape", like="held-out trees")
    assert not budget.allows("another shape", like="held-out trees", kept=("held-out trees",))


def test_a_step_of_which_nothing_is_known_needs_any_time_at_all() -> None:
    clock = Clock()
    budget = Budget(1.0, clock)
    assert budget.allows("GraphSAGE", like="GraphSAGE")
    clock.now_s += 1.0
    assert budget.left_s == 0.0
    assert not budget.allows("GraphSAGE", like="GraphSAGE")


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan")])
def test_a_budget_of_no_time_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="more than 0 seconds"):
        Budget(seconds)
