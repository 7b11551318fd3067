"""A load writes what differs, once, and nothing else."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest

from graph_etl import Workspace, build
from graph_etl.neo4j_store import GraphStoreError, LoadCounts, Target, connect, load, session, writing
from tests.building import PLATFORM_SPEC, Built, build_from_text, platform_files, write_data
from tests.graph_etl.neo4j_store.held import ask, held

# The package gives the function the module's name.
load_parts = importlib.import_module("graph_etl.neo4j_store.load")

SPEC = """
ringwatch: 1
name: days
sources:
  people: {path: "people*.csv"}
  gifts: {path: "gifts*.csv"}
  chats: {path: "chats*.csv"}
  bans: {path: "bans*.csv"}
kinds:
  device: {identifier: true}
  shop: {identifier: true, public: true, normalise: exact}
  wallet: {identifier: false, public: true}
accounts:
  - {source: people, id: id, time: at, identifiers: {device: device, shop: shop},
     attributes: {country: category}}
events:
  - source: gifts
    type: {columns: [kind]}
    from: {account: giver, otherwise: wallet}
    to: {account: taker, otherwise: wallet}
    time: at
    amount: coins
  - {source: chats, type: chat, from: {account: a}, to: {account: b}, directed: false}
verdicts:
  - {source: bans, account: id, label: word, bad: [ban], good: [fine], known_at: at}
