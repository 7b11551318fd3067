"""Each tactic leaves the traces that its description promises."""

import re
from collections import Counter
from datetime import timedelta

import polars as pl
import pytest

from graph_etl.simulate import SimulatedPlatform


def _members(signups: pl.DataFrame, tactic: str) -> dict[str, pl.DataFrame]:
    chosen = signups.filter(pl.col("tactic") == tactic)
    return {str(ring): part for (ring,), part in chosen.group_by("ring", maintain_order=True)}


def _span(part: pl.DataFrame) -> timedelta:
    times = part["at"].sort()
    return times[-1] - times[0]  # type: ignore[no-any-return]


def test_fourteen_accounts_on_two_devices_that_nobody_else_used_within_41_minutes(
    signups: pl.DataFrame, uses: pl.DataFrame
) -> None:
    ring = signups.filter(pl.col("ring") == "farm_41_minutes").sort("at")
    scout, farm = ring[0], ring[1:]
    assert farm.height == 14
    assert farm["device_id"].n_unique() == 2
    assert timedelta(minutes=40) < _span(farm) <= timedelta(minutes=41)
    users = uses.filter(pl.col("device_id").is_in(farm["device_id"].implode()))["account_id"]
    assert set(users) == set(farm["account_id"])
    assert scout["device_id"][0] not in set(farm["device_id"])


def test_its_nearest_confirmed_bad_account_is_one_device_away(
    platform: SimulatedPlatform, signups: pl.DataFrame, uses: pl.DataFrame
) -> None:
    ring = signups.filter(pl.col("ring") == "farm_41_minutes").sort("at")
    scout, farm = ring[0], ring[1:]
    ban = platform.tables["verdicts"].filter(pl.col("account") == scout["account_id"][0])
    assert ban["verdict"].to_list() == ["bad"]
    assert ban["known_at"][0] < farm["created_at"].min()
    users = set(uses.filter(pl.col("device_id") == scout["device_id"][0])["account_id"])
    assert len(users & set(farm["account_id"])) == 1
    assert users - set(farm["account_id"]) == {scout["account_id"][0]}
    fixed = uses.filter(pl.col("ip").str.starts_with("10."))
    homes = [
        set(fixed.filter(pl.col("account_id").is_in(part["account_id"].implode()))["ip"])
        for part in (scout, farm)
    ]
    assert not homes[0] & homes[1]
    judged = platform.tables["verdicts"]["account"]
    assert not set(farm["account_id"]) & set(judged)


@pytest.mark.parametrize(
    ("prefix", "accounts", "devices", "window"),
    [
        pytest.param("farm_last_night", 11, 2, timedelta(minutes=55), id="still-at-work"),
        pytest.param("farm_small", 6, 1, timedelta(minutes=25), id="small"),
        pytest.param("farm_large_late", 20, 3, timedelta(hours=3), id="large"),
    ],
)
def test_device_farms_are_bursts_on_few_devices(
    signups: pl.DataFrame, prefix: str, accounts: int, devices: int, window: timedelta
) -> None:
    farms = [p for name, p in _members(signups, "device_farm").items() if name.startswith(prefix)]
    assert farms
    for farm in farms:
        assert (farm.height, farm["device_id"].n_unique()) == (accounts, devices)
        assert _span(farm) <= window


def test_subnet_farms_share_a_network_a_pattern_and_a_rhythm(signups: pl.DataFrame) -> None:
    farms = _members(signups, "subnet_farm")
    assert len(farms) == 2
    for farm in farms.values():
        assert farm["device_id"].n_unique() == farm.height == 28
        assert farm["ip"].n_unique() == 28
        assert farm["ip"].str.replace(r"\.\d+$", "").n_unique() == 1
        words = Counter(re.sub(r"\d{4}@.*", "", email) for email in farm["email"])
        assert words.most_common(1)[0][1] >= 20
        gaps_s = farm["at"].sort().diff().drop_nulls().dt.total_seconds()
        assert 390 <= float(gaps_s.median()) <= 450  # type: ignore[arg-type]


def test_drip_farms_are_slow_and_change_their_address(signups: pl.DataFrame) -> None:
    farms = _members(signups, "drip_farm")
    assert len(farms) == 2
    for farm in farms.values():
        assert farm["device_id"].n_unique() == 4
        assert farm["ip"].n_unique() >= 17
        assert timedelta(days=5) < _span(farm) <= timedelta(days=8)
        assert farm["at"].dt.date().value_counts()["count"].max() <= 8  # type: ignore[operator]


def test_funnels_share_nothing_but_the_beneficiary(
    platform: SimulatedPlatform, signups: pl.DataFrame, uses: pl.DataFrame
) -> None:
    funnels = _members(signups, "funnel")
    assert len(funnels) == 3
    for funnel in funnels.values():
        accounts = set(funnel["account_id"])
        inside = platform.tables["gifts"].filter(
            pl.col("sender").is_in(list(accounts)) & pl.col("receiver").is_in(list(accounts))
        )
        givers_of = inside.group_by("receiver").agg(pl.col("sender").n_unique())
        beneficiary, givers = givers_of.sort("sender", "receiver").row(-1)
        assert beneficiary == funnel.sort("at")["account_id"][0]
        assert givers >= 8
        mine = uses.filter(pl.col("account_id").is_in(list(accounts)))
        assert mine.group_by("device_id").agg(pl.col("account_id").n_unique())["account_id"].max() == 1


def test_mobile_farms_hide_behind_carrier_addresses(signups: pl.DataFrame, uses: pl.DataFrame) -> None:
    farms = _members(signups, "cgnat_farm")
    assert len(farms) == 2
    crowd = uses.group_by("ip").agg(pl.col("account_id").n_unique().alias("n"))
    for farm in farms.values():
        assert farm["ip"].str.starts_with("100.").all()
        assert crowd.filter(pl.col("ip").is_in(farm["ip"].implode()))["n"].min() > 200  # type: ignore[operator]
        assert farm["device_id"].value_counts()["count"].max() == 3


def test_alias_farms_write_one_mailbox_in_many_ways(signups: pl.DataFrame) -> None:
    farms = _members(signups, "alias_farm")
    assert len(farms) == 2
    for farm in farms.values():
        assert farm["email"].n_unique() == 10
        local = farm["email"].str.extract(r"^([^+@]+)").str.replace_all(r"\.", "")
        assert local.n_unique() == 1
        assert farm["device_id"].n_unique() == farm.height


def test_mules_share_cards_and_feed_a_fence(platform: SimulatedPlatform, signups: pl.DataFrame) -> None:
    rings = _members(signups, "payment_mules")
    assert len(rings) == 3
    for ring in rings.values():
        accounts = ring.sort("at")["account_id"].to_list()
        paid = platform.tables["payments"].filter(pl.col("account_id").is_in(accounts))
        assert paid["card"].n_unique() <= 4
        assert paid.group_by("card").agg(pl.col("account_id").n_unique())["account_id"].max() >= 2  # type: ignore[operator]
        given = platform.tables["gifts"].filter(
            pl.col("sender").is_in(accounts) & (pl.col("receiver") == accounts[0])
        )
        assert given["sender"].n_unique() >= 5
