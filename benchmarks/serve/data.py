"""A large platform drawn from a seed: files for ``ringwatch build`` and identifiers for the load.

The counts that the options name are exact: each identifier is used at least once, and a link is one use of
an identifier as the files hold it. The snapshot holds more of both, since subnets follow from addresses and
domains from e-mails.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

END_MS: Final = 1_772_323_200_000  # 2026-03-01T00:00:00Z: the last event lies before it
_DAY_MS: Final = 86_400_000
_SPAN_DAYS: Final = 365
# Shares of the identifiers by kind: most mailboxes belong to one account, an address serves several.
_DEVICES, _ADDRESSES, _CARDS = 0.275, 0.15, 0.10
_ADDRESSES_AT_MOST: Final = 5 * 65_536
_RING_ACCOUNTS: Final = 0.02
_WRONG: Final = 0.04
_POOL: Final = 200_000
_VERSION: Final = 3  # counts up when the same size and seed give other files

SPEC: Final = """
ringwatch: 1
name: bench_serve
title: A large platform drawn from a seed to time answers on.
simulated: true
sources:
  signups: {path: signups.parquet}
  logins: {path: logins.parquet}
  payments: {path: payments.parquet}
  verdicts: {path: verdicts.parquet}
kinds:
  device: {identifier: true, normalise: text}
  ip: {identifier: true, normalise: ip, derive: [subnet]}
  email: {identifier: true, normalise: email, derive: [email_domain]}
  card: {identifier: true, normalise: exact}
accounts:
  - source: signups
    id: account
    time: at
    identifiers: {device: device, ip: ip, email: email}
    attributes: {country: category, client: category, form_s: number, newsletter: flag}
events:
  - source: logins
    type: login
    from: {account: account}
    time: at
    identifiers: {device: device, ip: ip}
  - source: payments
    type: payment
    from: {account: account}
    time: at
    amount: eur
    identifiers: {card: card}
verdicts:
  - {source: verdicts, account: account, label: verdict, bad: [bad], good: [good], known_at: known_at}
