"""A small platform, drawn by hand and a seed: households, a campus, two farms, a banned account."""

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

import gnn
import rings
from graph_etl import Workspace
from graph_etl.build import build
from graph_etl.spec import load_spec

START = datetime(2026, 1, 1, tzinfo=UTC)
FARM_SIZE = 12
BANNED = "banned-1"
BANNED_DEVICE = "dev-banned"

SPEC = """
ringwatch: 1
name: small_platform
title: A platform drawn by hand for the tests of the service.
simulated: true
sources:
  signups: {path: signups.csv}
  gifts: {path: gifts.csv}
  verdicts: {path: verdicts.csv}
kinds:
  device: {identifier: true, normalise: text}
  ip: {identifier: true, normalise: ip, derive: [subnet]}
  email: {identifier: true, normalise: email, derive: [email_domain]}
  page: {identifier: false, public: true, normalise: exact}
accounts:
  - source: signups
    id: account
    time: at
    identifiers: {device: device, ip: ip, email: email}
    attributes: {country: category, form_s: number, newsletter: flag}
events:
  - source: gifts
    type: gift
    from: {account: sender}
    to: {account: receiver}
    time: at
    amount: coins
  - source: signups
    type: landing
    from: {account: account}
    to: {page: page}
    time: at
verdicts:
  - source: verdicts
    account: account
    label: verdict
    bad: [bad]
    good: [good]
    known_at: known_at
    reason: reason
moments: [signup, retrospective]
"""


def write_platform(folder: Path) -> Path:
    """Write the platform's files and its spec; returns the spec's path."""
    rng = np.random.default_rng(7)
    signups: list[dict[str, Any]] = []
    verdicts: list[dict[str, Any]] = []

    def sign_up(account: str, at: datetime, device: str, ip: str, **extra: Any) -> None:
        signups.append(
            {
                "account": account,
                "at": at.isoformat(),
                "device": device,
                "ip": ip,
                "email": f"{account}@mail.example",
                "country": extra.get("country", str(rng.choice(["DE", "FR", "US"]))),
                "form_s": extra.get("form_s", round(float(rng.uniform(20, 90)), 1)),
                "newsletter": bool(rng.random() < 0.3),
                "page": str(rng.choice(["home", "shop"])),
            }
        )

    def judge(account: str, verdict: str, at: datetime) -> None:
        verdicts.append(
            {"account": account, "verdict": verdict, "known_at": at.isoformat(), "reason": "checked"}
        )

    def after(days: float) -> datetime:
        return START + timedelta(seconds=int(days * 86_400))

    for n in range(150):
        at = after(float(rng.uniform(0, 60)))
        sign_up(f"single-{n}", at, f"dev-single-{n}", f"81.{n // 200}.{n % 200}.7")
        if n < 70:
            judge(f"single-{n}", "good", at + timedelta(days=5))
    for house in range(20):
        for person in range(3):
            at = after(float(rng.uniform(0, 60)))
            sign_up(f"house-{house}-{person}", at, f"dev-house-{house}", f"82.0.{house}.9")
            if house < 8:
                judge(f"house-{house}-{person}", "good", at + timedelta(days=5))
    for n in range(50):
        sign_up(f"campus-{n}", after(float(rng.uniform(0, 60))), f"dev-campus-{n}", "83.0.0.1")
    for farm in range(3):
        opened = after(20.0 + 12 * farm)
        for n in range(FARM_SIZE):
            at = opened + timedelta(minutes=3 * n)
            device = f"dev-farm-{farm}-{n % 2}"
            sign_up(f"farm-{farm}-{n}", at, device, f"84.0.{farm}.1", country="US", form_s=6.0)
            if farm == 0 or (farm == 1 and n < 3):
                judge(f"farm-{farm}-{n}", "bad", at + timedelta(days=4))
    sign_up(BANNED, after(30), BANNED_DEVICE, "85.0.0.1")
    judge(BANNED, "bad", after(35))

    gifts = [
        {
            "sender": f"single-{rng.integers(0, 150)}",
            "receiver": f"single-{rng.integers(0, 150)}",
            "at": after(float(rng.uniform(20, 60))).isoformat(),
            "coins": int(rng.integers(1, 50)),
        }
        for _ in range(150)
    ]
    for farm in range(3):
        for n in range(1, FARM_SIZE):
            gifts.append(
                {
                    "sender": f"farm-{farm}-{n}",
                    "receiver": f"farm-{farm}-0",
                    "at": after(22.0 + 12 * farm).isoformat(),
                    "coins": 40,
                }
            )
    for name, rows in (("signups", signups), ("gifts", gifts), ("verdicts", verdicts)):
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    spec = folder / "spec.yaml"
    spec.write_text(SPEC, encoding="utf-8")
    return spec


def make_workspace(folder: Path) -> Path:
    """Build the platform, train a bundle and find its rings; returns the workspace's folder."""
    made = Workspace(folder / "workspace")
    build(load_spec(write_platform(folder)), made)
    snapshot = made.open_snapshot()
    bundle = gnn.train(snapshot, made)
    run = rings.find(snapshot, bundle.scores["score"].to_numpy(), bundle=bundle.version)
    with made.new_folder("rings", run.id) as target:
        run.write(target)
    made.set_current("rings", run.id)
    return made.path


def sign_up_event(account: str = "new-1", **identifiers: Any) -> dict[str, Any]:
    """A sign-up just after the platform's last event."""
    return {
        "event_type": "signup",
        "event_id": f"ev-{account}",
        "event_timestamp": "2026-03-02T00:00:00Z",
        "account": {"id": account, "country": "DE", "form_s": 40},
        "identifiers": identifiers,
    }
