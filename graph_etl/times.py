"""Times of any notation, as whole milliseconds of Unix time."""

from __future__ import annotations

import polars as pl

_UNIT_MS = {
    "s": 1000.0,
    "ms": 1.0,
    "us": 0.001,
    "ns": 0.000001,
    "m": 60_000.0,
    "h": 3_600_000.0,
    "d": 86_400_000.0,
}
_LOCAL_FORMATS = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M")


def times_ms(values: pl.Series, *, unit: str, format: str | None, timezone: str) -> pl.Series:
    """Read a column of times.

    Args:
        values: Numbers in ``unit``, ISO 8601 text, text in ``format``, dates or datetimes.
        unit: Unit of numbers: ns, us, ms, s, m, h or d.
        format: Format of texts, as of ``strptime``; None for numbers and ISO 8601.
        timezone: Where times without an offset are told.

    Returns:
        ``Int64`` milliseconds since 1970 in UTC; null where there is none or it cannot be read.
    """
    if values.dtype.is_numeric():
        return _scaled(values, unit)
    if values.dtype == pl.Date:
        return _zoned(values.cast(pl.Datetime("ms")), timezone)
    if isinstance(values.dtype, pl.Datetime):
        if values.dtype.time_zone is not None:
            return values.dt.epoch("ms")
        return _zoned(values, timezone)
    texts = values.cast(pl.String).str.strip_chars()
    if format is not None:
        if "%z" in format or "%:z" in format or "%#z" in format:
            return texts.str.strptime(pl.Datetime("ms", "UTC"), format, strict=False).dt.epoch("ms")
        return _zoned(texts.str.strptime(pl.Datetime("ms"), format, strict=False), timezone)
    found = _scaled(texts.cast(pl.Float64, strict=False), unit)
    if found.null_count() == texts.null_count():
        return found
    iso = texts.str.replace(r"^(\d{4}-\d{2}-\d{2}) ", "${1}T")
    local = [iso.str.strptime(pl.Datetime("ms"), form, strict=False) for form in _LOCAL_FORMATS]
    days = iso.str.strptime(pl.Date, "%Y-%m-%d", strict=False).cast(pl.Datetime("ms"))
    with_offset = iso.str.strptime(pl.Datetime("ms", "UTC"), "%Y-%m-%dT%H:%M:%S%.f%#z", strict=False)
    tables = [found, with_offset.dt.epoch("ms"), *(_zoned(told, timezone) for told in [*local, days])]
    return pl.DataFrame([table.alias(str(at)) for at, table in enumerate(tables)]).select(
        pl.coalesce(pl.all()).alias(values.name)
    )[values.name]


def _scaled(numbers: pl.Series, unit: str) -> pl.Series:
    if numbers.dtype.is_integer() and unit in ("s", "ms"):
        return numbers.cast(pl.Int64) * int(_UNIT_MS[unit])
    # Half a millisecond rounds to even; NaN and infinities are no times.
    scaled = (numbers.cast(pl.Float64) * _UNIT_MS[unit]).round()
    return scaled.set(~scaled.is_finite().fill_null(True), None).cast(pl.Int64, strict=False)


def _zoned(told: pl.Series, timezone: str) -> pl.Series:
    if timezone != "UTC":
        told = told.dt.replace_time_zone(timezone, ambiguous="earliest", non_existent="null")
    return told.dt.epoch("ms")