prevalence: 0.02
moments: [signup, retrospective]
"""


@dataclass(frozen=True, slots=True)
class Size:
    """How large the platform is.

    Attributes:
        accounts: Accounts.
        identifiers: Devices, addresses, mailboxes and cards together.
        links: Uses of an identifier by an account.
        verdicts: Accounts that a person judged, half of them bad.
        seed: Draws everything.
    """

    accounts: int = 1_000_000
    identifiers: int = 2_000_000
    links: int = 6_000_000
    verdicts: int = 6_000
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn."""
        mails = self.identifiers - sum(self.others)
        if not 0 < mails <= self.accounts or max(self.others) > self.accounts:
            problem = (
                f"{self.identifiers} identifiers for {self.accounts} accounts cannot be drawn; "
                "give about 2 each"
            )
            raise ValueError(problem)
        if self.others[1] > _ADDRESSES_AT_MOST:
            problem = f"{self.identifiers} identifiers need too many addresses; give at most 2,180,000"
            raise ValueError(problem)
        if self.links < 3 * self.accounts + self.others[2]:
            problem = f"{self.links} links for {self.accounts} accounts are too few; give about 6 each"
            raise ValueError(problem)

    @property
    def others(self) -> tuple[int, int, int]:
        """Numbers of devices, addresses and cards."""
        devices, addresses, cards = (
            int(self.identifiers * share) for share in (_DEVICES, _ADDRESSES, _CARDS)
        )
        return devices, addresses, cards

    @property
    def key(self) -> str:
        """Short hash of all that the files follow from."""
        text = json.dumps([_VERSION, SPEC, asdict(self)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def write_platform(folder: Path, size: Size) -> None:
    """Write ``spec.yaml``, the tables that it names, and ``known.tsv`` for the load.

    Args:
        folder: Where to; made if missing.
        size: How much.
    """
    folder.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(size.seed)
    devices, addresses, cards = size.others
    device = _users(draw, size.accounts, devices, skew=1.0)
    address = _users(draw, size.accounts, addresses, skew=3.0)
    mail = _users(draw, size.accounts, size.identifiers - devices - addresses - cards, skew=1.0)
    at_ms = END_MS - draw.integers(1, _SPAN_DAYS * _DAY_MS // 1000, size.accounts) * 1000
    ring = _gather_rings(draw, size.accounts, device, address, at_ms)
    signups = pl.DataFrame(
        {
            "account": _names("a", np.arange(size.accounts)),
            "at": _times(at_ms),
            "device": _names("d", device),
            "ip": _address_texts(address),
            "email": _mail_texts(mail),
            "country": pl.Series(["DE", "FR", "PL", "US", "BR", "PH"]).gather(
                np.where(ring >= 0, ring % 6, draw.integers(0, 6, size.accounts))
            ),
            "client": pl.Series(["android", "web", "ios"]).gather(draw.integers(0, 3, size.accounts)),
            "form_s": np.where(ring >= 0, 0.85, 1.0) * np.round(draw.lognormal(3.7, 0.5, size.accounts), 1),
            "newsletter": draw.random(size.accounts) < 0.3,
        }
    )
    signups.sort("at", "account").write_parquet(folder / "signups.parquet")
    _write_logins(folder, size, draw, device, address, at_ms)
    card = _write_payments(folder, size, draw, at_ms)
    _write_verdicts(folder, size, draw, ring, at_ms)
    known = draw.choice(size.accounts, min(_POOL, size.accounts), replace=False)
    pl.DataFrame(
        {
            "device": signups["device"].gather(known),
            "ip": signups["ip"].gather(known),
            "email": signups["email"].gather(known),
            "card": pl.Series(["", *_names("c", np.arange(cards))]).gather(card[known] + 1),
        }
    ).write_csv(folder / "known.tsv", separator="\t", include_header=False, quote_style="never")
    (folder / "spec.yaml").write_text(SPEC, encoding="utf-8")


def _users(draw: np.random.Generator, n_users: int, n_things: int, *, skew: float) -> NDArray[np.int64]:
    """Give each user a thing and each thing a user; the larger the skew, the more crowd on few things."""
    crowd = (n_things * draw.random(n_users - n_things) ** skew).astype(np.int64)
    return np.concatenate([np.arange(n_things), crowd])


def _gather_rings(
    draw: np.random.Generator,
    n_accounts: int,
    device: NDArray[np.int64],
    address: NDArray[np.int64],
    at_ms: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Let groups of 5 to 20 of the last accounts gather within days, most of them on two devices.

    The last accounts are nobody's only users, so every identifier keeps a user.
    """
    ring = np.full(n_accounts, -1, dtype=np.int64)
    first = n_accounts - int(n_accounts * _RING_ACCOUNTS)
    number = 0
    while first + 20 <= n_accounts:
        members = np.arange(first, first + int(draw.integers(5, 21)))
        ring[members] = number
        sharing = members[draw.random(len(members)) < 0.7]
        device[sharing] = device[members[sharing % 2]]
        at_home = members[draw.random(len(members)) < 0.6]
        address[at_home] = address[members[0]]
        opened_ms = END_MS - int(draw.integers(5, _SPAN_DAYS)) * _DAY_MS
        at_ms[members] = opened_ms + draw.integers(0, 4 * 86_400, len(members)) * 1000
        number, first = number + 1, int(members[-1]) + 1
    return ring


def _write_logins(
    folder: Path,
    size: Size,
    draw: np.random.Generator,
    device: NDArray[np.int64],
    address: NDArray[np.int64],
    at_ms: NDArray[np.int64],
) -> None:
    n_rows = (size.links - 3 * size.accounts) * 2 // 5
    account = (size.accounts * draw.random(n_rows) ** 1.5).astype(np.int64)
    elsewhere = (size.others[1] * draw.random(n_rows) ** 3.0).astype(np.int64)
    later_ms = at_ms[account] + (draw.random(n_rows) * (END_MS - 1 - at_ms[account])).astype(np.int64)
    pl.DataFrame(
        {
            "account": _names("a", account),
            "at": _times(later_ms),
            "device": _names("d", np.where(draw.random(n_rows) < 0.9, device[account], device[account - 1])),
            "ip": _address_texts(np.where(draw.random(n_rows) < 0.7, address[account], elsewhere)),
        }
    ).sort("at", "account").write_parquet(folder / "logins.parquet")


def _write_payments(
    folder: Path, size: Size, draw: np.random.Generator, at_ms: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Write the payments; returns each account's card, -1 where it has none."""
    cards = size.others[2]
    n_rows = size.links - 3 * size.accounts - 2 * ((size.links - 3 * size.accounts) * 2 // 5)
    holder = draw.choice(size.accounts, cards, replace=False)
    used = _users(draw, n_rows, cards, skew=1.0)
    account = holder[used]
    later_ms = at_ms[account] + (draw.random(n_rows) * (END_MS - 1 - at_ms[account])).astype(np.int64)
    pl.DataFrame(
        {
            "account": _names("a", account),
            "at": _times(later_ms),
            "card": _names("c", used),
            "eur": np.round(draw.lognormal(2.5, 0.8, n_rows), 2),
        }
    ).sort("at", "account").write_parquet(folder / "payments.parquet")
    card = np.full(size.accounts, -1, dtype=np.int64)
    card[holder] = np.arange(cards)
    return card


def _write_verdicts(
    folder: Path, size: Size, draw: np.random.Generator, ring: NDArray[np.int64], at_ms: NDArray[np.int64]
) -> None:
    """Judge whole rings, the first ones, until half of the verdicts are given; then others; a few wrongly."""
    bad = np.flatnonzero(ring >= 0)[: size.verdicts // 2]
    good = draw.choice(np.flatnonzero(ring < 0), size.verdicts - size.verdicts // 2, replace=False)
    account = np.concatenate([bad, good])
    is_bad = (ring[account] >= 0) != (draw.random(len(account)) < _WRONG)
    known_ms = np.minimum(at_ms[account] + 3 * _DAY_MS, END_MS - 1)
    pl.DataFrame(
        {
            "account": _names("a", account),
            "verdict": pl.Series(["good", "bad"]).gather(is_bad.astype(np.int64)),
            "known_at": _times(known_ms),
        }
    ).sort("known_at", "account").write_parquet(folder / "verdicts.parquet")


def _names(prefix: str, numbers: NDArray[np.int64]) -> pl.Series:
    return pl.Series(numbers).cast(pl.String).str.zfill(8).str.replace("^", prefix)


def _times(at_ms: NDArray[np.int64]) -> pl.Series:
    return pl.Series(at_ms).cast(pl.Datetime("ms", "UTC")).dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ")


def _address_texts(numbers: NDArray[np.int64]) -> pl.Series:
    """Write numbers as addresses of 10.0.0.0/8, five to a subnet of /24."""
    frame = pl.DataFrame({"net": numbers // 5, "host": numbers % 5 + 2})
    return frame.select(
        pl.format("10.{}.{}.{}", pl.col("net") // 256, pl.col("net") % 256, pl.col("host"))
    ).to_series()


def _mail_texts(numbers: NDArray[np.int64]) -> pl.Series:
    """Write numbers as mailboxes: four of five at four large providers, the others three to a domain."""
    part = pl.col("box") % 100
    domain = (
        pl.when(part < 35)
        .then(pl.lit("mail.example"))
        .when(part < 60)
        .then(pl.lit("post.example"))
        .when(part < 72)
        .then(pl.lit("inbox.example"))
        .when(part < 80)
        .then(pl.lit("webbox.example"))
        .otherwise(pl.format("domain{}.example", pl.col("box") // 3))
    )
    return pl.DataFrame({"box": numbers}).select(pl.format("box{}@{}", "box", domain)).to_series()
