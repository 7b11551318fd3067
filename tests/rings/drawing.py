"""Small platforms for the tests of rings, written out by hand or drawn with a seed."""

from __future__ import annotations

import random
import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from graph_etl import Snapshot
from tests.building import build_from_text, csv_text

if TYPE_CHECKING:
    from pathlib import Path

GAME_SPEC = """
ringwatch: 1
name: small_game
title: Sign-ups with a device and an address, and gifts.
simulated: true
sources:
  signups: {path: signups.csv}
  gifts: {path: gifts.csv}
  verdicts: {path: verdicts.csv}
kinds:
  device: {identifier: true, public: true}
  ip: {identifier: true, public: true, normalise: ip, derive: [subnet]}
accounts:
  - source: signups
    id: account
    time: at
    identifiers: {device: device, ip: ip}
    attributes: {form_s: number}
events:
  - source: gifts
    type: gift
    from: {account: sender}
    to: {account: receiver}
    time: at
verdicts:
  - {source: verdicts, account: account, label: verdict, bad: [bad], good: [good], known_at: at}
"""

START = datetime(2025, 3, 1, tzinfo=UTC)


@dataclass
class Game:
    """A game whose events a test writes down one by one."""

    signups: list[tuple[object, ...]] = field(default_factory=list)
    gifts: list[tuple[object, ...]] = field(default_factory=list)
    verdicts: list[tuple[object, ...]] = field(default_factory=list)

    def signup(
        self, account: str, minute: float, device: str = "", ip: str = "", form_s: float | None = None
    ) -> None:
        """An account appears; without a device it has one of its own."""
        self.signups.append((account, self.at(minute), device or f"own-{account}", ip, form_s))

    def gift(self, sender: str, receiver: str, minute: float) -> None:
        """An account gives something to another."""
        self.gifts.append((sender, receiver, self.at(minute)))

    def verdict(self, account: str, word: str, minute: float) -> None:
        """Somebody decides about an account."""
        self.verdicts.append((account, word, self.at(minute)))

    def strangers(self, count: int, minutes: float, name: str = "x") -> None:
        """Accounts that have nothing to do with each other, evenly over the time."""
        for at in range(count):
            self.signup(f"{name}{at:04}", minutes * at / count, form_s=30 + (at * 37) % 60)

    @staticmethod
    def at(minute: float) -> str:
        """A time of the game as text."""
        return (START + timedelta(minutes=minute)).isoformat()

    @property
    def files(self) -> dict[str, str]:
        """Its files by name."""
        return {
            "signups.csv": csv_text("account,at,device,ip,form_s", self.signups),
            "gifts.csv": csv_text("sender,receiver,at", self.gifts),
            "verdicts.csv": csv_text("account,verdict,at", self.verdicts),
        }

    def build(self, folder: Path) -> Snapshot:
        """Build the snapshot."""
        return build_from_text(folder, GAME_SPEC, self.files).snapshot


BRIDGE_SPEC = """
ringwatch: 1
name: small_bridge
title: Wallets with a first use, and transfers without times.
simulated: true
sources:
  accounts: {path: accounts.csv}
  transfers: {path: transfers.csv}
kinds:
  counterparty: {identifier: false, public: true, normalise: exact}
accounts:
  - {source: accounts, id: account, time: first_use, type: first_use}
events:
  - source: transfers
    type: {columns: [kind]}
    from: {account: src, otherwise: counterparty}
    to: {account: dst, otherwise: counterparty}
"""


def bridge(folder: Path, first_use: dict[str, float], transfers: list[tuple[str, str, str]]) -> Snapshot:
    """Build a bridge.

    Args:
        folder: An empty folder.
        first_use: Minute of each account's first use.
        transfers: Sender, receiver and kind.

    Returns:
        Its snapshot.
    """
    files = {
        "accounts.csv": csv_text(
            "account,first_use", [(account, Game.at(minute)) for account, minute in first_use.items()]
        ),
        "transfers.csv": csv_text("src,dst,kind", transfers),
    }
    return build_from_text(folder, BRIDGE_SPEC, files).snapshot


def noise_bridge(folder: Path, seed: int, n_accounts: int = 400, n_others: int = 260) -> Snapshot:
    """A bridge where nobody acts together: everybody deals with others drawn at random.

    Args:
        folder: An empty folder.
        seed: Draws it.
        n_accounts: Accounts.
        n_others: Counterparties.

    Returns:
        Its snapshot.
    """
    draw = random.Random(seed)
    first_use = {f"a{at:03}": draw.random() * 60 * 24 * 90 for at in range(n_accounts)}
    weights = [draw.paretovariate(1.2) for _ in range(n_others)]
    transfers = [
        (account, f"w{other}", draw.choice(["erc20", "native"]))
        for account in first_use
        for other in draw.choices(range(n_others), weights, k=draw.randrange(1, 6))
    ]
    return bridge(folder, first_use, transfers)


