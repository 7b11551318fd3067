"""The clock behind the cost of each part: what a part calls counts there, and each part runs for real."""

import math
import time
from types import SimpleNamespace

import pytest

from benchmarks.serve.stopwatch import Stopwatch


def test_a_part_counts_without_the_parts_inside_it() -> None:
    place = SimpleNamespace(inner=lambda: time.sleep(0.02))

    def outer() -> float:
        place.inner()
        return math.sqrt(16)

    place.outer = outer
    watch = Stopwatch()
    with watch.over({"inner": [(place, "inner")], "outer": [(place, "outer")]}):
        watch.begin()
        assert place.outer() == 4.0
    assert place.outer is outer
    (call,) = watch.calls
    assert call["inner"] >= 0.02
    assert call["outer"] < 0.01


def test_an_error_is_timed_and_goes_on() -> None:
    def broken() -> float:
        return math.sqrt(-1)

    watch = Stopwatch()
    watch.begin()
    with pytest.raises(ValueError, match="domain"):
        watch.clocked("broken", broken)()
    assert watch.calls[0]["broken"] >= 0
