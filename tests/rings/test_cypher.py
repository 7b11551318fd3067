"""The Cypher of rings, run in a real Neo4j: what comes back is what was said."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import rings
from benchmarks.ring_cypher import SCANS, differences, operators
from graph_etl import Snapshot
from graph_etl.neo4j_store import Target, connect, load, session
from rings.cypher import MOST_NODES, RingQuery, ring_queries, without_query
from tests.building import CAMPUS_IP, Built, build_from_text, csv_text

IN_WORDS = """
ringwatch: 1
name: odd_names
title: Accounts whose ids are no words.
sources: {used: {path: used.csv}, gifts: {path: gifts.csv}, bad: {path: bad.csv}}
kinds: {device: {identifier: true, public: true, normalise: exact}}
accounts: [{source: used, id: account, identifiers: {device: device}}]
events: [{source: gifts, type: gift, from: {account: sender}, to: {account: receiver}}]
verdicts: [{source: bad, account: account, label: verdict, bad: [bad]}]
"""
ODD = (
    "it's",
    "\\u0027 RETURN 1 //",
    "x\\u000aMATCH (n) DETACH DELETE n //",
    "\\",
    "$members",
    "{id: id}",
    "é`",
)


def queries_of(snapshot: Snapshot) -> Iterator[tuple[list[str], RingQuery, str | None]]:
    """Members, query and type of evidence of every query of every ring."""
    run = rings.find(snapshot)
    members = dict(run.members.group_by("ring").agg("account_id").iter_rows())
    for ring in run.table["ring"]:
        evidence = run.evidence(ring)
        types = {piece["id"]: piece["type"] for piece in evidence}
        for query in ring_queries(snapshot, ring, members[ring], evidence):
            yield members[ring], query, types.get(query.id)


@pytest.mark.parametrize(
    ("built", "told"),
    [
        (
            "timed_build",
            {
                "identifiers",
                "counterpart",
                "interactions",
                "burst",
                "known_bad",
                "strongest",
                "arrivals",
            },
        ),
        ("untimed_build", {"counterpart", "known_bad", "strongest"}),
    ],
)
def test_every_query_of_every_ring_gives_what_was_said(
    built: str, told: set[str], request: pytest.FixtureRequest, neo4j_database: Target
) -> None:
    made: Built = request.getfixturevalue(built)
    load(made.snapshot, made.workspace, neo4j_database)
    ran = Counter[str]()
    with connect(neo4j_database) as driver, session(driver, neo4j_database) as opened:
        for members, query, type_ in queries_of(made.snapshot):
            assert differences(opened, query, members) == []
            sort = type_ or query.id
            if not ran[sort]:
                assert not operators(opened, query) & set(SCANS)
                assert "Ring" not in query.text.partition("\n")[2]
            ran[sort] += 1
    assert told <= set(ran)
    assert ran["ring"] == ran["found"] >= 2


def test_what_is_too_much_to_draw_is_counted(timed_build: Built, neo4j_database: Target) -> None:
    snapshot = timed_build.snapshot
    everybody = snapshot.account_ids.to_list()
    load(snapshot, timed_build.workspace, neo4j_database)
    drawn = ring_queries(snapshot, "all", everybody, [])[0]
    with connect(neo4j_database) as driver, session(driver, neo4j_database) as opened:
        assert differences(opened, drawn, everybody) == []
        row = opened.run(drawn.text).single(strict=True)
    assert len(row["members"]) == 180
    assert row["more_members"] == len(everybody) - 180
    assert len(row["members"]) + len(row["shared"]) <= MOST_NODES
    hubs = set(snapshot.hubs["key"])
    assert hubs
    assert not hubs & {node.get("hash") or node.get("key") for node in row["shared"]}


def test_a_group_that_only_a_hub_joins_is_found_by_its_times(
    timed_build: Built, neo4j_database: Target
) -> None:
    snapshot = timed_build.snapshot
    campus = ["h000", "h002", "h004", "h006"]
    load(snapshot, timed_build.workspace, neo4j_database)
    queries = ring_queries(snapshot, "campus", campus, [])
    with connect(neo4j_database) as driver, session(driver, neo4j_database) as opened:
        for query in queries:
            assert differences(opened, query, campus) == []
        found = list(opened.run(queries[1].text))
    assert queries[1].title.startswith("Nothing shared leads to")
    seen = [record["first_seen"] for record in found]
    assert seen == sorted(seen)
    assert len(seen) == len(campus)
    assert CAMPUS_IP not in queries[1].text


def test_ids_that_look_like_cypher_stay_ids(tmp_path: Path, neo4j_database: Target) -> None:
    evil = [*ODD, "caught"]
    made = build_from_text(
        tmp_path,
        IN_WORDS,
        {
            "used.csv": csv_text("account,device", [(name, "dev'ice\\u0027") for name in evil[:-1]]),
            "gifts.csv": csv_text("sender,receiver", [(name, ODD[2]) for name in (*ODD[:2], *ODD[3:])]),
            "bad.csv": csv_text("account,verdict", [(ODD[2], "bad")]),
        },
    )
    node = {"kind": "account", "key": ODD[2], "shown": ODD[2]}
    device = {"kind": "device", "key": "dev'ice\\u0027", "shown": "dev'ice\\u0027"}
    others = len(ODD) - 1
    evidence: list[dict[str, Any]] = [
        {"id": "e1", "type": "identifiers", "kind": "device", "relation": "used:device"}
        | {"accounts": others, "n_entities": 1, "others": 1},
        {"id": "e2", "type": "counterpart", **node, "accounts": others, "users": others}
        | {"ways": [{"relation": "gift", "way": "sent", "accounts": others}]},
        {"id": "e3", "type": "nearest_bad", "steps": 2, "account_id": ODD[2]}
        | {"path": [{"kind": "account", "key": ODD[0], "shown": ODD[0]}, device, node]},
    ]
    ring = [name for name in ODD if name != ODD[2]]
    load(made.snapshot, made.workspace, neo4j_database)
    with connect(neo4j_database) as driver, session(driver, neo4j_database) as opened:
        before = opened.run("MATCH (n) RETURN count(n) AS nodes").single(strict=True)["nodes"]
        queries = ring_queries(made.snapshot, "odd", ring, evidence)
        assert [query.id for query in queries] == ["ring", "found", "e1", "e2", "e3"]
        for query in queries:
            assert differences(opened, query, ring) == []
            assert "\\" not in query.text.partition("\n")[0]
        assert opened.run("MATCH (n) RETURN count(n) AS nodes").single(strict=True)["nodes"] == before


def test_a_burst_that_ends_while_a_stranger_appears_has_no_query(timed_snapshot: Snapshot) -> None:
    seen_ms = timed_snapshot.first_seen_ms
    order = seen_ms.argsort()[10:14]
    ring = timed_snapshot.account_ids[order]
    piece: dict[str, Any] = {"id": "e1", "type": "burst", "accounts": 4, "platform_accounts": 4}
    piece |= {"from_ms": int(seen_ms[order[0]]), "to_ms": int(seen_ms[order[-1]])}
    assert [query.id for query in ring_queries(timed_snapshot, "r", ring, [piece])] == ["ring", "found", "e1"]
    # The claim leaves one of them out, as it does with those who share the last moment.
    piece["platform_accounts"] = 3
    assert [query.id for query in ring_queries(timed_snapshot, "r", ring, [piece])] == ["ring", "found"]


def test_what_has_no_query_says_why(timed_snapshot: Snapshot) -> None:
    run = rings.find(timed_snapshot)
    members = dict(run.members.group_by("ring").agg("account_id").iter_rows())
    reasons = Counter[str]()
    for ring in run.table["ring"]:
        evidence = run.evidence(ring)
        asked = {query.id for query in ring_queries(timed_snapshot, ring, members[ring], evidence)}
        for piece in evidence:
            if piece["id"] not in asked:
                reasons[without_query(piece)] += 1
                assert piece["type"] not in {"interactions", "known_bad"}
    assert len(reasons) >= 4
    assert "worked out from the links" in without_query({"type": "minimal"})
