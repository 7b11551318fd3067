"""Reading an event's time: what is accepted, what is assumed with a warning, what is refused with a code."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring_service.errors import ServiceError
from scoring_service.risk.reading import iso, read_time

NOW_MS = 1_772_357_400_000  # 2026-03-01T09:30:00Z
SKEW_MS = 300_000


def read(value: str | float | None) -> tuple[int, list[str]]:
    at = read_time(value, now_ms=NOW_MS, skew_ms=SKEW_MS)
    return at.ms, [warning.code for warning in at.warnings]


@pytest.mark.parametrize(
    ("value", "expected_ms"),
    [
        pytest.param("2026-03-01T09:30:00Z", NOW_MS, id="utc"),
        pytest.param("2026-03-01T10:30:00+01:00", NOW_MS, id="offset"),
        pytest.param("2026-03-01T09:30:00.250+00:00", NOW_MS + 250, id="milliseconds"),
        pytest.param(NOW_MS, NOW_MS, id="unix-milliseconds"),
        pytest.param("1970-01-01T00:00:00Z", 0, id="the-first-moment"),
    ],
)
def test_times_that_need_no_assumption(value: str | float, expected_ms: int) -> None:
    at_ms, warnings = read(value)
    assert at_ms == expected_ms
    assert warnings in ([], ["clock_skew"])
    assert warnings == (["clock_skew"] if expected_ms > NOW_MS else [])


def test_missing_time_is_now_with_a_warning() -> None:
    assert read(None) == (NOW_MS, ["timestamp_missing"])


@pytest.mark.parametrize("value", ["2026-03-01T09:30:00", "2026-03-01 09:30"])
def test_time_without_offset_is_utc_with_a_warning(value: str) -> None:
    assert read(value) == (NOW_MS, ["timestamp_without_offset"])


def test_five_minutes_ahead_is_skew_and_a_millisecond_more_is_an_error() -> None:
    assert read(NOW_MS + SKEW_MS) == (NOW_MS + SKEW_MS, ["clock_skew"])
    with pytest.raises(ServiceError, match="more than 300 s ahead") as caught:
        read(NOW_MS + SKEW_MS + 1)
    assert caught.value.code == "timestamp_in_future"


@pytest.mark.parametrize(
    ("value", "code"),
    [
        pytest.param("noon", "timestamp_invalid", id="words"),
        pytest.param("2026-13-01T00:00:00Z", "timestamp_invalid", id="month-13"),
        pytest.param("", "timestamp_invalid", id="blank"),
        pytest.param(1_772_357_400, "timestamp_invalid", id="seconds"),
        pytest.param(0, "timestamp_invalid", id="zero"),
        pytest.param(1e15, "timestamp_invalid", id="beyond-all-years"),
        pytest.param("1969-12-31T23:59:59Z", "timestamp_before_1970", id="a-second-too-early"),
        pytest.param("0001-01-01T00:00:00+14:00", "timestamp_before_1970", id="before-the-calendar-in-utc"),
        pytest.param(-1, "timestamp_before_1970", id="negative"),
        pytest.param("9999-12-31T23:59:59-14:00", "timestamp_in_future", id="after-the-calendar-in-utc"),
    ],
)
def test_impossible_times_have_a_code(value: str | float, code: str) -> None:
    with pytest.raises(ServiceError) as caught:
        read(value)
    assert caught.value.code == code
    assert caught.value.status == 422


@settings(deadline=None)
@given(st.integers(100_000_000_000, NOW_MS))
def test_a_time_survives_being_written_and_read(time_ms: int) -> None:
    assert read(iso(time_ms)) == (time_ms, [])


@settings(deadline=None)
@given(
    st.text(max_size=40) | st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**63 - 1)
)
def test_every_value_is_a_time_or_a_typed_error(value: str | float) -> None:
    refused = None
    try:
        at_ms, _ = read(value)
    except ServiceError as error:
        refused, at_ms = error.code, 0
    assert refused is None or refused.startswith("timestamp_")
    assert 0 <= at_ms <= NOW_MS + SKEW_MS
