"""Small data sets for tests: built from text, or drawn with a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from graph_etl import BuildReport, Snapshot, Spec, Workspace, build, load_spec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

TEST_HASH_KEY = "a-key-for-tests-that-hides-nothing"


def memory_folder() -> TemporaryDirectory[str]:
    """A temporary folder, in memory where the system has one: making many builds durable takes seconds."""
    shared = Path("/dev/shm")
    return TemporaryDirectory(dir=shared if shared.is_dir() else None)


@dataclass(frozen=True)
class Built:
    """A spec, the workspace that it was built in and what the build reported."""

    spec: Spec
    workspace: Workspace
    report: BuildReport

    @property
    def snapshot(self) -> Snapshot:
        """The snapshot."""
        return self.workspace.open_snapshot(self.report.snapshot_id)


def write_data(folder: Path, spec: str, files: Mapping[str, str | bytes]) -> Spec:
    """Write a spec and its data.

    Args:
        folder: Where to.
        spec: YAML text.
        files: Content by path relative to the folder.

    Returns:
        The spec, loaded.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    (folder / "spec.yaml").write_text(spec)
    return load_spec(folder / "spec.yaml")


def build_from_text(folder: Path, spec: str, files: Mapping[str, str | bytes], **options: Any) -> Built:
    """Build a snapshot from text; needs the fixture ``hash_key`` where a kind is private.

    Args:
        folder: An empty folder; the data goes to ``data/``, the workspace to ``workspace/``.
        spec: YAML text.
        files: Content by path.
        **options: For :func:`graph_etl.build`.

    Returns:
        What was built.
    """
    loaded = write_data(folder / "data", spec, files)
    workspace = Workspace(folder / "workspace")
    return Built(loaded, workspace, build(loaded, workspace, **options))


def csv_text(header: str, rows: Iterable[Sequence[object]]) -> str:
    """Rows as CSV; None is blank.

    Args:
        header: Names of the columns, with commas.
        rows: Values without commas.

    Returns:
        The text.
    """
    lines = [header, *(",".join("" if value is None else str(value) for value in row) for row in rows)]
    return "\n".join(lines) + "\n"


PLATFORM_SPEC = """
ringwatch: 1
name: small_platform
title: A drawn platform with a campus, households, two device farms and ban evaders.
simulated: true
sources:
  signups: {path: signups.csv}
  logins: {path: logins.csv}
  gifts: {path: gifts.csv}
  verdicts: {path: verdicts.csv}
  groups: {path: groups.csv}
kinds:
  device: {identifier: true}
  ip: {identifier: true, normalise: ip, derive: [subnet]}
  email: {identifier: true, normalise: email}
accounts:
  - source: signups
    id: account
    time: at
    event_id: event_id
    identifiers: {device: device, ip: ip, email: email}
    attributes: {country: category, form_s: number, newsletter: flag}
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
verdicts:
  - source: verdicts
    account: account
    label: verdict
    bad: [bad]
    good: [good]
    known_at: known_at
    reason: reason
groups:
  - {source: groups, account: account, group: ring, role: judge}
assume_good_after: 30d
prevalence: 0.1
moments: [signup, 1d, retrospective]
"""

_START = datetime(2025, 3, 1, tzinfo=UTC)
_DAYS = 60
CAMPUS_IP = "198.51.100.7"
"""The public address of the drawn platform: 60 honest accounts, all over the time."""


