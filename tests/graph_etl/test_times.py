"""Times of any notation become milliseconds in UTC, or nothing."""

from datetime import date, datetime

import polars as pl
import pytest

from graph_etl.times import times_ms

NOON_MS = 1_420_113_600_000  # 2015-01-01T12:00:00Z


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("2015-01-01T12:00:00Z", NOON_MS, id="utc"),
        pytest.param("2015-01-01 12:00:00", NOON_MS, id="blank-between"),
        pytest.param("2015-01-01T14:00:00.250+02:00", NOON_MS + 250, id="offset-and-fraction"),
        pytest.param("2015-01-01T12:00", NOON_MS, id="minutes"),
        pytest.param("2015-01-01", NOON_MS - 43_200_000, id="day"),
        pytest.param("1420113600", NOON_MS, id="unix"),
        pytest.param("1420113600.5", NOON_MS + 500, id="unix-fraction"),
        pytest.param("1.4201136e9", NOON_MS, id="unix-exponent"),
        pytest.param("noon", None, id="no-time"),
        pytest.param("2015-02-30T12:00:00Z", None, id="no-such-day"),
        pytest.param("nan", None, id="nan"),
        pytest.param("", None, id="blank"),
        pytest.param(None, None, id="null"),
    ],
)
def test_texts(text: str | None, expected: int | None) -> None:
    # One of each notation beside it: columns may mix them.
    beside = ["2015-01-01T12:00:00Z", "1420113600", "2015-01-01 12:00:00"]
    read = times_ms(pl.Series("at", [text, *beside]), unit="s", format=None, timezone="UTC")
    assert read.to_list() == [expected, NOON_MS, NOON_MS, NOON_MS]


@pytest.mark.parametrize(
    ("unit", "number"),
    [
        ("ns", NOON_MS * 10**6),
        ("us", NOON_MS * 1000),
        ("ms", NOON_MS),
        ("s", NOON_MS // 1000),
        ("h", 394_476),
    ],
)
def test_units(unit: str, number: int) -> None:
    assert times_ms(pl.Series([number]), unit=unit, format=None, timezone="UTC").to_list() == [NOON_MS]


def test_local_times_are_told_in_their_zone() -> None:
    texts = pl.Series(["2015-01-01 13:00:00", "2015-07-01 14:00:00", "2015-01-01T12:00:00Z"])
    read = times_ms(texts, unit="s", format=None, timezone="Europe/Berlin")
    assert read.to_list() == [NOON_MS, NOON_MS + 181 * 86_400_000, NOON_MS]


def test_a_format_is_followed() -> None:
    texts = pl.Series(["01/01/2015 12.00", "2015-01-01 12:00:00"])
    assert times_ms(texts, unit="s", format="%d/%m/%Y %H.%M", timezone="UTC").to_list() == [NOON_MS, None]


def test_native_dates_and_datetimes() -> None:
    days = pl.Series([date(2015, 1, 1), None])
    assert times_ms(days, unit="s", format=None, timezone="UTC").to_list() == [NOON_MS - 43_200_000, None]
    noon = pl.Series([datetime(2015, 1, 1, 13)])
    assert times_ms(noon, unit="s", format=None, timezone="Europe/Berlin").to_list() == [NOON_MS]
