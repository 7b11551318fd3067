"""The simulated game in two parts: a history to learn from, and what happens next, as requests in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from graph_etl.simulate import SimulatedPlatform, SimulationConfig, simulate

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

RISK: Final = "/v1/risk"
EVENTS: Final = "/v1/events"
LABELS: Final = "/v1/labels"
RING: Final = "farm_live"
"""Name of the ring that gathers while the demo runs."""

_CUT_DAY, _END_DAY = 54.0, 56.5
# Thirty accounts on two devices within eight hours, from six hours after the history ends.
_ATTACK: Final = {
    "tactic": "device_farm",
    "name": RING,
    "accounts": 30,
    "devices": 2,
    "window": "8h",
    "day": _CUT_DAY + 0.25,
    "found": 0.8,
}
_TIME_COLUMNS: Final = {
    "signups": "created_at",
    "logins": "at",
    "gifts": "at",
    "payments": "at",
    "verdicts": "known_at",
}


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that happens in the game, and the request that tells the service of it.

    Attributes:
        at: When, ISO 8601 in UTC.
        due: How much of the streamed time has passed by then, 0 to 1.
        kind: `signup`, `login`, `gift`, `payment` or `verdict`.
        account: Who did it, or whom the verdict is about.
        path: Where it is sent.
        body: What is sent.
    """

    at: str
    due: float
    kind: str
    account: str
    path: str
    body: Mapping[str, Any]


@dataclass(frozen=True)
class LiveGame:
    """A simulated game, cut in two.

    Attributes:
        history: Tables until the cut, as the spec expects them.
        happenings: What comes after it, in order of time.
        ring: The accounts of the ring that gathers, in order of their sign-up.
        bad: All bad accounts, the ring's too, as the simulation knows them.
        cut: End of the history.
        end: End of what is streamed.
    """

    history: Mapping[str, pl.DataFrame]
    happenings: tuple[Happening, ...]
    ring: tuple[str, ...]
    bad: frozenset[str]
    cut: datetime
    end: datetime

    def write_history(self, folder: Path) -> None:
        """Write the history below `data/`, compressed, as `spec.yaml` names the files."""
        import gzip

        target = folder / "data"
        target.mkdir(parents=True, exist_ok=True)
        for name, table in self.history.items():
            content = gzip.compress(table.write_csv().encode(), compresslevel=1, mtime=0)
            (target / f"{name}.csv.gz").write_bytes(content)


def live_config(config: SimulationConfig, accounts: int | None) -> SimulationConfig:
    """Add the ring of the demo to a game and leave the damaged rows out.

    Args:
        config: The game, 60 days of it.
        accounts: Scale everything but the ring to about so many accounts; as it is if None.

    Returns:
        The configuration of the live game.
    """
    document = (config if accounts is None else config.scaled(accounts)).model_dump()
    document["attacks"] = [*document["attacks"], _ATTACK]
    document["faults"] = dict.fromkeys(document["faults"], 0)
    return SimulationConfig.model_validate(document)


def play(config: SimulationConfig, *, cut_day: float = _CUT_DAY, end_day: float = _END_DAY) -> LiveGame:
    """Simulate a game and cut it in two.

    Args:
        config: The game, for the demo with its ring in it.
        cut_day: Day on which the history ends.
        end_day: Day on which the stream ends.

    Returns:
        History and happenings.
    """
    platform = simulate(config)
    cut = config.start_utc + timedelta(days=cut_day)
    end = config.start_utc + timedelta(days=end_day)
    history, later = {}, {}
    for name, column in _TIME_COLUMNS.items():
        table = platform.tables[name]
        history[name] = table.filter(pl.col(column) < _text(cut))
        later[name] = table.filter(pl.col(column).is_between(pl.lit(_text(cut)), pl.lit(_text(end)), "left"))
    known = history["signups"]["account_id"].implode()
    history["groups"] = platform.tables["groups"].filter(pl.col("account").is_in(known))
    seconds = (end - cut).total_seconds()
    happenings = sorted(
        (one for name, make in _MAKERS.items() for one in make(later[name], cut, seconds)),
        key=lambda one: (one.at, one.kind != "signup"),
    )
    return LiveGame(
        history=history,
        happenings=tuple(happenings),
        ring=_members(platform, cut),
        bad=frozenset(platform.tables["truth"].filter(pl.col("label") == "1")["account"]),
        cut=cut,
        end=end,
    )


