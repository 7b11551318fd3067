"""The queries on a small graph: each answers what a search through the snapshot, or plain sight, answers."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl
import pytest

from graph_etl.neo4j_store import connect, load, queries, query, run_query, session, write_back
from graph_etl.neo4j_store.naming import used_kind
from graph_etl.neo4j_store.tables import GraphTables
from tests.graph_etl.neo4j_store.crowds import scans_in
from tests.graph_etl.neo4j_store.written import results_of
from tests.neo4j_server import wipe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from neo4j import Driver

    from graph_etl import Snapshot
    from graph_etl.neo4j_store import Query, Results, Target
    from tests.building import Built

FARM = [f"farm{at:02}" for at in range(14)]
MILL = [f"mill{at:02}" for at in range(10)]
# Two households, torn apart: what they share bridges the two rings.
LEFT, RIGHT = ["h060", "h062"], ["h061", "h063"]
RINGS = {"farm": FARM, "mill": MILL, "left": LEFT, "right": RIGHT}
LINKS = [
    ("farm00", "farm01", 0.9, "shared device"),
    ("farm00", "farm02", 0.4, "dealt with each other"),
    ("h060", "h061", 0.7, "shared device"),
]
RARE = 50


class Graph(NamedTuple):
    """The small platform in a database, and its snapshot."""

    driver: Driver
    target: Target
    snapshot: Snapshot
    results: Results

    def ask(self, name: str, **given: str) -> list[dict[str, Any]]:
        columns, rows = run_query(self.driver, self.target, query(name), given)
        return [dict(zip(columns, row, strict=True)) for row in rows]


@pytest.fixture(scope="module")
def graph(neo4j_server: Target, timed_build: Built) -> Iterator[Graph]:
    wipe(neo4j_server)
    snapshot = timed_build.snapshot
    load(snapshot, timed_build.workspace, neo4j_server)
    write_back(neo4j_server, results_of(snapshot, "run1", {"farm": FARM[:8], "mill": MILL}, links=LINKS))
    results = results_of(snapshot, "run2", RINGS, links=LINKS)
    write_back(neo4j_server, results)
    with connect(neo4j_server) as driver:
        yield Graph(driver, neo4j_server, snapshot, results)


@pytest.fixture(scope="module")
def used(timed_snapshot: Snapshot) -> pl.DataFrame:
    """What each account used: account, kind, key, whether it is an identifier, a hub, and of how many."""
    tables = GraphTables(timed_snapshot)
    accounts = tables.nodes(0).select(start="node", account="key")
    parts = []
    for table in tables.relationship_tables:
        kind = used_kind(table.relation)
        if kind is None:
            continue
        ordinal = [one.name for one in timed_snapshot.kinds].index(kind)
        things = tables.nodes(ordinal).select(
            end="node", kind="kind", key="key", hub="hub", accounts="accounts"
        )
        for pairs in tables.relationships(table):
            parts.append(
                pairs.join(accounts, on="start")
                .join(things, on="end")
                .with_columns(identifier=pl.lit(timed_snapshot.kinds[ordinal].identifier))
                .select("account", "kind", "key", "identifier", "hub", "accounts", "first_ms")
            )
    return pl.concat(parts)


def rare_identifiers(used: pl.DataFrame) -> dict[str, set[str]]:
    rare = used.filter(pl.col("identifier"), ~pl.col("hub"), pl.col("accounts") <= RARE)
    found: dict[str, set[str]] = defaultdict(set)
    for account, kind, key in rare.select("account", "kind", "key").iter_rows():
        found[account].add(f"{kind} {key}")
    return found


def gifts(snapshot: Snapshot) -> dict[tuple[str, str], tuple[int, float]]:
    """How many gifts each account sent each other, and how much in all."""
    tables = GraphTables(snapshot)
    table = next(one for one in tables.relationship_tables if one.type == "GIFT")
    names = dict(tables.nodes(0).select("node", "key").iter_rows())
    return {
        (names[start], names[end]): (count, amount)
        for part in tables.relationships(table)
        for start, end, count, amount in part.select("start", "end", "count", "amount").iter_rows()
    }


def ids(nodes: list[Any]) -> list[str]:
    return [node["id"] for node in nodes]


def test_accounts_that_share_two_are_found_as_by_a_search_of_all(graph: Graph, used: pl.DataFrame) -> None:
    rare = rare_identifiers(used)
    for account in ("farm03", "mill01", "h060", "e3-0"):
        wanted = {
            other: len(rare[account] & things)
            for other, things in rare.items()
            if other != account and len(rare[account] & things) >= 2
        }
        assert wanted
        found = graph.ask("sharing-with", account=account)
        assert {row["account"]: row["shares"] for row in found} == wanted


def test_pairs_that_share_two_are_all_found(graph: Graph, used: pl.DataFrame) -> None:
    rare = rare_identifiers(used)
    wanted = {
        (one, two): len(rare[one] & rare[two])
        for one, two in combinations(sorted(rare), 2)
        if len(rare[one] & rare[two]) >= 2
    }
    found = graph.ask("pairs", limit="1000")
    assert len(wanted) > 50
    assert {(row["first"], row["second"]): row["shares"] for row in found} == wanted


@pytest.mark.parametrize("account", ["farm13", "mill09", "h000", "h061", "h130", "h200", "e4-1"])
def test_the_nearest_bad_account_is_as_near_as_a_search_finds_it(
    graph: Graph, used: pl.DataFrame, account: str
) -> None:
    on: dict[str, set[str]] = defaultdict(set)
    for one, things in rare_identifiers(used).items():
        for thing in things:
            on[thing].add(one)
    next_to: dict[str, set[str]] = defaultdict(set)
    for together in on.values():
        for one in together:
            next_to[one] |= together
    for one, two in gifts(graph.snapshot):
        next_to[one].add(two)
        next_to[two].add(one)
    names = graph.snapshot.account_ids.to_list()
    bad = {names[at] for at in np.flatnonzero(graph.snapshot.labels() == 1)} - {account}
    reached, steps = {account}, 0
    while not reached & bad and steps < 4:
        reached, steps = reached.union(*(next_to[one] for one in reached)), steps + 1
    found = graph.ask("nearest-bad", account=account)
    assert [row["steps"] for row in found] == ([steps] if steps <= 3 else [])
    if found:
        assert found[0]["bad_account"] in bad
        assert found[0]["way"][0]["id"] == account
        assert found[0]["way"][-1]["id"] == found[0]["bad_account"]


def test_a_ring_is_shown_with_what_holds_it_together(graph: Graph, used: pl.DataFrame) -> None:
    (row,) = graph.ask("ring", ring="farm")
    members = used.filter(pl.col("account").is_in(FARM), ~pl.col("hub"))
    sharing = members.group_by("key", "accounts").agg(pl.col("account").n_unique())
    wanted = sharing.filter(
        pl.col("account") >= 2, (pl.col("accounts") <= RARE) | (pl.col("accounts") <= 2 * pl.col("account"))
    )
    assert sorted(ids(row["members"])) == FARM
    assert {thing.get("hash") or thing["key"] for thing in row["shared"]} == set(wanted["key"])
    assert {(one.start_node["id"], one.end_node["id"]) for one in row["dealings"]} == {
        pair for pair in gifts(graph.snapshot) if set(pair) <= set(FARM)
    }
    assert len(row["verdicts"]) == 6
    assert (row["members_not_shown"], row["shared_not_shown"]) == (0, 0)


def test_members_come_with_their_evidence(graph: Graph) -> None:
    rows = {row["account"]: row for row in graph.ask("ring-members", ring="farm")}
    assert sorted(rows) == FARM
    assert rows["farm00"]["dealt_with"] == 13
    assert rows["farm01"]["dealt_with"] == 1
    assert any(one.startswith("device") and one.endswith("with 6 others") for one in rows["farm01"]["shares"])


def test_an_account_is_told_why_it_is_in_its_ring(graph: Graph) -> None:
    rows = graph.ask("why-in-ring", account="farm01")
    said = {row["evidence"]: row for row in rows}
    assert {row["ring"] for row in rows} == {"farm"}
    assert said["shares device"]["members"] == 6
    assert said["gift to"]["first_members"] == ["farm00"]
    assert (said["linked to"]["what"], said["linked to"]["strength"]) == ("shared device", 0.9)


def test_new_members_are_those_who_came_last(graph: Graph) -> None:
    seen = dict(zip(graph.snapshot.account_ids.to_list(), graph.snapshot.first_seen_ms.tolist(), strict=True))
    until = max(seen[one] for one in MILL)
    when = datetime.fromtimestamp(until / 1000, UTC).isoformat()
    found = graph.ask("new-members", until=when, hours="1")
    inside = {one for ring in RINGS.values() for one in ring}
    assert {row["new_account"] for row in found} == {
        one for one in inside if until - 3_600_000 < seen[one] <= until
    }
    assert set(MILL) & {row["new_account"] for row in found}


def test_money_inside_a_ring_adds_up(graph: Graph) -> None:
    found = graph.ask("ring-flow", ring="farm")
    wanted = {pair: given for pair, given in gifts(graph.snapshot).items() if set(pair) <= set(FARM)}
    assert {
        (row["sender"]["id"], row["receiver"]["id"]): (row["times"], row["amount"]) for row in found
    } == wanted


def test_what_two_rings_share_bridges_them(graph: Graph, used: pl.DataFrame) -> None:
    found = graph.ask("bridging-identifiers", ring="left")
    mine, theirs = (
        set(used.filter(pl.col("account").is_in(ring), ~pl.col("hub"), pl.col("accounts") <= RARE)["key"])
        for ring in (LEFT, RIGHT)
    )
    assert mine & theirs
    assert {row["identifier"] for row in found if row["other_ring"] == "right"} == mine & theirs
    (bridge,) = [
        row for row in graph.ask("bridged-rings") if {row["ring"], row["other_ring"]} == {"left", "right"}
    ]
    assert (bridge["links"], sorted(bridge["first_accounts"])[:2]) == (1, ["h060", "h061"])


def test_a_ring_is_followed_back_and_on(graph: Graph) -> None:
    now = graph.ask("ring-history", ring="farm")
    assert [(row["runs_later"], row["superseded"], row["accounts"]) for row in now] == [
        (-1, True, 8),
        (0, False, 14),
    ]
    on = graph.ask("ring-history", ring=now[0]["ring"])
    assert [row["ring"] for row in on] == [now[0]["ring"], "farm"]
    assert [row["ring"] for row in graph.ask("rings")] == list(RINGS)


def test_a_burst_is_found_where_a_farm_was(graph: Graph) -> None:
    start = graph.ask("compare", account="farm00", other="farm01")[0]["first"]
    until = (datetime.fromisoformat(start) + timedelta(days=1)).isoformat()
    first = graph.ask("bursts", until=until, days="2", minutes="5")[0]
    assert first["kind"] == "ip"
    assert first["accounts"] == 14
    assert set(first["first_accounts"]) <= set(FARM)


def test_who_came_back_after_a_ban_is_found(graph: Graph, used: pl.DataFrame) -> None:
    verdicts = graph.snapshot.verdicts.filter(pl.col("label") == 1)
    names = graph.snapshot.account_ids.to_list()
    seen = dict(zip(names, graph.snapshot.first_seen_ms.tolist(), strict=True))
    rare = rare_identifiers(used)
    wanted = {
        (one, names[bad])
        for bad, known_ms in verdicts.select("account", "known_ms").iter_rows()
        for one, things in rare.items()
        if known_ms <= max(seen.values()) and seen[one] > known_ms and things & rare[names[bad]]
    }
    found = graph.ask("ban-evasion", days="90", limit="1000")
    assert ("e0-1", "e0-0") in wanted
    assert {(row["new_account"], row["bad_account"]) for row in found} == wanted


def test_who_used_an_identifier_is_told_with_the_identifier(graph: Graph, used: pl.DataFrame) -> None:
    device = used.filter(pl.col("account") == "farm01", pl.col("kind") == "device").row(0, named=True)
    found = graph.ask("who-used", key=device["key"])
    assert {row["account"] for row in found} == set(used.filter(pl.col("key") == device["key"])["account"])
    assert {(row["kind"], row["accounts_in_all"], row["hub"]) for row in found} == {("device", 7, False)}


def test_hubs_are_listed_with_their_reasons(graph: Graph) -> None:
    reasons = graph.snapshot.hubs["reason"].to_list()
    assert reasons
    assert sorted(row["reason"] for row in graph.ask("hubs", limit="1000")) == sorted(reasons)


def test_verdicts_are_told_in_order(graph: Graph) -> None:
    (row,) = graph.ask("verdict-history", account="farm00")
    assert (row["label"], row["reason"], row["verdict_now"]) == ("bad", "device farm", "bad")
    assert graph.ask("verdict-history", account="nobody") == []


def test_the_highest_scores_without_a_verdict_come_first(graph: Graph) -> None:
    names = graph.snapshot.account_ids.to_list()
    open_ = {names[at] for at in np.flatnonzero(graph.snapshot.labels() == -1)}
    scores = graph.results.accounts.filter(pl.col("account").is_in(open_))
    wanted = scores.sort(["score", "account"], descending=[True, False]).head(20)
    assert [row["account"] for row in graph.ask("unjudged", limit="20")] == wanted["account"].to_list()


def test_an_account_is_shown_among_what_it_touches(graph: Graph, used: pl.DataFrame) -> None:
    (row,) = graph.ask("neighbourhood", account="farm01")
    wanted = set(used.filter(pl.col("account") == "farm01")["key"])
    assert {thing.get("hash") or thing["key"] for thing in row["things"]} == wanted
    assert set(ids(row["others"])) >= {"farm03", "farm05", "farm07", "farm09", "farm11", "farm13"}
    assert ids(row["partners"]) == ["farm00"]
    assert row["ring"]["id"] == "farm"
    assert row["others_not_shown"] == 0


def test_links_come_by_strength_and_two_accounts_side_by_side(graph: Graph) -> None:
    found = graph.ask("links", account="farm00")
    assert [(row["account"], row["because"]) for row in found] == [
        ("farm01", "shared device"),
        ("farm02", "dealt with each other"),
    ]
    rows = {row["what"]: row for row in graph.ask("compare", account="farm01", other="farm00")}
    assert (rows["ring"]["first"], rows["ring"]["second"]) == ("farm", "farm")
    assert (rows["sent: gift"]["first"], rows["sent: gift"]["second"]) == ("1", None)
    assert "linked: shared device" in rows
    assert any(what.startswith("both: ip") for what in rows)


def test_the_overview_counts_right(graph: Graph) -> None:
    figures = {row["what"]: row["value"] for row in graph.ask("overview")}
    assert figures["snapshot"] == graph.snapshot.id
    assert figures["run of rings"] == "run2"
    assert figures["accounts"] == "300"
    assert figures["rings"] == "4"
    assert figures["known bad accounts"] == str((graph.snapshot.labels() == 1).sum())
    assert figures["hubs"] == str(graph.snapshot.hubs.height)


@pytest.mark.parametrize("one", queries(), ids=lambda one: one.name)
def test_a_query_begins_at_an_index(graph: Graph, one: Query) -> None:
    given = {parameter.name: "x" for parameter in one.parameters if parameter.required}
    with session(graph.driver, graph.target) as opened:
        plan = opened.run(f"EXPLAIN {one.text}", one.values(given)).consume().plan
    assert scans_in(plan) == []


def test_a_query_cannot_write(graph: Graph) -> None:
    from neo4j.exceptions import Neo4jError

    writing = replace(query("hubs"), text="CREATE (n:Account {id: 'made up'}) RETURN n LIMIT $limit")
    with pytest.raises(Neo4jError, match="read access mode"):
        run_query(graph.driver, graph.target, writing, {})