TROUPES_SPEC = """
ringwatch: 1
name: troupes
title: Accounts that sign up together and fill in a form alike, some on one device.
simulated: true
sources:
  signups: {path: signups.csv}
kinds:
  device: {identifier: true, public: true}
accounts:
  - source: signups
    id: account
    time: at
    identifiers: {device: device}
    attributes: {form_s: number, age: number, mails: number}
verdicts:
  - {source: signups, account: account, label: verdict, bad: [bad], good: [good]}
groups:
  - {source: signups, account: account, group: troupe, role: ROLE}
"""


def troupes(
    folder: Path,
    seed: int,
    *,
    n_troupes: int = 40,
    n_strangers: int = 500,
    role: str = "train",
    told: int | None = None,
    shuffled: bool = False,
    good: bool = True,
    drift: bool = False,
) -> tuple[Snapshot, list[list[int]]]:
    """A platform with troupes of 6: together within a day, behaving alike; every third one on one device.

    Families share a device too, but do not behave alike, and are known to be good.

    Args:
        folder: An empty folder.
        seed: Draws it.
        n_troupes: Troupes.
        n_strangers: Accounts that belong to none, half of them known to be good.
        role: What the known groups are for.
        told: Number of troupes that somebody knows; all if None.
        shuffled: Whether the known groups are dealt out at random instead.
        good: Whether anybody is known to be good.
        drift: Whether behaviour changes with the age of the platform, so that who came together is alike.

    Returns:
        Its snapshot, and the account indices of each troupe.
    """
    draw = random.Random(seed)
    known = n_troupes if told is None else told
    days = 120.0
    rows: list[list[object]] = []

    def account(name: str, day: float, device: str, behaviour: tuple[float, ...], *rest: str) -> None:
        rows.append([name, Game.at(day * 60 * 24), device, *(round(one, 3) for one in behaviour), *rest])

    honest = "good" if good else ""

    def some_behaviour(day: float) -> tuple[float, ...]:
        far = day / days if drift else 0.0
        return (
            draw.uniform(5, 90) * (1 - far) + far * 60,
            draw.uniform(18, 80) + 300 * far,
            draw.uniform(0, 40) + 200 * far,
        )

    for troupe in range(n_troupes):
        day = draw.uniform(1, days)
        usual = some_behaviour(day)
        for at in range(6):
            alike = tuple(one * draw.uniform(0.97, 1.03) for one in usual)
            device = f"farm{troupe}" if troupe % 3 == 0 else f"own-t{troupe}-{at}"
            group = f"g{troupe}" if troupe < known else ""
            account(f"t{troupe:02}-{at}", day + draw.random(), device, alike, "bad" if group else "", group)
    for family in range(40):
        for at in range(3):
            day = draw.uniform(0, days)
            account(f"f{family:02}-{at}", day, f"home{family}", some_behaviour(day), honest, "")
    for at in range(n_strangers):
        day = draw.uniform(0, days)
        account(f"x{at:04}", day, f"own-x{at}", some_behaviour(day), honest if at % 2 else "", "")
    if shuffled:
        dealt = [row[-1] for row in rows]
        draw.shuffle(dealt)
        for row, label in zip(rows, dealt, strict=True):
            row[-1], row[-2] = label, "bad" if label else "good"
    files = {"signups.csv": csv_text("account,at,device,form_s,age,mails,verdict,troupe", rows)}
    snapshot = build_from_text(folder, TROUPES_SPEC.replace("ROLE", role), files).snapshot
    return snapshot, [
        indices(snapshot, [f"t{troupe:02}-{at}" for at in range(6)]) for troupe in range(n_troupes)
    ]


def with_cut(snapshot: Snapshot, folder: Path, account: int, other: int) -> Snapshot:
    """A copy of a snapshot in which a person called two accounts not linked, before anything happened.

    Args:
        snapshot: The snapshot.
        folder: Where the copy goes.
        account: One.
        other: The other.

    Returns:
        The copy.
    """
    shutil.copytree(snapshot.path, folder)
    row = {"account": account, "other": other, "until_ms": None, "known_pos": -1, "undone_pos": None}
    pl.DataFrame([row], schema=snapshot.cuts.schema).write_parquet(folder / "cuts.parquet")
    return Snapshot.open(folder)


def marked_as_hub(snapshot: Snapshot, folder: Path, kind: str, key: str, since: int = 0) -> Snapshot:
    """A copy of a snapshot in which a node is a hub.

    Args:
        snapshot: The snapshot.
        folder: Where the copy goes.
        kind: Kind of the node.
        key: Its key.
        since: Position from which it is a hub.

    Returns:
        The copy.
    """
    shutil.copytree(snapshot.path, folder)
    hub_since = np.array(snapshot.hub_since)
    node = snapshot.node_index(kind, key)
    assert node is not None
    hub_since[node] = since
    np.save(folder / "hub_since.npy", hub_since)
    return Snapshot.open(folder)


def indices(snapshot: Snapshot, accounts: list[str]) -> list[int]:
    """Account indices of account ids."""
    found = [snapshot.account_index(account) for account in accounts]
    assert None not in found
    return [int(at) for at in found if at is not None]
