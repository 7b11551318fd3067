"""Links: what makes one, how strong it is, and that hubs never do."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import rings
from graph_etl import NO_HUB, Snapshot
from rings import LinkConfig, Links
from rings.kernel import DIRECT, SHARED, SYNCHRONY
from tests.rings.drawing import Game, bridge, indices, marked_as_hub

NO_BEHAVIOUR = LinkConfig(alike_power=0, synchrony=0, least_weight=0)
MONTH = 60.0 * 24 * 30


def weight_of(snapshot: Snapshot, found: Links, one: str, other: str) -> float:
    low, high = sorted(indices(snapshot, [one, other]))
    at = np.flatnonzero((found.a == low) & (found.b == high))
    return float(found.weight[at[0]]) if len(at) else 0.0


def source_of(snapshot: Snapshot, found: Links, one: str, other: str) -> int:
    low, high = sorted(indices(snapshot, [one, other]))
    return int(found.source[(found.a == low) & (found.b == high)][0])


def test_a_shared_device_links_and_a_stranger_stays_alone(tmp_path: Path) -> None:
    game = Game()
    game.signup("ann", 0, "phone", form_s=20)
    game.signup("bob", 10, "phone", form_s=21)
    game.signup("eve", 20, "laptop", form_s=22)
    snapshot = game.build(tmp_path)
    found = rings.links(snapshot, config=NO_BEHAVIOUR)
    # One node with two users, rarity 1, minutes apart: 1 - exp(-1) = 0.632.
    assert weight_of(snapshot, found, "ann", "bob") == pytest.approx(0.632, abs=0.002)
    assert source_of(snapshot, found, "ann", "bob") == SHARED
    assert snapshot.node_keys[int(found.via[0])] == "phone"
    assert len(found) == 1


def test_the_rarer_the_node_the_heavier_the_link(tmp_path: Path) -> None:
    game = Game()
    for device, users in (("two", 2), ("four", 4), ("sixteen", 16)):
        for at in range(users):
            game.signup(f"{device}{at}", 0, device)
    snapshot = game.build(tmp_path)
    found = rings.links(snapshot, config=NO_BEHAVIOUR)
    weights = [weight_of(snapshot, found, f"{name}0", f"{name}1") for name in ("two", "four", "sixteen")]
    # 1 / log2(users) is 1, 1/2 and 1/4.
    assert weights == pytest.approx([1 - np.exp(-1), 1 - np.exp(-0.5), 1 - np.exp(-0.25)], abs=1e-4)


def test_the_closer_in_time_the_heavier_the_link(tmp_path: Path) -> None:
    game = Game()
    for device, gap in (("minute", 1), ("day", 60 * 24), ("month", MONTH)):
        game.signup(f"{device}0", 0, device)
        game.signup(f"{device}1", gap, device)
    snapshot = game.build(tmp_path)
    found = rings.links(snapshot, config=NO_BEHAVIOUR)
    weights = [weight_of(snapshot, found, f"{name}0", f"{name}1") for name in ("minute", "day", "month")]
    assert weights[0] > weights[1] + 0.1 > weights[2] + 0.2 > 0.2


def test_a_gift_links_directly(tmp_path: Path) -> None:
    game = Game()
    game.signup("ann", 0)
    game.signup("bob", MONTH)
    game.gift("ann", "bob", MONTH + 1)
    snapshot = game.build(tmp_path)
    found = rings.links(snapshot, config=NO_BEHAVIOUR)
    assert source_of(snapshot, found, "ann", "bob") == DIRECT


def test_accounts_that_appear_together_and_behave_alike_are_linked_by_synchrony(tmp_path: Path) -> None:
    game = Game()
    game.strangers(60, MONTH)
    for at in range(6):
        game.signup(f"twin{at}", MONTH / 2 + at, form_s=3.0)
    snapshot = game.build(tmp_path)
    found = rings.links(snapshot)
    assert source_of(snapshot, found, "twin0", "twin1") == SYNCHRONY
    twins = set(indices(snapshot, [f"twin{at}" for at in range(6)]))
    between = [int(a) in twins and int(b) in twins for a, b in zip(found.a, found.b, strict=True)]
    assert sum(between) == 15
    assert found.weight[between].min() > found.weight[~np.array(between)].max(initial=0.0)


def test_a_hub_links_nobody(tmp_path: Path) -> None:
    game = Game()
    for at in range(5):
        game.signup(f"guest{at}", at, "kiosk")
    plain = game.build(tmp_path / "plain")
    assert len(rings.links(plain, config=NO_BEHAVIOUR)) == 10
    hub = marked_as_hub(plain, tmp_path / "hub", "device", "kiosk")
    assert len(rings.links(hub, config=NO_BEHAVIOUR)) == 0


def test_a_hub_links_until_it_becomes_one(tmp_path: Path) -> None:
    game = Game()
    for at in range(5):
        game.signup(f"guest{at}", at, "kiosk")
    snapshot = marked_as_hub(game.build(tmp_path / "plain"), tmp_path / "hub", "device", "kiosk", since=3)
    assert len(rings.links(snapshot, horizon=3, config=NO_BEHAVIOUR)) == 3
    assert len(rings.links(snapshot, horizon=4, config=NO_BEHAVIOUR)) == 0


# No shrinking: each example builds a platform.
@settings(max_examples=8, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(
    uses=st.lists(
        st.tuples(st.integers(0, 11), st.integers(0, 4), st.integers(0, 50_000)), min_size=6, max_size=40
    ),
    hub=st.integers(0, 4),
)
def test_links_are_those_of_a_platform_without_the_hub(
    uses: list[tuple[int, int, int]], hub: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    first_use = {f"a{at}": 100.0 * at for at in range(12)}
    everything = [(f"a{account}", f"w{other}", "erc20") for account, other, _ in uses]
    everything.append(("a0", f"w{hub}", "erc20"))
    folder = tmp_path_factory.mktemp("hub")
    whole = bridge(folder / "whole", first_use, everything)
    cut = bridge(folder / "cut", first_use, [use for use in everything if use[1] != f"w{hub}"])
    marked = marked_as_hub(whole, folder / "marked", "counterparty", f"w{hub}")
    # The hub still is part of how an account behaves: behaviour is left out here.
    config = NO_BEHAVIOUR
    with_hub, without = rings.links(marked, config=config), rings.links(cut, config=config)
    assert np.array_equal(with_hub.a, without.a)
    assert np.array_equal(with_hub.b, without.b)
    assert np.array_equal(with_hub.weight, without.weight)
    assert marked.node_index("counterparty", f"w{hub}") not in set(with_hub.via.tolist())


def test_a_popular_node_costs_a_bounded_number_of_links(tmp_path: Path) -> None:
    users = 384
    game = Game()
    for at in range(users):
        game.signup(f"fan{at:03}", at, "popular")
    snapshot = marked_as_hub(
        game.build(tmp_path / "any"), tmp_path / "none", "device", "popular", since=NO_HUB
    )
    config = LinkConfig(alike_power=0, synchrony=0, least_weight=0, most_links=10_000)
    found = rings.links(snapshot, config=config)
    assert users < len(found) <= users * 64  # and not 73,536 pairs
    # Those who came together are linked, those far apart are not.
    assert weight_of(snapshot, found, "fan100", "fan101") > 0.0
    assert weight_of(snapshot, found, "fan000", f"fan{users - 1:03}") == 0.0


def test_links_do_not_look_at_verdicts(tmp_path: Path) -> None:
    games = []
    for word in ("bad", "good"):
        game = Game()
        game.strangers(30, MONTH)
        for at in range(4):
            game.signup(f"m{at}", 500 + at, "phone")
            game.verdict(f"m{at}", word, 900)
        games.append(rings.links(game.build(tmp_path / word)))
    assert np.array_equal(games[0].weight, games[1].weight)
    assert len(games[0]) >= 6


def test_links_at_a_horizon_do_not_see_later_rows(tmp_path: Path) -> None:
    game = Game()
    for at in range(4):
        game.signup(f"m{at}", at, "phone")
    game.gift("m0", "m3", 10)
    snapshot = game.build(tmp_path)
    seen = [len(rings.links(snapshot, horizon, NO_BEHAVIOUR)) for horizon in range(6)]
    assert seen == [0, 0, 1, 3, 6, 6]
    last = rings.links(snapshot, 4, NO_BEHAVIOUR), rings.links(snapshot, 5, NO_BEHAVIOUR)
    m0_m3 = [weight_of(snapshot, found, "m0", "m3") for found in last]
    assert m0_m3[1] > m0_m3[0] > 0  # the gift is seen at the last horizon only
