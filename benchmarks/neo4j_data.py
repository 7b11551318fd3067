"""A drawn platform with times, of any size, and one more day of it: what the Neo4j benchmarks load.

Accounts sign up with an email address, a device and an IP address, log in from other addresses and devices
later, and give to each other. Popularity has a long tail: the busiest address is used by about one account in
thirty. Of every hundred events one belongs to the day that is appended.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import polars as pl

from graph_etl import Workspace, build, load_spec

if TYPE_CHECKING:
    from numpy.typing import NDArray

RELATIONSHIPS_AN_ACCOUNT: Final = 5.62
"""About as many relationships come of each account."""

SPEC: Final = """
ringwatch: 1
name: neo4j_benchmark
title: A drawn platform for benchmarks.
simulated: true
sources:
  signups: {path: signups.parquet}
  logins: {path: logins.parquet}
  gifts: {path: gifts.parquet}
kinds:
  device: {identifier: true, public: true, normalise: exact}
  ip: {identifier: true, public: true, normalise: exact}
  email: {identifier: true, public: true, normalise: exact}
accounts:
  - source: signups
    id: account
    time: at
    event_id: event_id
    identifiers: {device: device, ip: ip, email: email}
    attributes: {form_s: number}
events:
  - source: logins
    type: login
    from: {account: account}
    time: at
    event_id: event_id
    identifiers: {device: device, ip: ip}
  - source: gifts
    type: gift
    from: {account: sender}
    to: {account: receiver}
    time: at
    event_id: event_id
    amount: coins
"""
_START_S: Final = 1_735_689_600
_SPAN_S: Final = 90 * 86_400


class Drawn(NamedTuple):
    """Two snapshots of one platform.

    Attributes:
        workspace: Their workspace.
        first: Id of the first.
        grown: Id of the one that one more day was appended to.
    """

    workspace: Path
    first: str
    grown: str


def draw(folder: Path, accounts: int, seed: int = 0) -> Drawn:
    """Draw a platform and build both snapshots.

    Args:
        folder: Where to; what is there already is used again.
        accounts: How many accounts.
        seed: Draws it.

    Returns:
        The snapshots.
    """
    place = Workspace(folder / "workspace")
    data = [folder / "first", folder / "more"]
    if not (folder / "drawn").exists():
        for path in data:
            path.mkdir(parents=True, exist_ok=True)
            (path / "spec.yaml").write_text(SPEC, encoding="utf-8")
        tables = _tables(accounts, np.random.default_rng(seed))
        cut = float(np.quantile(np.concatenate([table["at"] for table in tables.values()]), 0.99))
        for name, table in tables.items():
            late = table["at"] >= cut
            table.filter(~late).write_parquet(data[0] / f"{name}.parquet")
            table.filter(late).write_parquet(data[1] / f"{name}.parquet")
        spec = load_spec(data[0] / "spec.yaml")
        first = build(spec, place).snapshot_id
        grown = build(spec, place, data_dir=data[1], append=True).snapshot_id
        (folder / "drawn").write_text(f"{first} {grown}", encoding="utf-8")
    first, grown = (folder / "drawn").read_text(encoding="utf-8").split()
    return Drawn(place.path, first, grown)


def _tables(accounts: int, draw: np.random.Generator) -> dict[str, pl.DataFrame]:
    joined = np.sort(draw.integers(0, _SPAN_S, accounts))
    devices, addresses = _popular(draw, accounts, 0.9), _popular(draw, accounts, 0.5)
    signups = pl.DataFrame({"account": joined.argsort(), "at": joined + _START_S}).select(
        event_id=pl.format("s{}", "account"),
        account=pl.format("a{}", "account"),
        at="at",
        device=pl.Series(devices).cast(pl.String),
        ip=pl.Series(addresses).cast(pl.String),
        email=pl.format("user{}@mail.example", "account"),
        form_s=pl.Series(draw.lognormal(3.0, 0.6, accounts).round(1)),
    )
    n_logins, n_gifts = int(accounts * 1.4), int(accounts * 1.1)
    who = draw.integers(0, accounts, n_logins)
    new_device = draw.random(n_logins) < 0.1
    logins = pl.DataFrame(
        {
            "event_id": pl.Series(np.arange(n_logins)).cast(pl.String),
            "account": pl.Series(who).cast(pl.String),
            "at": _later(draw, joined[who]),
            "device": pl.Series(np.where(new_device, _popular(draw, n_logins, 0.9), devices[who])).cast(
                pl.String
            ),
            "ip": pl.Series(_popular(draw, n_logins, 0.5)).cast(pl.String),
        }
    ).with_columns(event_id=pl.format("l{}", "event_id"), account=pl.format("a{}", "account"))
    sender, receiver = draw.integers(0, accounts, n_gifts), draw.integers(0, accounts, n_gifts)
    gifts = pl.DataFrame(
        {
            "event_id": pl.Series(np.arange(n_gifts)).cast(pl.String),
            "sender": pl.Series(sender).cast(pl.String),
            "receiver": pl.Series(receiver).cast(pl.String),
            "at": _later(draw, np.maximum(joined[sender], joined[receiver])),
            "coins": draw.integers(1, 50, n_gifts),
        }
    ).with_columns(
        event_id=pl.format("g{}", "event_id"),
        sender=pl.format("a{}", "sender"),
        receiver=pl.format("a{}", "receiver"),
    )
    return {"signups": signups, "logins": logins, "gifts": gifts}


def _popular(draw: np.random.Generator, n: int, spread: float) -> NDArray[np.int64]:
    """Numbers of things, some in great demand; ``spread`` is how many there are for each that asks."""
    return (int(n * spread) * draw.random(n) ** 3).astype(np.int64)


def _later(draw: np.random.Generator, since: NDArray[np.int64]) -> NDArray[np.int64]:
    return (since + draw.random(len(since)) * (_SPAN_S - since)).astype(np.int64) + _START_S