def _members(platform: SimulatedPlatform, cut: datetime) -> tuple[str, ...]:
    named = platform.tables["groups"].filter(pl.col("ring") == RING)["account"]
    signups = platform.tables["signups"].filter(pl.col("account_id").is_in(named.implode()))
    return tuple(signups.filter(pl.col("created_at") >= _text(cut)).sort("created_at")["account_id"])


def _text(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _present(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _due(at: str, cut: datetime, seconds: float) -> float:
    from datetime import datetime as clock

    return (clock.fromisoformat(at) - cut).total_seconds() / seconds


def _signups(table: pl.DataFrame, cut: datetime, seconds: float) -> Iterator[Happening]:
    for row in table.iter_rows(named=True):
        body = {
            "event_type": "signup",
            "event_id": row["event_id"],
            "event_timestamp": row["created_at"],
            "account": {"id": row["account_id"]},
            "identifiers": _present(
                device=row["device_id"], ip=row["ip"], email=row["email"], phone=row["phone"]
            ),
            "properties": _present(
                country=row["country"],
                client=row["client"],
                campaign=row["campaign"],
                form_s=float(row["form_s"]),
                newsletter=row["newsletter"] == "1",
            ),
        }
        at = row["created_at"]
        yield Happening(at, _due(at, cut, seconds), "signup", row["account_id"], RISK, body)


def _logins(table: pl.DataFrame, cut: datetime, seconds: float) -> Iterator[Happening]:
    for row in table.iter_rows(named=True):
        body = {
            "event_type": "login",
            "event_id": row["event_id"],
            "event_timestamp": row["at"],
            "account": {"id": row["account_id"]},
            "identifiers": _present(device=row["device_id"], ip=row["ip"]),
        }
        yield Happening(row["at"], _due(row["at"], cut, seconds), "login", row["account_id"], EVENTS, body)


def _gifts(table: pl.DataFrame, cut: datetime, seconds: float) -> Iterator[Happening]:
    for row in table.iter_rows(named=True):
        gift = {"type": "gift", "to": row["receiver"], "amount": float(row["coins"])}
        body = {
            "event_type": "gift",
            "event_id": row["event_id"],
            "event_timestamp": row["at"],
            "account": {"id": row["sender"]},
            "interactions": [gift],
        }
        yield Happening(row["at"], _due(row["at"], cut, seconds), "gift", row["sender"], EVENTS, body)


def _payments(table: pl.DataFrame, cut: datetime, seconds: float) -> Iterator[Happening]:
    for row in table.iter_rows(named=True):
        bought = {
            "type": "payment",
            "to": row["product"],
            "kind": "product",
            "amount": float(row["amount_eur"]),
        }
        body = {
            "event_type": "payment",
            "event_id": row["event_id"],
            "event_timestamp": row["at"],
            "account": {"id": row["account_id"]},
            "identifiers": _present(card=row["card"]),
            "interactions": [bought],
        }
        yield Happening(row["at"], _due(row["at"], cut, seconds), "payment", row["account_id"], RISK, body)


def _verdicts(table: pl.DataFrame, cut: datetime, seconds: float) -> Iterator[Happening]:
    for row in table.iter_rows(named=True):
        at = row["known_at"]
        body = {
            "account": row["account"],
            "label": row["verdict"],
            "source": "analyst",
            "reason": row["reason"],
            "known_at": at,
        }
        yield Happening(at, _due(at, cut, seconds), "verdict", row["account"], LABELS, body)


_MAKERS: Final[Mapping[str, Callable[[pl.DataFrame, datetime, float], Iterator[Happening]]]] = {
    "signups": _signups,
    "logins": _logins,
    "gifts": _gifts,
    "payments": _payments,
    "verdicts": _verdicts,
}