class _Platform:
    """Draws the events of the small platform."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.signups: list[Sequence[object]] = []
        self.logins: list[Sequence[object]] = []
        self.gifts: list[Sequence[object]] = []
        self.verdicts: list[Sequence[object]] = []
        self.groups: list[Sequence[object]] = []

    def account(
        self, name: str, at: datetime, device: str, ip: str, *, form_s: float, days: float = 60
    ) -> None:
        country = self.random.choice(["DE", "FR", "US"])
        flag = self.random.choice(["yes", "no"])
        email = f"{name}@example{self.random.randrange(9)}.com"
        self.signups.append(
            (f"s-{name}", name, at.isoformat(), device, ip, email, country, round(form_s, 1), flag)
        )
        for _ in range(self.random.randrange(1, 5)):
            later = at + timedelta(days=self.random.random() * days)
            if later < _START + timedelta(days=_DAYS):
                self.logins.append((f"l-{len(self.logins)}", name, later.isoformat(), device, ip))

    def gift(self, sender: str, receiver: str, at: datetime, coins: int) -> None:
        self.gifts.append((f"g-{len(self.gifts)}", sender, receiver, at.isoformat(), coins))

    def verdict(self, name: str, word: str, at: datetime, reason: str) -> None:
        self.verdicts.append((name, word, at.isoformat(), reason))

    def moment(self) -> datetime:
        return _START + timedelta(days=self.random.random() * _DAYS)

    def honest(self, n_accounts: int) -> None:
        names = [f"h{at:03}" for at in range(n_accounts)]
        home = {name: (f"device-{name}", f"10.{at // 200}.{at % 200}.9") for at, name in enumerate(names)}
        for at in range(60, 120, 2):  # households share a device and an address
            home[names[at + 1]] = home[names[at]]
        for at, name in enumerate(names):
            device, ip = home[name]
            self.account(
                name, self.moment(), device, CAMPUS_IP if at < 60 else ip, form_s=self.random.gauss(60, 15)
            )
        for _ in range(n_accounts):
            sender, receiver = self.random.sample(names, 2)
            self.gift(sender, receiver, self.moment(), self.random.randrange(1, 20))
        for name in self.random.sample(names, 40):
            self.verdict(name, "good", self.moment(), "reviewed")

    def farm(self, ring: str, n_accounts: int, day: float, minutes: float, n_caught: int) -> None:
        start = _START + timedelta(days=day)
        members = [f"{ring}{at:02}" for at in range(n_accounts)]
        for at, name in enumerate(members):
            when = start + timedelta(minutes=minutes * at / n_accounts)
            device, ip = f"device-{ring}-{at % 2}", f"203.0.113.{len(ring)}"
            self.account(name, when, device, ip, form_s=self.random.gauss(8, 1), days=2)
            if at:
                self.gift(name, members[0], when + timedelta(hours=20 + at), 50)
            self.groups.append((name, ring))
        for name in members[:n_caught]:
            self.verdict(name, "bad", start + timedelta(days=3), "device farm")

    def evader(self, name: str) -> None:
        at = _START + timedelta(days=5 + self.random.random() * 20)
        for attempt in range(2):
            once = f"{name}-{attempt}"
            self.account(
                once, at, f"device-{name}", f"172.16.{name[1:]}.9", form_s=self.random.gauss(20, 4), days=3
            )
            self.verdict(once, "bad", at + timedelta(days=4), "abuse")
            self.groups.append((once, name))
            at += timedelta(days=6)


def platform_files(seed: int = 7) -> dict[str, str]:
    """The files of the small platform.

    Args:
        seed: Draws it.

    Returns:
        CSV texts by name: 260 honest accounts (60 of them on one campus address, 60 in households of
        two), the farms ``farm`` (14 accounts on 2 devices within 41 minutes) and ``mill`` (10), and 8 ban
        evaders with two accounts each.
    """
    platform = _Platform(seed)
    platform.honest(260)
    platform.farm("farm", 14, 38.5, 41, 6)
    platform.farm("mill", 10, 21.25, 90, 5)
    for at in range(8):
        platform.evader(f"e{at}")
    return {
        "signups.csv": csv_text(
            "event_id,account,at,device,ip,email,country,form_s,newsletter", platform.signups
        ),
        "logins.csv": csv_text("event_id,account,at,device,ip", platform.logins),
        "gifts.csv": csv_text("event_id,sender,receiver,at,coins", platform.gifts),
        "verdicts.csv": csv_text("account,verdict,known_at,reason", platform.verdicts),
        "groups.csv": csv_text("account,ring", platform.groups),
    }


TRANSFERS_SPEC = """
ringwatch: 1
name: small_bridge
title: Drawn wallets with two rings and an exchange, without times.
simulated: true
sources:
  accounts: {path: accounts.csv}
  transfers: {path: transfers.csv}
kinds:
  wallet: {identifier: false, public: true, normalise: exact}
accounts:
  - source: accounts
    id: account
    attributes: {volume: number}
events:
  - source: transfers
    type: {columns: [kind, chain]}
    from: {account: src, otherwise: wallet}
    to: {account: dst, otherwise: wallet}
    count: n
verdicts:
  - {source: accounts, account: account, label: bad, bad: ["1"], good: ["0"]}
groups:
  - {source: accounts, account: account, group: ring, role: train}
"""

EXCHANGE_WALLET = "900"
"""The wallet that half of the drawn bridge's accounts touch."""


def transfer_files(seed: int = 3) -> dict[str, str]:
    """The files of the small bridge.

    Args:
        seed: Draws it.

    Returns:
        CSV texts by name: 130 accounts, 70 other wallets; rings ``a`` and ``b`` of 10 accounts, each funded
        by a wallet of its own; an exchange.
    """
    draw = random.Random(seed)
    rings = {at: "a" if at < 10 else "b" if at < 20 else None for at in range(130)}
    accounts = [
        (at, round(draw.lognormvariate(3, 1), 2), None if at % 7 == 5 else int(ring is not None), ring)
        for at, ring in rings.items()
    ]
    others = [*range(901, 971)]
    transfers: list[Sequence[object]] = []
    for at, ring in rings.items():
        if at % 2 == 0:
            transfers.append((at, EXCHANGE_WALLET, "erc20", "main", draw.randrange(1, 9)))
        for other in draw.sample(others[2:], 3):
            kind, chain = draw.choice([("erc20", "main"), ("erc20", "side"), ("native", "main")])
            transfers.append((at, other, kind, chain, draw.randrange(1, 5)))
        if ring is not None:
            transfers.append((others[0 if ring == "a" else 1], at, "native", "main", 1))
    transfers += [(at, at + 1, "erc20", "side", 2) for at in range(9)]
    return {
        "accounts.csv": csv_text("account,volume,bad,ring", accounts),
        "transfers.csv": csv_text("src,dst,kind,chain,n", transfers),
    }
