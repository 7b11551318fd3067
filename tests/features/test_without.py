"""A graph without some edges reads, bit by bit, like a snapshot built from files that never told of them."""

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from features import LiveGraph, Queries, compute, known_bad_of, registry_of, reputation
from features.contact import contact
from features.rhythm import rhythm, rhythm_specs
from features.without import Edge, without
from graph_etl import Hasher, JournalRow, LiveEvent, Snapshot
from graph_etl.identifiers import keys_of
from rings import LINK_FEATURES, link_features
from tests.building import CAMPUS_IP, PLATFORM_SPEC, Built, build_from_text, csv_text, platform_files
from tests.features.test_live import CUT, TIME_COLUMN, differing, events_after, journal, rows_of

DEVICE = {"signups.csv": 3, "logins.csv": 3}
IP = {"signups.csv": 4, "logins.csv": 4}

Dropped = dict[str, set[tuple[str, str]]]


def orderly(files: dict[str, str]) -> dict[str, str]:
    """Without gifts from or to accounts that sign up only later."""
    came = {row[1]: row[2] for row in rows_of(files["signups.csv"])[1]}
    header, gifts = rows_of(files["gifts.csv"])
    return files | {
        "gifts.csv": csv_text(header, [row for row in gifts if max(came[row[1]], came[row[2]]) < row[3]])
    }


def drawn(files: dict[str, str], seed: int) -> Dropped:
    """Who shall never have used which device and address, and who never have given to whom."""
    chance = random.Random(seed)
    signups = rows_of(files["signups.csv"])[1]
    farmed = [row for row in signups if row[1].startswith(("farm", "mill", "e"))]
    some = chance.sample(farmed, 8) + chance.sample(signups, 8)
    gifts = chance.sample(rows_of(files["gifts.csv"])[1], 12)
    return {
        "device": {(row[1], row[3]) for row in some if chance.random() < 0.7},
        "ip": {(row[1], row[4]) for row in some if chance.random() < 0.5 and row[4] != CAMPUS_IP},
        "gift": {(row[1], row[2]) for row in gifts},
    }


def never_told(files: dict[str, str], dropped: Dropped) -> dict[str, str]:
    """The same files without what was dropped."""
    told = dict(files)
    for name in DEVICE:
        header, rows = rows_of(files[name])
        for row in rows:
            if (row[1], row[DEVICE[name]]) in dropped["device"]:
                row[DEVICE[name]] = ""
            if (row[1], row[IP[name]]) in dropped["ip"]:
                row[IP[name]] = ""
        told[name] = csv_text(header, rows)
    header, gifts = rows_of(files["gifts.csv"])
    told["gifts.csv"] = csv_text(header, [row for row in gifts if (row[1], row[2]) not in dropped["gift"]])
    return told


def edges_of(live: LiveGraph, built: Built, dropped: Dropped) -> list[Edge]:
    hasher = Hasher.from_env(required=True)
    edges: list[Edge] = []
    for kind in ("device", "ip"):
        for account, raw in dropped[kind]:
            for name, key in keys_of(built.spec, kind, raw, hasher):
                edges.append(Edge(account_of(live, account), node_of(live, name, key)))
    sent = next(at for at, side in enumerate(live.opened.view.sides) if side.label == "gift>")
    edges += [
        Edge(account_of(live, one), live.account_node(account_of(live, other)), sent)
        for one, other in dropped["gift"]
    ]
    return edges


def account_of(live: LiveGraph, account: str) -> int:
    found = live.account_index(account)
    assert found is not None
    return found


def node_of(live: LiveGraph, kind: str, key: str) -> int:
    found = live.node_index(kind, key)
    assert found is not None
    return found


