"""Whatever somebody changes in the database by hand is found and named; nothing else is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from graph_etl.neo4j_store import GraphStoreError, Target, VerifyReport, connect, load, session, verify
from tests.graph_etl.neo4j_store.awkward import build_awkward
from tests.neo4j_server import wipe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.building import Built


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, hash_key: str) -> Built:
    """A small graph with every sort of relationship."""
    assert hash_key
    return build_awkward(tmp_path_factory.mktemp("awkward"))


@pytest.fixture(scope="module")
def loaded(built: Built, neo4j_server: Target) -> Iterator[Target]:
    """A database that holds it; tests put back what they change."""
    wipe(neo4j_server)
    load(built.snapshot, built.workspace, neo4j_server)
    yield neo4j_server
    assert verify(built.snapshot, neo4j_server).clean, "a test did not put back what it changed"


def run(target: Target, query: str, **parameters: Any) -> list[list[Any]]:
    with connect(target) as driver, session(driver, target) as opened:
        return opened.run(query, parameters).values()


@pytest.fixture
def change(built: Built, loaded: Target) -> Iterator[Any]:
    """Changes the database, and puts it back afterwards: ``change(query, undo)``."""
    undone: list[str] = []

    def once(query: str, undo: str | None = None) -> VerifyReport:
        if undo is not None:
            undone.append(undo)
        run(loaded, query)
        return verify(built.snapshot, loaded)

    yield once
    for undo in reversed(undone):
        run(loaded, undo)
    run(loaded, "CALL db.awaitIndexes(60)")
    if not undone:
        load(built.snapshot, built.workspace, loaded, repair=True)


def test_what_was_loaded_is_found_to_be_there(built: Built, loaded: Target) -> None:
    steps = []
    report = verify(built.snapshot, loaded, progress=lambda step, done, total: steps.append((done, total)))
    assert report.clean
    assert report.notes == ()
    counts = {one.name: (one.in_snapshot, one.in_database, one.differing) for one in report.comparisons}
    assert counts["Account"] == (17, 17, 0)
    assert counts["Verdict"] == counts["HAS_VERDICT"] == (6, 6, 0)
    assert {"Device", "Shop", "Wallet", "USED", "GIFT", "CHAT"} < set(counts)
    hashes = {one.name: one.database_hash for one in report.comparisons}
    assert hashes == {one.name: one.snapshot_hash for one in report.comparisons}
    assert len(set(hashes.values())) == len(hashes)
    assert all(0 <= done <= total for done, total in steps)
    assert steps[-1][0] == steps[-1][1]


@dataclass(frozen=True)
class Hand:
    """A change by hand, and the words that must name it."""

    query: str
    undo: str
    words: tuple[str, ...]


MATCH_PLAIN = "MATCH (n:Account {id: 'plain'})"
MATCH_GIFT = "MATCH (:Account {id: 'plain'})-[r:GIFT]->(:Wallet {key: 'wallet plain'})"
MATCH_CHAT = "MATCH (:Account)-[r:CHAT]->(:Account) WITH r ORDER BY r.first_seen LIMIT 1"

PROPERTIES = {
    "account-attribute": Hand(
        f"{MATCH_PLAIN} SET n.attr_form_s = n.attr_form_s + 1e-9",
        f"{MATCH_PLAIN} SET n.attr_form_s = -1.0",
        ("Account plain", "attr_form_s", "should be -1.0"),
    ),
    "time-by-a-millisecond": Hand(
        f"{MATCH_PLAIN} SET n.first_seen = n.first_seen + duration({{milliseconds: 1}})",
        f"{MATCH_PLAIN} SET n.first_seen = n.first_seen - duration({{milliseconds: 1}})",
        ("Account plain", "first_seen", ":20.001+00:00", "should be '2023-11-14T22:13:20.000+00:00'"),
    ),
    "time-as-a-number": Hand(
        f"{MATCH_PLAIN} SET n.old = n.last_seen, n.last_seen = n.last_seen.epochMillis",
        f"{MATCH_PLAIN} SET n.last_seen = n.old REMOVE n.old",
        ("Account plain", "last_seen"),
    ),
    "property-removed": Hand(
        f"{MATCH_PLAIN} REMOVE n.attr_keen",
        f"{MATCH_PLAIN} SET n.attr_keen = true",
        ("Account plain", "attr_keen is absent", "should be True"),
    ),
    "property-added": Hand(
        f"{MATCH_PLAIN} SET n.hub_reason = 'because'",
        f"{MATCH_PLAIN} REMOVE n.hub_reason",
        ("Account plain", "hub_reason is 'because'", "should be absent"),
    ),
    "number-as-text": Hand(
        "MATCH (n:Shop {hash: 'null'}) SET n.old = n.accounts, n.accounts = '1'",
        "MATCH (n:Shop {hash: 'null'}) SET n.accounts = n.old REMOVE n.old",
        ("Shop null", "accounts is '1'", "should be 1"),
    ),
    "readable-value": Hand(
        "MATCH (n:Shop {hash: 'null'}) SET n.value = 'nil'",
        "MATCH (n:Shop {hash: 'null'}) SET n.value = 'null'",
        ("Shop null", "value is 'nil'", "should be 'null'"),
    ),
    "second-label": Hand(
        "MATCH (n:Wallet {key: 'wallet plain'}) REMOVE n:Entity",
        "MATCH (n:Wallet {key: 'wallet plain'}) SET n:Entity",
        ("Wallet wallet plain", "label Entity is absent"),
    ),
    "verdict": Hand(
        "MATCH (:Account {id: 'plain'})-->(n:Verdict) SET n.reason = 'other'",
        "MATCH (:Account {id: 'plain'})-->(n:Verdict) SET n.reason = '=1+1'",
        ("Verdict", "reason is 'other'", "should be '=1+1'"),
    ),
    "relationship-count": Hand(
        f"{MATCH_GIFT} SET r.count = r.count + 1",
        f"{MATCH_GIFT} SET r.count = r.count - 1",
        ("(Account plain)-[GIFT]->(Wallet wallet plain)", "count is"),
    ),
    "relationship-amount": Hand(
        f"{MATCH_GIFT} SET r.old = r.amount, r.amount = r.amount * (1 + 2e-15)",
        f"{MATCH_GIFT} SET r.amount = r.old REMOVE r.old",
        ("(Account plain)-[GIFT]->(Wallet wallet plain)", "amount is"),
    ),
    "relationship-property-removed": Hand(
        f"{MATCH_GIFT} SET r.old = r.first_seen REMOVE r.first_seen",
        f"{MATCH_GIFT} SET r.first_seen = r.old REMOVE r.old",
        ("(Account plain)-[GIFT]->(Wallet wallet plain)", "first_seen is absent"),
    ),
    "amount-where-none-belongs": Hand(
        f"{MATCH_CHAT} SET r.amount = 0.0",
        "MATCH ()-[r:CHAT]->() REMOVE r.amount",
        ("-[CHAT]->", "amount is 0.0", "should be absent"),
    ),
}


@pytest.mark.parametrize("hand", PROPERTIES.values(), ids=PROPERTIES)
def test_a_changed_property_or_label_is_named_with_both_values(change: Any, hand: Hand) -> None:
    report = change(hand.query, hand.undo)
    assert report.differing == 1
    (difference,) = report.differences
    assert difference.what == "changed"
    assert [word for word in hand.words if word not in str(difference)] == []
    (changed,) = [one for one in report.comparisons if one.snapshot_hash != one.database_hash] or [None]
    # Labels are no content of a row.
    assert (changed is None) == (difference.property == "label Entity")
    assert changed is None or changed.name == difference.where


RELATIONSHIPS = {
    "removed": Hand(
        f"{MATCH_GIFT} DELETE r",
        "",
        ("(Account plain)-[GIFT]->(Wallet wallet plain)", "is not in the database"),
    ),
    "doubled": Hand(
        "MATCH (a:Account {id: 'plain'})-[r:USED]->(d:Device) WITH * LIMIT 1"
        " CREATE (a)-[c:USED]->(d) SET c = r, c.copy = true",
        "MATCH ()-[r:USED {copy: true}]->() DELETE r",
        ("(Account plain)-[USED]->(Device ", "more than once"),
    ),
    "added": Hand(
        "MATCH (a:Account {id: 'plain'}), (b:Account {id: 'null'}) CREATE (a)-[:GIFT {copy: true}]->(b)",
        "MATCH ()-[r:GIFT {copy: true}]->() DELETE r",
        ("(Account plain)-[GIFT]->(Account null)", "not in the snapshot"),
    ),
    "added-to-a-node-of-the-wrong-kind": Hand(
        "MATCH (a:Account {id: 'plain'}), (v:Verdict) WITH * LIMIT 1 CREATE (a)-[:GIFT {copy: true}]->(v)",
        "MATCH ()-[r:GIFT {copy: true}]->() DELETE r",
        ("(Account plain)-[GIFT]->(Verdict ", "not in the snapshot"),
    ),
    "added-to-somebody-elses-node": Hand(
        "MATCH (a:Account {id: 'plain'}) CREATE (a)-[:USED]->(:Person {key: 'Ann'})",
        "MATCH (n:Person) DETACH DELETE n",
        ("(Account plain)-[USED]->(Person Ann)", "not in the snapshot"),
    ),
    "added-from-somebody-elses-node": Hand(
        "MATCH (a:Account {id: 'plain'}) CREATE (a)<-[:CHAT]-(:Person {key: 'Ann'})",
        "MATCH (n:Person) DETACH DELETE n",
        ("(Person Ann)-[CHAT]->(Account plain)", "not in the snapshot"),
    ),
    "verdict-withdrawn": Hand(
        "MATCH (:Account {id: 'plain'})-[r:HAS_VERDICT]->() DELETE r",
        "",
        ("(Account plain)-[HAS_VERDICT]->(Verdict ", "is not in the database"),
    ),
}


@pytest.mark.parametrize("hand", RELATIONSHIPS.values(), ids=RELATIONSHIPS)
def test_a_relationship_too_many_or_too_few_is_named(change: Any, hand: Hand) -> None:
    report = change(hand.query, hand.undo or None)
    (difference,) = report.differences
    assert [word for word in hand.words if word not in str(difference)] == []
    (changed,) = [one for one in report.comparisons if one.differing]
    assert (changed.name, changed.differing) == (difference.where, 1)
    assert abs(changed.in_database - changed.in_snapshot) == 1
    if "Person Ann" not in str(difference):
        assert (changed.other_in_degree, changed.other_out_degree) == (1, 1)


def test_a_relationship_turned_round_is_one_missing_and_one_too_many(change: Any) -> None:
    report = change(
        "MATCH (a)-[r:GIFT]->(b:Wallet {key: 'wallet plain'}) CREATE (b)-[c:GIFT]->(a) SET c = r DELETE r"
    )
    assert sorted(one.what for one in report.differences) == ["extra", "missing"]
    (gifts,) = [one for one in report.comparisons if one.differing]
    assert (gifts.other_in_degree, gifts.other_out_degree) == (2, 2)


def test_a_removed_node_is_named_with_what_was_attached_to_it(change: Any) -> None:
    report = change("MATCH (n:Wallet {key: 'wallet \"\"'}) DETACH DELETE n")
    assert {one.what for one in report.differences} == {"missing"}
    said = [str(one) for one in report.differences]
    assert said[0] == 'Wallet wallet "" is not in the database'
    assert len(said) > 1
    assert all('(Wallet wallet "")' in one for one in said[1:])


def test_a_node_without_its_label_is_told_from_one_that_is_gone(change: Any) -> None:
    report = change(
        "MATCH (n:Wallet {key: 'wallet two\\nlines'}) REMOVE n:Wallet SET n.copy = true",
        "MATCH (n {copy: true}) SET n:Wallet REMOVE n.copy",
    )
    assert str(report.differences[0]) == "Wallet wallet two\nlines: label is 'Entity', should be 'Wallet'"
    assert [one.missing for one in report.comparisons if one.name == "Wallet"] == [1]
    assert report.notes == ("1 node labelled Entity is not Ringwatch's, and is left alone",)


def test_an_added_node_and_an_account_of_a_verdict_that_is_gone_are_named(change: Any) -> None:
    report = change(
        "MATCH (:Account {id: 'plain'})-->(v:Verdict) DETACH DELETE v CREATE (:Device:Identifier {hash: 'x'})"
    )
    said = [str(one) for one in report.differences]
    assert said[0] == "Device x is in the database, not in the snapshot"
    assert [one.split()[0] for one in said[1:]] == ["Verdict", "(Account"]
    assert all(one.endswith("is not in the database") for one in said[1:])


def test_a_doubled_node_is_named_once_its_constraint_is_gone(change: Any) -> None:
    report = change(
        "DROP CONSTRAINT ringwatch_wallet_key",
        "CREATE CONSTRAINT ringwatch_wallet_key FOR (n:Wallet) REQUIRE n.key IS UNIQUE",
    )
    assert [(one.sort, one.where) for one in report.differences] == [("schema", ":Wallet(key)")]
    again = change(
        "MATCH (n:Wallet {key: 'wallet plain'}) CREATE (m:Wallet:Entity {copy: true}) SET m += properties(n)",
        "MATCH (n:Wallet {copy: true}) DELETE n",
    )
    said = [str(one) for one in again.differences[1:]]
    assert said[0] == "Wallet wallet plain is in the database more than once"
    # Either of the two may be taken for the one; what leads to the other is then not where it should be.
    assert all(" wallet plain)" in one for one in said[1:])


def test_an_index_that_is_not_there_is_named(change: Any) -> None:
    report = change(
        "DROP INDEX ringwatch_ring_rank", "CREATE INDEX ringwatch_ring_rank FOR (n:Ring) ON (n.rank)"
    )
    assert "index ringwatch_ring_rank" in str(report.differences[0])
    assert report.differing == 0


def test_what_others_write_is_no_difference_but_said(built: Built, change: Any) -> None:
    report = change(
        "MATCH (a:Account {id: 'plain'}) SET a:Watched, a.score = 0.9, a.note = 'seen'"
        " CREATE (a)-[:MEMBER_OF]->(:Ring {id: 'r1'}) CREATE (a)-[:`LIVES IN`]->(:City {name: 'Ulm'})",
        "MATCH (a:Watched) REMOVE a:Watched, a.score, a.note WITH a MATCH (a)-[:MEMBER_OF|`LIVES IN`]->(n)"
        " DETACH DELETE n",
    )
    assert report.clean
    assert report.notes == (
        "1 node labelled City is not Ringwatch's, and is left alone",
        "1 relationship LIVES IN is not Ringwatch's, and is left alone",
    )


def test_examples_are_few_and_counts_are_whole(change: Any) -> None:
    report = change("MATCH ()-[r:GIFT]->() DELETE r")
    (gifts,) = [one for one in report.comparisons if one.differing]
    assert gifts.in_database == 0
    assert gifts.missing == gifts.in_snapshot == report.differing > 10
    assert len(report.differences) == 10


STATES = {
    "another-snapshot": ("SET s.snapshot = 's0'", "holds snapshot s0, not "),
    "in-the-middle-of-a-load": ("SET s.loading = 's1'", "the load of snapshot s1 has not ended"),
}


@pytest.mark.parametrize(("setting", "words"), STATES.values(), ids=STATES)
def test_a_database_that_does_not_hold_the_snapshot_is_not_compared(
    built: Built, change: Any, setting: str, words: str
) -> None:
    match = "MATCH (s:RingwatchState)"
    report = change(f"{match} {setting}", f"{match} SET s.snapshot = '{built.snapshot.id}' REMOVE s.loading")
    assert words in str(report.differences[0])
    assert "ringwatch neo4j load" in str(report.differences[0])
    assert report.comparisons == []


def test_what_follows_the_journal_is_left_out_and_said(change: Any) -> None:
    report = change(
        "MATCH (s:RingwatchState) SET s.journal_seq = 12"
        " WITH s MATCH (a:Account {id: 'plain'})-[r:GIFT]->(:Wallet {key: 'wallet plain'})"
        " SET r.old = r.count, r.count = 99, r.live_seq = 12"
        " CREATE (a)-[:USED {count: 1, live_seq: 11}]->(:Device:Identifier {hash: 'x', live_seq: 11})",
        "MATCH (s:RingwatchState) SET s.journal_seq = 0 WITH s MATCH ()-[r:GIFT {live_seq: 12}]->()"
        " SET r.count = r.old REMOVE r.live_seq, r.old WITH r MATCH (d:Device {hash: 'x'}) DETACH DELETE d",
    )
    assert report.clean
    assert "up to row 12" in report.notes[0]
    assert "1 nodes and 2 relationships" in report.notes[0]
    hashes = [(one.snapshot_hash, one.database_hash) for one in report.comparisons]
    assert all(mine == theirs for mine, theirs in hashes)


def test_an_empty_database_is_refused_with_what_to_do(built: Built, loaded: Target) -> None:
    wipe(loaded)
    with pytest.raises(GraphStoreError, match="is empty; fill it with `ringwatch neo4j load`"):
        verify(built.snapshot, loaded)
    load(built.snapshot, built.workspace, loaded)
