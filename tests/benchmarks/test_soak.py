"""What the soak makes of its windows: slopes worked out by hand."""

import pytest

from benchmarks.soak import Window, judge

MIB = 1024 * 1024


def _windows(own_mib: list[float], p50_ms: list[float] | None = None) -> list[Window]:
    """Windows of 1,024 events each, so that 1 MiB a window is 1 KiB an event."""
    medians = p50_ms or [2.0] * len(own_mib)
    return [
        Window(30.0 * (at + 1), 1_024, medians[at], 5.0, 9.0, 500.0, own) for at, own in enumerate(own_mib)
    ]


def test_a_steady_growth_of_the_live_graph_is_flat() -> None:
    verdict = judge(_windows([100.0 + at for at in range(10)]))
    assert verdict.bytes_an_event == pytest.approx(1_024)
    assert verdict.half_ratio == pytest.approx(1.0)
    assert verdict.memory_is_flat
    assert verdict.latency_is_flat


def test_a_growth_that_speeds_up_is_not_flat() -> None:
    assert not judge(_windows([100.0 + 0.1 * at**2 for at in range(10)])).memory_is_flat


def test_more_than_two_kib_an_event_is_not_flat() -> None:
    assert not judge(_windows([100.0 + 2.1 * at for at in range(10)])).memory_is_flat


def test_a_median_that_rises_by_half_is_not_flat() -> None:
    verdict = judge(_windows([100.0] * 10, [2.0 + 0.1 * at for at in range(10)]))
    assert verdict.memory_is_flat
    assert verdict.p50_drift > 0.2
    assert not verdict.latency_is_flat


def test_two_windows_tell_no_slope() -> None:
    with pytest.raises(ValueError, match="three at least"):
        judge(_windows([100.0, 100.0]))
