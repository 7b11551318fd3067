"""Run a simulation and lay its result out as tables, files and example requests."""

import gzip
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from graph_etl.simulate.attacks import attack
from graph_etl.simulate.behaviour import play
from graph_etl.simulate.config import SimulationConfig
from graph_etl.simulate.faults import damage
from graph_etl.simulate.population import settle, settle_singles
from graph_etl.simulate.requests import example_requests
from graph_etl.simulate.tables import Names, tables_of
from graph_etl.simulate.verdicts import judge
from graph_etl.simulate.world import World


@dataclass(frozen=True)
class SimulatedPlatform:
    """A simulated platform as its exports would show it.

    Attributes:
        config: What it was made from.
        tables: ``signups``, ``logins``, ``gifts``, ``payments``, ``verdicts``, ``groups`` and
            ``truth``; every value is text, as in the files.
        rings: One row a ring: ``ring, tactic, accounts, first_signup, last_signup, devices``.
        people: One row an account, which no platform would know: ``account, place, home, tactic``.
        requests: Bodies of ``POST /v1/risk`` by name, each for an account that does not exist yet.
        faults: How many rows were damaged on purpose, by kind.
    """

    config: SimulationConfig
    tables: Mapping[str, pl.DataFrame]
    rings: pl.DataFrame
    people: pl.DataFrame
    requests: Mapping[str, Mapping[str, Any]]
    faults: Mapping[str, int]

    def summary(self) -> dict[str, Any]:
        """Return what was made, as written into ``data/simulated.json``."""
        truth = self.tables["truth"]
        return {
            "simulated": True,
            "name": self.config.name,
            "seed": self.config.seed,
            "start": self.config.start_utc.isoformat(),
            "end": self.config.end_utc.isoformat(),
            "accounts": truth.height,
            "bad_accounts": int((truth["label"] == "1").sum()),
            "rings": self.rings.height,
            "rows": {name: table.height for name, table in self.tables.items()},
            "faults": dict(self.faults),
        }

    def files(self) -> dict[str, bytes]:
        """Return every file by its path; tables as CSV text, not yet compressed."""
        contents: dict[str, bytes] = {}
        for name, table in self.tables.items():
            buffer = io.BytesIO()
            table.write_csv(buffer)
            contents[f"data/{name}.csv"] = buffer.getvalue()
        contents["data/simulated.json"] = _json(self.summary())
        for name, body in self.requests.items():
            contents[f"requests/{name}.json"] = _json(body)
        return contents

    def write(self, folder: Path | str, *, compress: bool = True) -> list[Path]:
        """Write all files below a folder, as the spec beside the example expects them.

        Args:
            folder: Where to; made if missing. Files of the same name are replaced.
            compress: Whether tables become ``.csv.gz`` (with no time of day inside, so that the same
                run gives the same bytes) or stay ``.csv``.

        Returns:
            The paths written.
        """
        written: list[Path] = []
        for name, content in self.files().items():
            path = Path(folder) / name
            if compress and path.suffix == ".csv":
                path = path.with_suffix(".csv.gz")
                content = gzip.compress(content, compresslevel=9, mtime=0)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            written.append(path)
        return written


def simulate(config: SimulationConfig) -> SimulatedPlatform:
    """Grow a platform with honest players and attackers, and export what it would have recorded.

    Args:
        config: What to simulate. The same configuration gives the same result, byte for byte.

    Returns:
        The platform's tables, its true rings and example requests.
    """
    world = World(config)
    at_most = sum(plan.repeat * (plan.accounts + 2) for plan in config.attacks)
    settle(world, config.accounts - at_most)
    attack(world)
    settle_singles(world, config.accounts - len(world.accounts))
    play(world)
    judge(world)
    names = Names(world)
    tables = tables_of(world, names)
    requests = example_requests(world, names)
    tables, faults = damage(tables, config.faults, world.rng("faults"))
    return SimulatedPlatform(
        config=config,
        tables=tables,
        rings=_rings(world, names),
        people=_people(world, names),
        requests=requests,
        faults=faults,
    )


def _rings(world: World, names: Names) -> pl.DataFrame:
    rows = []
    for ring in world.rings:
        times = [world.accounts[i].signup_s for i in ring.accounts]
        rows.append(
            {
                "ring": ring.name,
                "tactic": ring.tactic,
                "accounts": len(ring.accounts),
                "first_signup": names.time(min(times)),
                "last_signup": names.time(max(times)),
                "devices": len({world.accounts[i].signup_device for i in ring.accounts}),
                "banned": sum(world.accounts[i].banned_s >= 0 for i in ring.accounts),
            }
        )
    return pl.DataFrame(rows, schema_overrides={"accounts": pl.Int64, "devices": pl.Int64})


def _people(world: World, names: Names) -> pl.DataFrame:
    tactic_of = {ring.name: ring.tactic for ring in world.rings}
    order = np.argsort(names.rank)
    rows = [world.accounts[int(i)] for i in order]
    return pl.DataFrame(
        {
            "account": [names.account(int(i)) for i in order],
            "place": [a.place for a in rows],
            "home": [a.home for a in rows],
            "shared_device": [a.shared_device >= 0 for a in rows],
            "tactic": [tactic_of.get(a.ring) for a in rows],
        }
    )


def _json(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()
