"""What is drawn of a ring and what its timeline tells: everything once, nothing made up."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from graph_etl import Snapshot
from rings.evidence import Grounds
from rings.pictures import Pictures
from tests.rings.drawing import Game, indices
from tests.rings.test_minimal import grounds_of

DAY = 60.0 * 24
RING = ["m0", "m1", "m2", "m3"]


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    game = Game()
    game.strangers(80, 60 * DAY)
    for at, name in enumerate(RING):
        game.signup(name, 20 * DAY + 10 * at, "phone", "203.0.113.9")
    game.gift("m0", "m1", 21 * DAY)  # nobody else touches either end: no shared node, a deal all the same
    for name in ("m2", "m3"):
        game.gift(name, "x0001", 22 * DAY)
        game.gift("x0002", name, 23 * DAY)
    return game.build(tmp_path_factory.mktemp("drawn"))


@pytest.fixture(scope="module")
def grounds(snapshot: Snapshot) -> Grounds:
    return grounds_of(snapshot, RING)


def drawn(grounds: Grounds) -> Pictures:
    n_accounts = grounds.snapshot.n_accounts
    roles = ["core" if ring >= 0 else "" for ring in grounds.member]
    return Pictures(grounds, roles, np.where(grounds.member >= 0, 0.5, 0.0)[:n_accounts])


def edges(picture: dict[str, Any]) -> Counter[tuple[str, str, str]]:
    label = {node["id"]: node["key"] for node in picture["nodes"]}
    return Counter(
        (label[edge["source"]], label[edge["target"]], edge["relation"])
        for edge in picture["edges"]
        if edge["relation"] != "link"
    )


def test_what_members_did_to_each_other_is_drawn_once(grounds: Grounds) -> None:
    found = edges(drawn(grounds).subgraph(0))
    assert found["m0", "m1", "gift"] == 1
    assert ("m1", "m0", "gift") not in found
    assert max(found.values()) == 1


def test_arrows_go_the_way_that_it_went(grounds: Grounds) -> None:
    found = edges(drawn(grounds).subgraph(0))
    assert {(a, b) for a, b, relation in found if relation == "gift"} == {
        ("m0", "m1"), ("m2", "x0001"), ("m3", "x0001"), ("x0002", "m2"), ("x0002", "m3"),
    }  # fmt: skip


def test_members_and_what_the_ring_would_dissolve_without_are_marked(grounds: Grounds) -> None:
    nodes = {node["key"]: node for node in drawn(grounds).subgraph(0)["nodes"]}
    assert {key for key, node in nodes.items() if node.get("member")} == set(RING)
    assert all(nodes[name]["role"] == "core" for name in RING)
    assert "role" not in nodes["x0001"]
    assert {node["id"] for node in nodes.values() if node.get("minimal")} == {
        at for at in grounds.minimal[0].nodes if at >= 0
    }


def test_the_timeline_tells_each_thing_once_in_order_and_says_which_way(grounds: Grounds) -> None:
    told = drawn(grounds).timeline(0)
    assert [entry["time_ms"] for entry in told] == sorted(entry["time_ms"] for entry in told)
    kinds = Counter(entry["with"]["kind"] for entry in told if "with" in entry)
    assert "subnet" not in kinds  # it repeats the address
    assert kinds["device"] == kinds["ip"] == 4
    gifts = [
        (entry["account_id"], entry["way"], entry["with"]["key"])
        for entry in told
        if entry["event"] == "gift"
    ]
    assert gifts == [
        ("m0", "sent", "m1"),
        ("m2", "sent", "x0001"),
        ("m3", "sent", "x0001"),
        ("m2", "received", "x0002"),
        ("m3", "received", "x0002"),
    ]
    appeared = [entry["account_id"] for entry in told if "with" not in entry]
    assert appeared == RING


def test_a_path_to_a_bad_account_is_drawn_whole(snapshot: Snapshot) -> None:
    grounds = grounds_of(snapshot, RING)
    bad = indices(snapshot, ["x0001"])[0]
    path = [int(snapshot.account_node[indices(snapshot, ["m2"])[0]]), int(snapshot.account_node[bad])]
    grounds.nearest[0][:] = path
    grounds.known_bad[bad] = True
    picture = drawn(grounds).subgraph(0)
    assert ("m2", "x0001", "nearest known bad") in edges(picture)
    assert [node["key"] for node in picture["nodes"] if node.get("known_bad")] == ["x0001"]