def assert_reads_like(graph: LiveGraph, snapshot: Snapshot) -> NDArray[np.float32]:
    """All features of all accounts, those about links and contact too, are the same to the last bit."""
    asked = Queries.for_accounts(snapshot)
    places = np.array([account_of(graph, account) for account in snapshot.account_ids])
    here = replace(asked, account=places, horizon=np.full(len(places), graph.horizon))
    names = registry_of(snapshot).names
    found = compute(graph, here)
    assert differing(names, found, compute(snapshot, asked)) == []
    links = [spec.name for spec in LINK_FEATURES]
    assert differing(links, link_features(graph, here), link_features(snapshot, asked)) == []
    acts = [spec.name for spec in rhythm_specs(snapshot)]
    assert differing(acts, rhythm(graph, here), rhythm(snapshot, asked)) == []
    known = known_bad_of(snapshot, untimed=True)
    near = contact(graph, here, graph.known_bad.since, graph.known_bad.until)
    other = contact(snapshot, asked, known.since, known.until)
    assert differing(["a", "b", "c", "d"], near.features, other.features) == []
    assert near.users.tolist() == other.users.tolist()
    rated = reputation(graph, here, graph.known_bad.since, graph.known_bad.until)
    expected = reputation(snapshot, asked, known.since, known.until)
    assert differing(["a", "b", "c"], rated.features, expected.features) == []
    # One question at a time reads no shared profiles.
    one = here.take(np.arange(3, len(places), 50))
    np.testing.assert_array_equal(compute(graph, one), found[3::50])
    return found


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_snapshot_without_edges_is_one_built_without_them(seed: int, tmp_path: Path) -> None:
    files = orderly(platform_files())
    dropped = drawn(files, seed)
    assert min(len(part) for part in dropped.values()) >= 3
    whole = build_from_text(tmp_path / "whole", PLATFORM_SPEC, files)
    less = build_from_text(tmp_path / "less", PLATFORM_SPEC, never_told(files, dropped)).snapshot
    live = LiveGraph(whole.snapshot)
    before = compute(live, Queries.for_accounts(whole.snapshot))
    graph = without(live, edges_of(live, whole, dropped))
    found = assert_reads_like(graph, less)
    changed = (~((found == before) | (np.isnan(found) & np.isnan(before)))).any(axis=1)
    assert changed.sum() > 20  # not vacuous
    # The source is as it was, and the snapshot's files too.
    np.testing.assert_array_equal(compute(live, Queries.for_accounts(whole.snapshot)), before)
    assert_reads_like(LiveGraph(whole.snapshot), whole.snapshot)


@pytest.mark.parametrize("seed", [4, 5])
def test_what_came_since_the_snapshot_goes_too(seed: int, tmp_path: Path) -> None:
    """Lists that lie partly in the snapshot and partly in what came since are shortened as one."""
    files = orderly(platform_files())
    dropped = drawn(files, seed)
    cut = {
        name: csv_text(head, [row for row in rows if row[column] < CUT])
        for name, column in TIME_COLUMN.items()
        for head, rows in (rows_of(files[name]),)
    }
    whole = build_from_text(tmp_path / "whole", PLATFORM_SPEC, files)
    early = build_from_text(tmp_path / "early", PLATFORM_SPEC, files | cut, max_quarantine=1.0)
    less = build_from_text(tmp_path / "less", PLATFORM_SPEC, never_told(files, dropped)).snapshot
    live = LiveGraph(early.snapshot)
    live.apply_all(journal(events_after(whole.spec, files, CUT)))
    assert_reads_like(without(live, edges_of(live, whole, dropped)), less)
    assert_reads_like(live, whole.snapshot)


def test_one_of_two_relations_goes_and_the_other_keeps_them_in_touch(timed_snapshot: Snapshot) -> None:
    """Two accounts gave to each other: without what the first one sent they touch from the second gift on."""
    live = LiveGraph(timed_snapshot)
    one, other = 5, 40
    names = [live.account_id(account) for account in (one, other)]
    assert live.account_node(other) not in live.touched(one, 1000)
    at_ms = int(np.asarray(timed_snapshot.event_time_ms).max())

    def gift(seq: int, sender: str, receiver: str) -> JournalRow:
        event = LiveEvent("gift", sender, at_ms + seq, interactions=(("gift", "account", receiver, 1.0),))
        return JournalRow(seq, at_ms + seq, event)

    live.apply_all([gift(1, *names), gift(2, *names[::-1]), gift(3, *names)])
    sides = {side.label: at for at, side in enumerate(live.opened.view.sides)}
    node = live.account_node(other)
    asked = Queries.for_accounts(timed_snapshot, np.array([one]))
    asked = replace(asked, horizon=np.array([live.horizon]))
    columns = registry_of(live).names

    def counts(graph: LiveGraph) -> list[float]:
        row = dict(zip(columns, np.expm1(compute(graph, asked)[0]), strict=True))
        return [round(float(row[name])) for name in ("gift>.events", "gift<.events", "direct.accounts")]

    sent, received, dealt = counts(live)
    assert counts(without(live, [Edge(one, node, sides["gift>"])])) == [sent - 2, received, dealt - 1]
    assert counts(without(live, [Edge(one, node, sides["gift<"])])) == [sent, received - 1, dealt - 1]
    both = without(live, [Edge(one, node)])
    assert counts(both) == [sent - 2, received - 1, dealt - 2]
    assert node in without(live, [Edge(one, node, sides["gift>"])]).touched(one, 1000)
    assert node not in both.touched(one, 1000)
    assert node in live.touched(one, 1000)


def test_edges_that_are_not_there_are_passed_over(timed_snapshot: Snapshot) -> None:
    asked = Queries.for_accounts(timed_snapshot)
    nobody = int(timed_snapshot.account_node[9])
    graph = without(timed_snapshot, [Edge(3, nobody), Edge(3, nobody, 0)])
    np.testing.assert_array_equal(compute(graph, asked), compute(timed_snapshot, asked))
