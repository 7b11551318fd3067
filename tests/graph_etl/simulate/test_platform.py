"""The simulation is repeatable, consistent, and what is shipped is what it makes."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from graph_etl.errors import RingwatchError
from graph_etl.simulate import SimulatedPlatform, SimulationConfig, simulate

EXAMPLE = Path(__file__).parents[3] / "examples" / "game_signups"

SMALL = {
    "simulation": 1,
    "name": "small",
    "seed": 3,
    "start": "2025-01-01T00:00:00Z",
    "days": 20,
    "accounts": 300,
    "honest": {"campus": {"accounts_per_site": 30}, "cafes": {"sites": 1, "accounts_per_site": 12}},
    "attacks": [
        {"tactic": "device_farm", "name": "farm", "accounts": 8, "devices": 2, "window": "30m"},
        {"tactic": "ban_evader", "name": "evader", "accounts": 3, "repeat": 4},
    ],
}


def _small(**changes: object) -> SimulationConfig:
    return SimulationConfig.model_validate(SMALL | changes)


def test_the_shipped_files_are_what_the_shipped_seed_makes(platform: SimulatedPlatform) -> None:
    made = platform.files()
    shipped = {
        str(path.relative_to(EXAMPLE)).removesuffix(".gz"): (
            gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        )
        for folder in ("data", "requests")
        for path in sorted((EXAMPLE / folder).iterdir())
    }
    assert sorted(made) == sorted(shipped)
    assert [name for name in made if made[name] != shipped[name]] == []


def test_the_shipped_files_are_small_and_say_that_they_are_simulated(platform: SimulatedPlatform) -> None:
    assert sum(path.stat().st_size for path in (EXAMPLE / "data").iterdir()) < 3_000_000
    assert json.loads((EXAMPLE / "data" / "simulated.json").read_text()) == platform.summary()
    assert platform.summary()["simulated"] is True
    assert "# game_signups (simulated)" in (EXAMPLE / "README.md").read_text()


def test_the_same_seed_gives_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    config = tmp_path / "small.yaml"
    config.write_text(json.dumps(SMALL))
    simulate(_small()).write(tmp_path / "here")
    script = (
        "import sys; from graph_etl.simulate import load_simulation, simulate; "
        "simulate(load_simulation(sys.argv[1])).write(sys.argv[2])"
    )
    subprocess.run([sys.executable, "-c", script, str(config), str(tmp_path / "there")], check=True)
    here = {path.name: path.read_bytes() for path in (tmp_path / "here").rglob("*.*")}
    there = {path.name: path.read_bytes() for path in (tmp_path / "there").rglob("*.*")}
    assert {"signups.csv.gz", "truth.csv.gz", "simulated.json", "farm.json"} < here.keys()
    assert here == there


def test_another_seed_gives_another_platform() -> None:
    one, other = simulate(_small()).files(), simulate(_small(seed=4)).files()
    assert all(one[name] != other[name] for name in one)


def test_tables_may_stay_uncompressed(tmp_path: Path) -> None:
    written = simulate(_small()).write(tmp_path, compress=False)
    table = next(path for path in written if path.name == "signups.csv")
    assert pl.read_csv(table).height >= 300


def test_a_larger_platform_has_more_rings_not_larger_ones() -> None:
    larger = simulate(_small().scaled(900))
    assert larger.tables["truth"].height == 900
    farms = larger.rings.filter(pl.col("tactic") == "device_farm")
    assert farms["accounts"].to_list() == [8, 8, 8]


def test_a_platform_too_small_for_its_attacks_is_refused_in_one_line(config: SimulationConfig) -> None:
    with pytest.raises(RingwatchError, match=r"300 accounts cannot be simulated: .*raise accounts"):
        config.scaled(300)


def test_without_attacks_nobody_is_bad() -> None:
    peaceful = simulate(_small(attacks=[], verdicts={"wrong_bad": 0}))
    assert peaceful.tables["truth"]["label"].unique().to_list() == ["0"]
    assert set(peaceful.tables["verdicts"]["verdict"]) == {"good"}
    assert "farm" not in peaceful.requests


def test_every_account_has_one_sign_up_and_one_truth(
    platform: SimulatedPlatform, signups: pl.DataFrame
) -> None:
    truth = platform.tables["truth"]
    assert truth.height == truth["account"].n_unique() == signups.height == 5_000
    assert signups["account_id"].to_list() == sorted(truth["account"])  # ids follow the sign-ups
    assert signups["at"].is_sorted()
    bad = truth.filter(pl.col("label") == "1")
    assert 0.06 <= bad.height / truth.height <= 0.085
    assert bad["ring"].null_count() == 0
    assert truth.filter(pl.col("label") == "0")["ring"].null_count() == truth.height - bad.height
    groups = platform.tables["groups"].sort("account")
    assert groups.rows() == bad.sort("account").select("account", "ring").rows()


def test_rows_add_up(platform: SimulatedPlatform) -> None:
    rows = {name: table.height for name, table in platform.tables.items()}
    distinct = {
        name: platform.tables[name].filter(~pl.col("event_id").str.starts_with("x"))["event_id"].n_unique()
        for name in ("signups", "logins", "gifts", "payments")
    }
    faults = platform.faults
    assert faults == {
        "malformed_rows": 22,
        "repeated_rows": 40,
        "conflicting_rows": 2,
        "unreadable_cells": 12,
    }
    assert sum(rows[name] for name in distinct) == sum(distinct.values()) + 22 + 40 + 2
    assert distinct["signups"] == 5_000
    assert platform.summary()["rows"] == rows


def test_only_enrolled_accounts_act_and_only_after_their_sign_up(
    platform: SimulatedPlatform, signups: pl.DataFrame, uses: pl.DataFrame
) -> None:
    joined = uses.join(signups.select("account_id", since="at"), on="account_id", how="left")
    assert joined["since"].null_count() == 0
    assert joined.filter(pl.col("at") < pl.col("since")).height == 0
    gifts = platform.tables["gifts"].filter(pl.col("receiver").is_not_null())
    assert set(gifts["sender"]) | set(gifts["receiver"]) <= set(signups["account_id"])
    assert gifts.filter(pl.col("sender") == pl.col("receiver")).height == 0


def test_a_banned_account_does_nothing_more(platform: SimulatedPlatform, uses: pl.DataFrame) -> None:
    verdicts = platform.tables["verdicts"].with_columns(
        known=pl.col("known_at").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_zone="UTC")
    )
    appealed = verdicts.filter(pl.col("reason") == "appeal_upheld")["account"]
    bans = verdicts.filter((pl.col("verdict") == "bad") & ~pl.col("account").is_in(appealed.implode()))
    acts = uses.join(bans, left_on="account_id", right_on="account")
    assert acts.height > 500
    assert acts.filter(pl.col("at") >= pl.col("known")).height == 0
