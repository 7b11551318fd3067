"""Names for what the simulation numbered, and the tables that a platform would export."""

from datetime import timedelta

import numpy as np
import polars as pl

from graph_etl.simulate.world import CLIENTS, COUNTRIES, PRODUCTS_EUR, World


class Names:
    """Turns the simulation's numbers into the ids that the exports show.

    Account ids follow the order of sign-up; devices and cards get random ids, as nobody counts them.

    Args:
        world: The finished world.
    """

    def __init__(self, world: World) -> None:
        self._start = world.config.start_utc
        signup_s = np.array([account.signup_s for account in world.accounts])
        order = np.lexsort((np.arange(signup_s.size), signup_s))
        self.rank = np.empty(signup_s.size, dtype=np.int64)
        self.rank[order] = np.arange(signup_s.size)
        rng = world.rng("names")
        self._devices = _unique(rng, world.n_devices + 8)
        self._cards = _unique(rng, world.n_cards + 8)

    def account(self, number: int) -> str:
        """Return an account's id."""
        return f"u{int(self.rank[number]) + 1:06d}"

    def device(self, number: int) -> str:
        """Return a device's id."""
        return f"d{int(self._devices[number]):09x}"

    def card(self, number: int) -> str:
        """Return a card's token."""
        return f"tok_{int(self._cards[number]):09x}"

    def time(self, at_s: int) -> str:
        """Return a time as ISO 8601 in UTC."""
        return (self._start + timedelta(seconds=int(at_s))).strftime("%Y-%m-%dT%H:%M:%SZ")


def _unique(rng: np.random.Generator, n: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    drawn = np.unique(rng.integers(0, 1 << 36, n + n // 50 + 64))
    return rng.permutation(drawn)[:n]


def tables_of(world: World, names: Names) -> dict[str, pl.DataFrame]:
    """Return the exports as text tables, each sorted by time.

    What an account did after its ban is left out: it was closed.

    Args:
        world: The finished world.
        names: The ids.

    Returns:
        Tables by name.
    """
    banned_s = np.array([a.banned_s if a.banned_s >= 0 else world.end_s for a in world.accounts])
    return {
        "signups": _signups(world, names),
        "logins": _logins(world, names, banned_s),
        "gifts": _gifts(world, names, banned_s),
        "payments": _payments(world, names, banned_s),
        "verdicts": _verdicts(world, names),
        "groups": _groups(world, names),
        "truth": _truth(world, names),
    }


def _event_ids(prefix: str, n: int) -> list[str]:
    return [f"{prefix}{k + 1:07d}" for k in range(n)]


def _signups(world: World, names: Names) -> pl.DataFrame:
    rows = [(i, world.accounts[int(i)]) for i in np.argsort(names.rank)]
    return pl.DataFrame(
        {
            "event_id": _event_ids("s", len(rows)),
            "created_at": [names.time(a.signup_s) for _, a in rows],
            "account_id": [names.account(int(i)) for i, _ in rows],
            "device_id": [names.device(a.signup_device) for _, a in rows],
            "ip": [world.addresses.text(a.signup_ip) for _, a in rows],
            "email": [a.email for _, a in rows],
            "phone": [a.phone for _, a in rows],
            "country": [COUNTRIES[a.country] for _, a in rows],
            "client": [CLIENTS[a.client] for _, a in rows],
            "campaign": [a.campaign for _, a in rows],
            "form_s": [f"{a.form_s:.1f}" for _, a in rows],
            "newsletter": [str(int(a.newsletter)) for _, a in rows],
        },
        schema_overrides={"phone": pl.String, "campaign": pl.String},
    )


def _logins(world: World, names: Names, banned_s: np.ndarray[tuple[int], np.dtype[np.int64]]) -> pl.DataFrame:
    events = np.concatenate(world.logins) if world.logins else np.zeros((0, 4), dtype=np.int64)
    events = events[events[:, 1] < banned_s[events[:, 0]]]
    events = events[np.lexsort((names.rank[events[:, 0]], events[:, 1]))]
    codes, inverse = np.unique(events[:, 3], return_inverse=True)
    ips = pl.Series([world.addresses.text(int(code)) for code in codes], dtype=pl.String)
    return pl.DataFrame(
        {
            "event_id": _event_ids("l", len(events)),
            "at": [names.time(int(at_s)) for at_s in events[:, 1]],
            "account_id": [names.account(int(i)) for i in events[:, 0]],
            "device_id": [names.device(int(i)) for i in events[:, 2]],
            "ip": ips.gather(inverse),
        }
    )


def _gifts(world: World, names: Names, banned_s: np.ndarray[tuple[int], np.dtype[np.int64]]) -> pl.DataFrame:
    open_ones = [g for g in world.gifts if g[1] < min(banned_s[g[0]], banned_s[g[2]])]
    rows = sorted(open_ones, key=lambda g: (g[1], names.rank[g[0]], g[3]))
    return pl.DataFrame(
        {
            "event_id": _event_ids("g", len(rows)),
            "at": [names.time(at_s) for _, at_s, _, _ in rows],
            "sender": [names.account(sender) for sender, _, _, _ in rows],
            "receiver": [names.account(receiver) for _, _, receiver, _ in rows],
            "coins": [str(coins) for _, _, _, coins in rows],
        },
        schema=dict.fromkeys(("event_id", "at", "sender", "receiver", "coins"), pl.String),
    )


def _payments(
    world: World, names: Names, banned_s: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> pl.DataFrame:
    open_ones = [p for p in world.payments if p[1] < banned_s[p[0]]]
    rows = sorted(open_ones, key=lambda p: (p[1], names.rank[p[0]], p[3]))
    return pl.DataFrame(
        {
            "event_id": _event_ids("p", len(rows)),
            "at": [names.time(at_s) for _, at_s, _, _ in rows],
            "account_id": [names.account(i) for i, _, _, _ in rows],
            "card": [names.card(card) for _, _, card, _ in rows],
            "product": [product for _, _, _, product in rows],
            "amount_eur": [f"{PRODUCTS_EUR[product]:.2f}" for _, _, _, product in rows],
        },
        schema=dict.fromkeys(("event_id", "at", "account_id", "card", "product", "amount_eur"), pl.String),
    )


def _verdicts(world: World, names: Names) -> pl.DataFrame:
    rows = sorted(world.verdicts, key=lambda v: (v.known_s, names.rank[v.account]))
    return pl.DataFrame(
        {
            "account": [names.account(v.account) for v in rows],
            "verdict": ["good" if v.good else "bad" for v in rows],
            "known_at": [names.time(v.known_s) for v in rows],
            "reason": [v.reason for v in rows],
        },
        schema=dict.fromkeys(("account", "verdict", "known_at", "reason"), pl.String),
    )


def _groups(world: World, names: Names) -> pl.DataFrame:
    rows = sorted((names.account(i), ring.name) for ring in world.rings for i in ring.accounts)
    return pl.DataFrame(
        {"account": [account for account, _ in rows], "ring": [ring for _, ring in rows]},
        schema={"account": pl.String, "ring": pl.String},
    )


def _truth(world: World, names: Names) -> pl.DataFrame:
    order = np.argsort(names.rank)
    rows = [world.accounts[int(i)] for i in order]
    return pl.DataFrame(
        {
            "account": [names.account(int(i)) for i in order],
            "label": [str(int(bool(a.ring))) for a in rows],
            "ring": [a.ring or None for a in rows],
        },
        schema=dict.fromkeys(("account", "label", "ring"), pl.String),
    )
