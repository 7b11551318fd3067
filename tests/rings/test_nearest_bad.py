"""The nearest known bad account: by the shortest way, never through a hub."""

from pathlib import Path

import numpy as np

from graph_etl import Snapshot
from rings.nearest_bad import nearest_bad
from tests.rings.drawing import Game, indices, marked_as_hub


def way(snapshot: Snapshot, members: list[str], bad: list[str]) -> list[str]:
    known = np.zeros(snapshot.n_accounts, np.bool_)
    known[indices(snapshot, bad)] = True
    accounts = np.array(indices(snapshot, members))
    path = nearest_bad(snapshot, accounts, np.array([0, len(accounts)]), known, snapshot.end_horizon)[0]
    return [snapshot.node_keys[node] for node in path]


def platform() -> Game:
    game = Game()
    game.signup("m1", 0, "phone")
    game.signup("m2", 1, "tablet", "203.0.113.9")
    game.signup("near", 2, "phone")
    game.signup("between", 3, "laptop", "203.0.113.9")
    game.signup("far", 4, "laptop")
    return game


def test_one_device_away(tmp_path: Path) -> None:
    assert way(platform().build(tmp_path), ["m1", "m2"], ["near", "far"]) == ["m1", "phone", "near"]


def test_two_accounts_away(tmp_path: Path) -> None:
    found = way(platform().build(tmp_path), ["m1", "m2"], ["far"])
    assert found == ["m2", "203.0.113.9", "between", "laptop", "far"]


def test_a_member_that_is_bad_is_not_the_nearest_outside(tmp_path: Path) -> None:
    assert way(platform().build(tmp_path), ["m1", "m2"], ["m1"]) == []


def test_never_through_a_hub(tmp_path: Path) -> None:
    hub = marked_as_hub(platform().build(tmp_path / "plain"), tmp_path / "hub", "device", "phone")
    assert way(hub, ["m1", "m2"], ["near"]) == []


def test_never_through_a_subnet_alone(tmp_path: Path) -> None:
    game = Game()
    game.signup("m1", 0, ip="203.0.113.1")
    game.signup("neighbour", 1, ip="203.0.113.2")
    assert way(game.build(tmp_path), ["m1"], ["neighbour"]) == []


def test_never_through_what_many_accounts_touch(tmp_path: Path) -> None:
    game = Game()
    for at in range(40):
        game.signup(f"guest{at:02}", at, "kiosk")
    snapshot = game.build(tmp_path)
    assert way(snapshot, ["guest00"], ["guest39"]) == []
    assert way(snapshot, ["guest00"], []) == []
