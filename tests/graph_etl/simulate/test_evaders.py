"""Ban evaders come back with what they could not change."""

from itertools import pairwise

import polars as pl

from graph_etl.simulate import SimulatedPlatform


def test_a_banned_player_returns_later_with_a_new_mail(
    platform: SimulatedPlatform, signups: pl.DataFrame, uses: pl.DataFrame
) -> None:
    bans = dict(
        platform.tables["verdicts"].filter(pl.col("verdict") == "bad").select("account", "known_at").rows()
    )
    evaders = signups.filter(pl.col("tactic") == "ban_evader")
    returns = same_device = new_address = 0
    for _, person in evaders.group_by("ring", maintain_order=True):
        accounts = person.sort("at").rows(named=True)
        assert accounts[0]["account_id"] in bans  # nobody evades without a ban
        for before, after in pairwise(accounts):
            returns += 1
            assert bans[before["account_id"]] < after["created_at"]
            assert before["email"] != after["email"]
            mine = uses.filter(pl.col("account_id") == after["account_id"])
            theirs = uses.filter(pl.col("account_id") == before["account_id"])
            same_device += bool(set(mine["device_id"]) & set(theirs["device_id"]))
            new_address += after["ip"] not in set(theirs["ip"])
    assert returns >= 40  # enough to learn from
    assert 0.7 <= same_device / returns < 1.0
    assert 0.5 <= new_address / returns < 1.0


def test_some_evaders_live_with_honest_people(signups: pl.DataFrame) -> None:
    homes = set(signups.filter((pl.col("place") == "household") & (pl.col("label") == "0"))["home"])
    cheaters = signups.filter(pl.col("place") == "cheater")
    assert 5 <= cheaters.filter(pl.col("home").is_in(list(homes)))["ring"].n_unique() <= 25


def test_some_honest_people_play_on_a_device_that_somebody_else_had(
    signups: pl.DataFrame, uses: pl.DataFrame
) -> None:
    singles = signups.filter((pl.col("place") == "single") & (pl.col("label") == "0"))["account_id"]
    shared = (
        uses.filter(pl.col("account_id").is_in(singles.implode()))
        .group_by("device_id")
        .agg(pl.col("account_id").n_unique().alias("n"))
        .filter(pl.col("n") >= 2)
    )
    assert shared.height >= 15