"""
DAY_1 = {
    "people_1.csv": "id,at,device,shop,country\nbob,10,d1,s1,FR\nann,11,d1,s1,DE\numa,12,d9,s2,DE\n",
    "gifts_1.csv": "giver,taker,at,coins,kind\nbob,ann,20,5,coin\ncyd,ann,21,1,coin\nbob,zoe,22,1,gem\n",
    "chats_1.csv": "a,b\nann,bob\nbob,ann\numa,ann\n",
    "bans_1.csv": "id,word,at\nbob,ban,30\n",
}
# Cyd, a wallet on day 1, turns out to be an account; Abe sorts first; Uma is not heard of again.
DAY_2 = {
    "people_2.csv": "id,at,device,shop,country\nabe,15,d0,s1,AT\ncyd,40,d2,s1,DE\n",
    "gifts_2.csv": "giver,taker,at,coins,kind\nbob,ann,50,2.5,coin\nabe,cyd,41,2,air\n",
    "chats_2.csv": "a,b\nabe,bob\n",
    "bans_2.csv": "id,word,at\nann,fine,42\n",
}


DAMAGES = (
    "MATCH (a:Account {id: 'bob'}) DETACH DELETE a",
    "MATCH (a:Account {id: 'bob'}) SET a.hub = 'perhaps', a.attr_country = null",
    "MATCH (d:Device) REMOVE d:Identifier SET d.accounts = 7",
    "MATCH ()-[r:COIN]->() SET r.first_seen = 'yesterday', r.amount = 3",
    "MATCH ()-[r:USED]->(:Device) DELETE r",
    "MATCH (a)-[r:COIN]->(b) CREATE (a)-[:COIN]->(b), (b)-[:COIN {count: 9}]->(a)",
    "CREATE (:Account {id: 'nobody'})-[:USED {count: 1}]->(:Device {hash: 'h', kind: 'device'})",
    "MATCH (v:Verdict) SET v.label = 'good' CREATE (:Verdict {id: 'other'})",
    "MATCH ()-[h:HAS_VERDICT]->() DELETE h",
    "MATCH (n) WHERE n:Account OR n:Device DETACH DELETE n",
)


def _days(folder: Path, files: dict[str, str], workspace: Workspace | None = None) -> Built:
    spec = write_data(folder / "data", SPEC, files)
    place = workspace or Workspace(folder / "workspace")
    return Built(spec, place, build(spec, place, append=False))


@pytest.fixture
def day_1(tmp_path: Path) -> Built:
    return _days(tmp_path / "day1", DAY_1)


@pytest.fixture
def day_2(tmp_path: Path, day_1: Built) -> Built:
    """The second day appended to the first, in the same workspace."""
    spec = write_data(tmp_path / "day2" / "data", SPEC, DAY_2)
    report = build(day_1.spec, day_1.workspace, data_dir=spec.folder, append=True)
    return Built(day_1.spec, day_1.workspace, report)


@pytest.fixture
def database(neo4j_server: Target) -> Target:
    """A database without nodes; constraints and indexes of an earlier test stay, for they take time."""
    ask(neo4j_server, "MATCH (n) CALL (n) { DETACH DELETE n } IN TRANSACTIONS OF 5000 ROWS")
    return neo4j_server


def _load(
    built: Built, target: Target, *, dry_run: bool = False
) -> tuple[LoadCounts, LoadCounts, LoadCounts]:
    report = load(built.snapshot, built.workspace, target, dry_run=dry_run)
    return report.nodes, report.relationships, report.verdicts


def test_a_first_load_writes_nodes_relationships_and_verdicts(day_1: Built, database: Target) -> None:
    nodes, relationships, verdicts = _load(day_1, database)
    assert (nodes, relationships, verdicts) == (LoadCounts(9), LoadCounts(11), LoadCounts(1))
    assert ask(
        database,
        "MATCH (a:Account {id: 'bob'})-[u:USED]->(d:Device:Identifier)<-[:USED]-(b {id: 'ann'})"
        " RETURN a.first_seen.epochMillis, a.verdict, a.attr_country, a.hub, u.count, d.kind, d.accounts,"
        " d.value",
    ) == [[10_000, "bad", "FR", False, 1, "device", 2, None]]
    assert ask(database, "MATCH (s:Shop {hash: 's1'}) RETURN s.value, s.accounts") == [["s1", 2]]
    assert ask(
        database,
        "MATCH (a)-[r:COIN]->(b) RETURN coalesce(a.id, a.key), b.id, r.amount, r.count,"
        " r.first_seen.epochMillis ORDER BY r.amount",
    ) == [["cyd", "ann", 1.0, 1, 21_000], ["bob", "ann", 5.0, 1, 20_000]]
    assert ask(database, "MATCH (a)-[r:CHAT]-(b) WITH DISTINCT r RETURN properties(r) ORDER BY r.count") == [
        [{"count": 1}],
        [{"count": 2}],
    ]
    assert ask(
        database,
        "MATCH (a)-[:HAS_VERDICT]->(v:Verdict) RETURN a.id, v.label, v.known_at.epochMillis",
    ) == [["bob", "bad", 30_000]]


def test_loading_again_changes_nothing_and_says_so(day_1: Built, database: Target) -> None:
    _load(day_1, database)
    before = held(database)
    report = load(day_1.snapshot, day_1.workspace, database)
    assert report.changed == 0
    assert (report.nodes.untouched, report.relationships.untouched, report.verdicts.untouched) == (9, 11, 1)
    assert held(database) == before


def test_an_increment_gives_what_a_first_load_gives(day_1: Built, day_2: Built, database: Target) -> None:
    load(day_1.workspace.open_snapshot(day_1.report.snapshot_id), day_1.workspace, database)
    report = load(day_2.snapshot, day_2.workspace, database)
    assert report.base == day_1.report.snapshot_id
    grown = held(database)
    ask(database, "MATCH (n) DETACH DELETE n")
    fresh = load(day_2.snapshot, day_2.workspace, database)
    assert fresh.base == "nothing"
    for mine, theirs in zip(grown, held(database), strict=True):
        assert set(mine) ^ set(theirs) == set()
    for counts, all_of_them in (
        (report.nodes, fresh.nodes),
        (report.relationships, fresh.relationships),
        (report.verdicts, fresh.verdicts),
    ):
        assert counts.created + counts.updated + counts.untouched == all_of_them.created
        assert counts.changed > 0


@pytest.mark.parametrize("detached", [writing.DETACHED_A_BATCH, 1])
def test_going_back_to_an_earlier_snapshot_takes_away_what_came_later(
    day_1: Built, day_2: Built, database: Target, detached: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "DETACHED_A_BATCH", detached)
    first = day_1.workspace.open_snapshot(day_1.report.snapshot_id)
    load(first, day_1.workspace, database)
    before = held(database)
    load(day_2.snapshot, day_2.workspace, database)
    assert held(database) != before
    report = load(first, day_1.workspace, database)
    assert report.nodes.deleted > 0
    assert report.relationships.deleted > 0
    assert report.verdicts.deleted == 1
    assert held(database) == before


def test_an_increment_of_a_few_events_touches_only_what_changed(tmp_path: Path, database: Target) -> None:
    files = platform_files()
    built = build_from_text(tmp_path / "first", PLATFORM_SPEC, files)
    load(built.snapshot, built.workspace, database)
    for pattern, name in (("(n)", "n"), ("()-[r]->()", "r")):
        ask(database, f"MATCH {pattern} SET {name}.marker = 1")
    # Three log-ins of one account, from a device that is known and one that is new; one gift.
    more = {
        "logins.csv": "event_id,account,at,device,ip\n"
        "x1,h001,2025-05-02T10:00:00+00:00,device-h001,198.51.100.7\n"
        "x2,h001,2025-05-02T11:00:00+00:00,device-h001,198.51.100.7\n"
        "x3,h001,2025-05-02T12:00:00+00:00,device-new,198.51.100.7\n",
        "gifts.csv": "event_id,sender,receiver,at,coins\nx4,h001,h002,2025-05-02T13:00:00+00:00,3\n",
    }
    header = {name: text.partition("\n")[0] + "\n" for name, text in files.items()}
    data = write_data(tmp_path / "more", PLATFORM_SPEC, header | more)
    appended = build(built.spec, built.workspace, data_dir=data.folder, append=True)
    after = built.workspace.open_snapshot(appended.snapshot_id)
    report = load(after, built.workspace, database)
    # Created: the device, its USED, the gift. Updated: both accounts; USED of the device, the address and
    # its subnet. An address that nobody new used stays as it is.
    assert (report.nodes.created, report.nodes.updated, report.nodes.deleted) == (1, 2, 0)
    created = report.relationships.created
    assert (created, report.relationships.updated, report.relationships.deleted) == (2, 3, 0)
    assert report.relationships.untouched > 1_000
    assert ask(database, "MATCH ()-[r]->() WHERE r.marker IS NULL RETURN count(*)") == [[created]]
    touched = ask(
        database, "MATCH (n) WHERE n.marker IS NULL AND n.kind IS NOT NULL RETURN n.kind, n.accounts"
    )
    assert touched == [["device", 1]]


def test_what_others_write_stays(day_1: Built, day_2: Built, database: Target) -> None:
    load(day_1.workspace.open_snapshot(day_1.report.snapshot_id), day_1.workspace, database)
    ask(
        database,
        "MATCH (a:Account {id: 'ann'}) SET a.score = 0.5"
        " CREATE (a)-[:MEMBER_OF {role: 'core'}]->(:Ring {id: 'r'})",
    )
    load(day_2.snapshot, day_2.workspace, database)
    load(day_2.snapshot, day_2.workspace, database, repair=True)
    assert ask(
        database,
        "MATCH (a:Account)-[m:MEMBER_OF]->(r:Ring) RETURN a.id, a.score, a.verdict, m.role, r.id",
    ) == [["ann", 0.5, "good", "core", "r"]]


def test_a_repair_puts_everything_right(day_1: Built, database: Target) -> None:
    load(day_1.snapshot, day_1.workspace, database)
    before = held(database)
    for damage in DAMAGES:
        ask(database, damage)
        assert held(database) != before, damage
        report = load(day_1.snapshot, day_1.workspace, database, repair=True)
        assert report.base == "database"
        assert report.changed > 0
        assert held(database) == before, damage
    assert load(day_1.snapshot, day_1.workspace, database, repair=True).changed == 0


def test_a_snapshot_that_is_gone_is_read_from_the_database(
    tmp_path: Path, day_1: Built, database: Target
) -> None:
    load(day_1.snapshot, day_1.workspace, database)
    whole = _days(tmp_path / "all", DAY_1 | DAY_2)
    report = load(whole.snapshot, whole.workspace, database)
    assert report.base == "database"
    grown = held(database)
    ask(database, "MATCH (n) DETACH DELETE n")
    load(whole.snapshot, whole.workspace, database)
    assert grown == held(database)


def test_what_was_followed_meanwhile_is_put_right(day_1: Built, day_2: Built, database: Target) -> None:
    load(day_2.snapshot, day_2.workspace, database)
    fresh = held(database)
    ask(database, "MATCH (n) DETACH DELETE n")
    load(day_1.workspace.open_snapshot(day_1.report.snapshot_id), day_1.workspace, database)
    ask(
        database,
        "MATCH (s:RingwatchState) SET s.journal_seq = 3 WITH s"
        " MATCH (b:Account {id: 'bob'})-[u:USED]->(d:Device) SET u.count = 2, u.live_seq = 2,"
        " d.accounts = 5, d.live_seq = 3"
        " CREATE (:Account {id: 'later', live_seq: 3})-[:USED {count: 1, live_seq: 3}]->(d)",
    )
    report = load(day_2.snapshot, day_2.workspace, database)
    assert report.base == "database"
    assert held(database) == fresh
    assert ask(database, "MATCH (s:RingwatchState) RETURN s.journal_seq") == [[0]]


def test_a_dry_run_counts_and_writes_nothing(day_1: Built, day_2: Built, neo4j_database: Target) -> None:
    first = day_1.workspace.open_snapshot(day_1.report.snapshot_id)
    assert (
        _load(Built(day_1.spec, day_1.workspace, day_1.report), neo4j_database, dry_run=True)[0].created > 0
    )
    assert ask(neo4j_database, "MATCH (n) RETURN count(*)") == [[0]]
    assert ask(neo4j_database, "SHOW CONSTRAINTS YIELD name RETURN count(*)") == [[0]]
    load(first, day_1.workspace, neo4j_database)
    before = held(neo4j_database)
    for repair in (False, True):
        dry = load(day_2.snapshot, day_2.workspace, neo4j_database, dry_run=True, repair=repair)
        assert dry.dry_run
        assert dry.changed > 0
    assert held(neo4j_database) == before
    wet = load(day_2.snapshot, day_2.workspace, neo4j_database)
    assert (wet.nodes, wet.relationships, wet.verdicts) == (dry.nodes, dry.relationships, dry.verdicts)


def test_a_database_that_somebody_changed_is_refused_and_stays_repairable(
    day_1: Built, day_2: Built, database: Target
) -> None:
    load(day_1.workspace.open_snapshot(day_1.report.snapshot_id), day_1.workspace, database)
    ask(database, "MATCH (a:Account {id: 'bob'}) DETACH DELETE a")
    with pytest.raises(GraphStoreError, match=re.escape("run `ringwatch neo4j load --repair`")):
        load(day_2.snapshot, day_2.workspace, database)
    load(day_2.snapshot, day_2.workspace, database, repair=True)
    repaired = held(database)
    ask(database, "MATCH (n) DETACH DELETE n")
    load(day_2.snapshot, day_2.workspace, database)
    assert held(database) == repaired


def _refused(target: Target, built: Built, message: str) -> None:
    with pytest.raises(GraphStoreError, match=message) as caught:
        load(built.snapshot, built.workspace, target)
    assert "\n" not in str(caught.value)


def test_a_wrong_password_is_one_clear_line(day_1: Built, database: Target) -> None:
    _refused(Target(database.uri, password="wrong"), day_1, "refuses user 'neo4j'.*NEO4J_PASSWORD")


def test_a_database_that_is_not_there_is_one_clear_line(day_1: Built, database: Target) -> None:
    other = Target(database.uri, password=database.password, database="nowhere")
    _refused(other, day_1, "has no database 'nowhere'")


def test_a_server_that_is_away_is_one_clear_line(day_1: Built) -> None:
    _refused(Target("bolt://127.0.0.1:9"), day_1, "cannot be reached")


def test_somebody_elses_database_is_left_alone(day_1: Built, neo4j_database: Target) -> None:
    ask(neo4j_database, "CREATE (:Movie {title: 'Heat'})")
    _refused(neo4j_database, day_1, "holds somebody else's data")
    assert ask(neo4j_database, "MATCH (n) RETURN labels(n)") == [[["Movie"]]]
    assert ask(neo4j_database, "SHOW CONSTRAINTS YIELD name RETURN count(*)") == [[0]]


def test_another_data_set_is_left_alone(day_1: Built, untimed_build: Built, database: Target) -> None:
    load(day_1.snapshot, day_1.workspace, database)
    before = held(database)
    _refused(database, untimed_build, "holds a graph of another data set")
    assert held(database) == before


def test_a_follower_that_goes_on_while_a_load_begins_is_taken_into_account(
    day_1: Built, day_2: Built, database: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between reading the state and saying that it loads, a load holds no follower back."""
    load(day_2.snapshot, day_2.workspace, database)
    fresh = held(database)
    ask(database, "MATCH (n) DETACH DELETE n")
    load(day_1.workspace.open_snapshot(day_1.report.snapshot_id), day_1.workspace, database)
    begins = load_parts._Loading._begin

    def after_a_row(loading: Any, base: str, state: dict[str, Any]) -> Any:
        if not state["journal_seq"]:
            ask(
                database,
                "MATCH (s:RingwatchState) SET s.journal_seq = 3 CREATE (:Account {id: 'abe', live_seq: 3})",
            )
        return begins(loading, base, state)

    monkeypatch.setattr(load_parts._Loading, "_begin", after_a_row)
    assert load(day_2.snapshot, day_2.workspace, database).base == "database"
    assert held(database) == fresh


def test_a_transaction_left_open_is_not_waited_for_for_ever(
    day_1: Built, database: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(day_1.snapshot, day_1.workspace, database)
    monkeypatch.setattr(load_parts, "_HELD_S", 1.0)
    with connect(database) as driver, session(driver, database) as opened, opened.begin_transaction() as work:
        work.run("MATCH (s:RingwatchState) SET s.name = s.name").consume()
        with pytest.raises(GraphStoreError, match="SHOW TRANSACTIONS"):
            load(day_1.snapshot, day_1.workspace, database, repair=True)
