"""The example requests continue stories that the data tells."""

from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest

from graph_etl.simulate import SimulatedPlatform


@pytest.fixture(params=["household", "farm", "ban_evader"])
def body(request: pytest.FixtureRequest, platform: SimulatedPlatform) -> dict[str, Any]:
    return dict(platform.requests[request.param])


def test_a_request_is_a_new_account_right_after_the_end(
    body: dict[str, Any], signups: pl.DataFrame, end: datetime
) -> None:
    at = datetime.fromisoformat(body["event_timestamp"])
    assert end < at <= end + timedelta(minutes=5)
    assert body["event_type"] == "signup"
    assert body["account"]["id"] not in set(signups["account_id"])
    assert body["identifiers"]["email"] not in set(signups["email"].str.to_lowercase())
    assert body["identifiers"].keys() == {"device", "ip", "email"}
    assert body["properties"].keys() <= set(signups.columns)


def test_the_household_is_honest_staggered_and_shares_both(
    platform: SimulatedPlatform, signups: pl.DataFrame, uses: pl.DataFrame
) -> None:
    known = platform.requests["household"]["identifiers"]
    on_device = set(uses.filter(pl.col("device_id") == known["device"])["account_id"])
    at_home = set(uses.filter(pl.col("ip") == known["ip"])["account_id"])
    family = signups.filter(pl.col("account_id").is_in(list(on_device | at_home))).sort("at")
    assert len(on_device & at_home) >= 2
    assert family.height >= 3
    assert set(family["label"]) == {"0"}
    assert family["home"].n_unique() == 1
    assert family["at"].diff().drop_nulls().min() >= timedelta(days=1)  # type: ignore[operator]
    verdicts = platform.tables["verdicts"].filter(pl.col("account").is_in(family["account_id"].implode()))
    assert set(verdicts["verdict"]) <= {"good"}


def test_the_farm_signed_up_on_this_device_within_the_last_hours(
    platform: SimulatedPlatform, signups: pl.DataFrame, end: datetime
) -> None:
    device = platform.requests["farm"]["identifiers"]["device"]
    farm = signups.filter(pl.col("device_id") == device)
    assert farm.height >= 3
    assert set(farm["ring"]) == {"farm_last_night"}
    assert farm["at"].min() > end - timedelta(hours=2)  # type: ignore[operator]


def test_the_evader_shares_only_the_device_of_a_banned_account(
    platform: SimulatedPlatform, uses: pl.DataFrame
) -> None:
    body = platform.requests["ban_evader"]
    users = set(uses.filter(pl.col("device_id") == body["identifiers"]["device"])["account_id"])
    verdicts = platform.tables["verdicts"].filter(pl.col("account").is_in(list(users)))
    assert users
    assert set(verdicts["account"]) == users
    assert set(verdicts["verdict"]) == {"bad"}
    assert uses.filter(pl.col("ip") == body["identifiers"]["ip"]).height == 0
