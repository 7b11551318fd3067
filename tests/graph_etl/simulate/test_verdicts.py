"""Verdicts come late, miss some and are sometimes wrong."""

from datetime import datetime, timedelta

import polars as pl
import pytest

from graph_etl.simulate import SimulatedPlatform


@pytest.fixture
def judged(platform: SimulatedPlatform, signups: pl.DataFrame) -> pl.DataFrame:
    known = pl.col("known_at").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_zone="UTC")
    return (
        platform.tables["verdicts"]
        .with_columns(known=known)
        .join(signups, left_on="account", right_on="account_id", how="left")
    )


def test_a_verdict_comes_after_the_sign_up_and_before_the_end(judged: pl.DataFrame, end: datetime) -> None:
    delay = judged["known"] - judged["at"]
    assert delay.min() >= timedelta(minutes=30)  # type: ignore[operator]
    assert judged["known"].max() < end  # type: ignore[operator]
    assert judged["known"].is_sorted()


def test_verdicts_miss_many_bad_accounts_and_whole_rings(
    platform: SimulatedPlatform, judged: pl.DataFrame
) -> None:
    bad = platform.tables["truth"].filter(pl.col("label") == "1")
    caught = judged.filter((pl.col("verdict") == "bad") & (pl.col("label") == "1"))
    assert 0.35 < caught["account"].n_unique() / bad.height < 0.75
    missed = set(bad["ring"]) - set(caught["ring"])
    assert {"farm_last_night"} <= missed
    assert len(missed) >= 4


def test_every_tactic_is_caught_somewhere(platform: SimulatedPlatform) -> None:
    assert (platform.rings.group_by("tactic").agg(pl.col("banned").sum())["banned"] > 0).all()


def test_a_few_verdicts_are_wrong_in_both_directions(judged: pl.DataFrame) -> None:
    wrong_bad = judged.filter((pl.col("verdict") == "bad") & (pl.col("label") == "0"))
    wrong_good = judged.filter((pl.col("verdict") == "good") & (pl.col("label") == "1"))
    upheld = judged.filter(pl.col("reason") == "appeal_upheld")
    assert 5 <= wrong_bad.height <= 10
    assert 1 <= wrong_good.height <= 5
    assert set(upheld["account"]) < set(wrong_bad["account"])
    assert upheld.height >= 1


def test_honest_accounts_of_households_and_campus_were_reviewed(judged: pl.DataFrame) -> None:
    good = judged.filter((pl.col("verdict") == "good") & (pl.col("label") == "0"))
    places = dict(good.group_by("place").len().rows())
    assert places["household"] >= 30
    assert places["campus"] >= 10
