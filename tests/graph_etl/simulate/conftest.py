"""The shipped example's platform, simulated once for all tests here."""

from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from graph_etl.simulate import SimulatedPlatform, SimulationConfig, load_simulation, simulate

EXAMPLE = Path(__file__).parents[3] / "examples" / "game_signups"


def as_time(text: pl.Expr) -> pl.Expr:
    """Read the times of the exports; unreadable ones become null."""
    return text.str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_zone="UTC", strict=False)


@pytest.fixture(scope="session")
def config() -> SimulationConfig:
    return load_simulation(EXAMPLE / "simulation.yaml")


@pytest.fixture(scope="session")
def platform(config: SimulationConfig) -> SimulatedPlatform:
    return simulate(config)


@pytest.fixture(scope="session")
def signups(platform: SimulatedPlatform) -> pl.DataFrame:
    """Readable sign-ups, once each, with what only the simulation knows about the account."""
    return (
        platform.tables["signups"]
        .filter(pl.col("event_id").str.starts_with("s") & pl.col("account_id").is_not_null())
        .unique("event_id", maintain_order=True)
        .with_columns(at=as_time(pl.col("created_at")))
        .join(platform.tables["truth"], left_on="account_id", right_on="account", how="left")
        .join(platform.people, left_on="account_id", right_on="account", how="left")
    )


@pytest.fixture(scope="session")
def uses(platform: SimulatedPlatform) -> pl.DataFrame:
    """Who used which device and address when, at sign-up or log-in."""
    columns = ("event_id", "account_id", "device_id", "ip")
    return (
        pl.concat(
            [
                platform.tables["signups"].select(*columns, at=as_time(pl.col("created_at"))),
                platform.tables["logins"].select(*columns, at=as_time(pl.col("at"))),
            ]
        )
        .filter(~pl.col("event_id").str.starts_with("x"))
        .unique("event_id", keep="first", maintain_order=True)
    )


@pytest.fixture(scope="session")
def end(config: SimulationConfig) -> datetime:
    return config.end_utc
