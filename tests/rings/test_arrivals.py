"""When members appeared: vectorised over all rings, it says what looking at each ring alone would."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from graph_etl import NO_TIME
from rings.arrivals import Arrivals
from rings.evidence import Grounds
from rings.links import Links
from tests.rings.drawing import Game

if TYPE_CHECKING:
    from pathlib import Path

N_RINGS = 30


def drawn(folder: Path, seed: int) -> Grounds:
    """Accounts, of which many have the same time and some came by a gift, in rings of 2 to 12."""
    random = np.random.default_rng(seed)
    game = Game()
    for at in range(300):
        game.signup(f"s{at:03}", float(random.integers(0, 60) * 10 ** random.integers(0, 4)))
    for at in range(50):
        game.gift(f"g{at:03}", f"h{at:03}", float(random.integers(0, 60) * 10 ** random.integers(0, 4)))
    snapshot = game.build(folder)
    member = np.full(snapshot.n_accounts, -1, np.int32)
    order = random.permutation(snapshot.n_accounts)
    start = 0
    for ring in range(N_RINGS):
        size = int(random.integers(2, 13))
        member[order[start : start + size]] = ring
        start += size
    none, ones = np.zeros(0, np.int32), np.ones(N_RINGS)
    return Grounds(
        snapshot=snapshot,
        horizon=snapshot.end_horizon,
        member=member,
        links=Links(none, none, none.astype(np.float32), none.astype(np.uint8), none),
        known_bad=np.zeros(snapshot.n_accounts, np.bool_),
        density=ones,
        p_value=ones,
        q_value=ones,
        nearest=[[] for _ in range(N_RINGS)],
    )


def burst_of(grounds: Grounds, accounts: Any) -> dict[str, Any] | None:
    """The densest stretch of one ring, looked for by itself."""
    seen = grounds.snapshot.first_seen_ms
    timed = sorted((int(seen[one]), int(one)) for one in accounts if seen[one] != NO_TIME)
    if len(timed) < 3 or len(timed) < len(accounts) / 2:
        return None
    best: dict[str, Any] | None = None
    for share in (1.0, 0.9, 0.75, 0.5):
        count = int(np.ceil(share * len(accounts)))
        if count < 3 or count > len(timed):
            continue
        stretches = [(timed[at + count - 1][0] - timed[at][0], at) for at in range(len(timed) - count + 1)]
        at = min(stretches)[1]
        low, high = timed[at][0], timed[at + count - 1][0]
        inside = [one for at_ms, one in timed if low <= at_ms <= high]
        platform = int(((grounds.arrivals_ms >= low) & (grounds.arrivals_ms <= high)).sum())
        ratio = (len(inside) / len(accounts)) / (platform / grounds.snapshot.n_accounts)
        bits = len(inside) * float(np.log2(max(1.0, ratio)))
        if ratio < 5.0 or (best is not None and bits <= best["weight"] * 1.1):
            continue
        born = grounds.snapshot.first_pos
        types = [int(grounds.snapshot.event_type[born[one]]) for one in inside]
        event = max(sorted(set(types)), key=types.count)
        best = {
            "weight": bits,
            "accounts": len(inside),
            "platform_accounts": platform,
            "from_ms": low,
            "to_ms": high,
            "event": grounds.snapshot.event_types[event],
        }
    return best


@pytest.mark.parametrize("seed", range(3))
def test_bursts_are_those_of_each_ring_alone(tmp_path: Path, seed: int) -> None:
    grounds = drawn(tmp_path, seed)
    found = Arrivals(grounds).bursts()
    expected = [burst_of(grounds, accounts) for accounts in grounds.accounts]
    assert any(expected)
    assert not all(expected)
    for burst, alone in zip(found, expected, strict=True):
        assert (burst is None) == (alone is None)
        if burst is not None and alone is not None:
            assert {name: burst[name] for name in alone} == alone


def test_spans_go_from_the_first_to_the_last_member_with_a_time(tmp_path: Path) -> None:
    grounds = drawn(tmp_path, 0)
    seen_ms = np.asarray(grounds.snapshot.first_seen_ms)
    for accounts, piece in zip(grounds.accounts, Arrivals(grounds).spans(), strict=True):
        times = seen_ms[accounts][seen_ms[accounts] != NO_TIME]
        assert (piece["accounts"], piece["of"]) == (len(times), len(accounts))
        assert ("span" in piece) == bool(len(times))
        if len(times):
            assert (piece["from_ms"], piece["to_ms"]) == (times.min(), times.max())
