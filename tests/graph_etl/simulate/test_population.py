"""Honest structure: households, campus, carriers, cafés, bursts that are no attack."""

from datetime import timedelta

import polars as pl

from graph_etl.simulate import SimulatedPlatform


def _households(signups: pl.DataFrame) -> list[pl.DataFrame]:
    honest = signups.filter(pl.col("place") == "household")
    return [part.sort("at") for _, part in honest.group_by("home", maintain_order=True)]


def test_households_are_not_all_alike(signups: pl.DataFrame, uses: pl.DataFrame) -> None:
    homes = _households(signups)
    assert len(homes) > 250
    assert {part.height for part in homes} == {2, 3, 4, 5}
    spans = [part["at"][-1] - part["at"][0] for part in homes]
    assert 0.05 < sum(span < timedelta(hours=3) for span in spans) / len(spans) < 0.25
    assert sum(span > timedelta(days=4) for span in spans) / len(spans) > 0.5
    home_of = signups.filter(pl.col("place") == "household").select("account_id", "home")
    per_device = (
        uses.join(home_of, on="account_id").group_by("home", "device_id").agg(pl.col("account_id").n_unique())
    )
    share = per_device.filter(pl.col("account_id") >= 2)["home"].n_unique() / len(homes)
    assert 0.3 < share < 0.8


def test_gifts_inside_households_are_common_but_not_universal(
    platform: SimulatedPlatform, signups: pl.DataFrame
) -> None:
    home = signups.filter(pl.col("place") == "household").select("account_id", "home")
    gifts = (
        platform.tables["gifts"]
        .join(home, left_on="sender", right_on="account_id")
        .join(home, left_on="receiver", right_on="account_id", suffix="_receiver")
    )
    giving = gifts.filter(pl.col("home") == pl.col("home_receiver"))["home"].n_unique()
    assert 0.2 < giving / len(_households(signups)) < 0.8


def test_a_campus_is_hundreds_of_accounts_on_two_addresses_over_weeks(
    signups: pl.DataFrame, uses: pl.DataFrame
) -> None:
    campus = uses.filter(pl.col("ip").str.starts_with("172.24."))
    assert campus["ip"].n_unique() == 2
    assert campus["account_id"].n_unique() > 250
    students = signups.filter(pl.col("place") == "campus")
    assert students["at"].max() - students["at"].min() > timedelta(days=50)  # type: ignore[operator]


def test_carriers_put_hundreds_behind_each_address(uses: pl.DataFrame) -> None:
    mobile = uses.filter(pl.col("ip").str.starts_with("100."))
    assert mobile["ip"].n_unique() == 10
    assert mobile.group_by("ip").agg(pl.col("account_id").n_unique())["account_id"].min() > 300  # type: ignore[operator]
    assert mobile["account_id"].n_unique() > 1_500


def test_cafes_share_their_seats(uses: pl.DataFrame, signups: pl.DataFrame) -> None:
    guests = signups.filter(pl.col("place") == "cafe")["account_id"]
    seats = (
        uses.filter(pl.col("ip").str.starts_with("172.16.") & pl.col("account_id").is_in(guests.implode()))
        .group_by("device_id")
        .agg(pl.col("account_id").n_unique())
        .filter(pl.col("account_id") >= 3)
    )
    assert seats.height >= 20  # of 27 seats in three cafés


def test_campaigns_are_honest_bursts(signups: pl.DataFrame) -> None:
    for name, at_least, window in (
        ("spring_ad", 140, timedelta(hours=3)),
        ("big_stream", 45, timedelta(minutes=40)),
    ):
        came = signups.filter(pl.col("campaign") == name)
        assert came.height >= at_least
        assert came["at"].max() - came["at"].min() <= window  # type: ignore[operator]
        assert set(came["label"]) == {"0"}


def test_streamers_receive_from_many_honest_people(
    platform: SimulatedPlatform, signups: pl.DataFrame
) -> None:
    honest = signups.filter(pl.col("label") == "0")["account_id"]
    fans = (
        platform.tables["gifts"]
        .filter(pl.col("sender").is_in(honest.implode()) & pl.col("receiver").is_in(honest.implode()))
        .group_by("receiver")
        .agg(pl.col("sender").n_unique().alias("n"))
    )
    assert 3 <= fans.filter(pl.col("n") >= 20).height <= 8
