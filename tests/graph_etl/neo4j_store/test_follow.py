"""The journal in Neo4j: each row once, as a build would have it, whatever stops or comes in between."""

from __future__ import annotations

import importlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from graph_etl import Content, LiveErasure, LiveEvent, LiveVerdict, build
from graph_etl.neo4j_store import GraphStoreError, Lag, Target, connect, follow, load, session
from ringwatch.local_neo4j import LocalNeo4j
from tests.building import Built, build_from_text
from tests.graph_etl.journals import LinesJournal, write_journal
from tests.graph_etl.neo4j_store.shown import differences, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

SPEC = """
ringwatch: 1
name: followed
sources: {people: people.csv, logins: logins.csv, gifts: gifts.csv, chats: chats.csv, views: views.csv,
          bans: bans.csv}
kinds:
  device: {public: true}
  ip: {normalise: ip, derive: [subnet]}
  page: {identifier: false, public: true}
unknown_accounts: add
accounts:
  - {source: people, id: id, time: at, event_id: event, identifiers: {device: device, ip: ip},
     attributes: {country: category, age: number, vip: flag}}
events:
  - {source: logins, type: login, from: {account: id}, time: at, event_id: event,
     identifiers: {device: device}}
  - {source: gifts, type: gift, from: {account: a}, to: {account: b}, time: at, amount: coins}
  - {source: chats, type: chat, from: {account: a}, to: {account: b}, time: at, directed: false}
  - {source: views, type: view, from: {account: a}, to: {page: b}, time: at, count: n}
verdicts:
  - {source: bans, account: id, label: word, bad: [ban], good: [ok], known_at: at}
"""
FILES = {
    "people.csv": "event,id,at,device,ip,country,age,vip\n"
    + "".join(f"s{at},p{at},{100 + at},d{at % 4},10.0.0.{at % 3},DE,{20 + at},yes\n" for at in range(12)),
    # q0 and q1 are only named by an event: no table of accounts lists them.
    "logins.csv": "event,id,at,device\nl1,p1,200,d1\nl2,p2,210,d5\nl3,q0,215,d5\n",
    "gifts.csv": "a,b,at,coins\np1,p2,220,1.1\np1,p2,230,2.2\np3,q1,240,5\n",
    "chats.csv": "a,b,at\np1,p2,250\np2,p1,260\np4,p5,270\n",
    "views.csv": "a,b,at,n\np1,home,280,3\np2,home,290,1\n",
    "bans.csv": "id,word,at\np1,ban,300\np2,ok,310\np3,ban,320\n",
}
_START_MS = 1_000_000
HUBS = ("hub", "hub_reason")  # known from the next snapshot on


def _said(seed: int, count: int, *, only_listed: bool = False) -> list[tuple[int, Content]]:
    """What a service might have accepted: everybody does everything, most with everybody."""
    draw = random.Random(seed)
    names = [f"p{at}" for at in range(12)] + ([] if only_listed else ["q0", "q1", "n3", "n4"])
    said: list[tuple[int, Content]] = []
    for at in range(count):
        now_ms = _START_MS + 1_000 * at
        # Some tell late of what happened; positions are in the order of acceptance all the same.
        time_ms = now_ms - draw.choice([0, 0, 0, 5_500])
        account, other = draw.choice(names), draw.choice(names)
        used = (("device", f"d{draw.randrange(8)}"),)
        ip = draw.randrange(5)
        used_ip = (*used, ("ip", f"ip-{ip}"), ("subnet", f"net-{ip % 2}"))
        value = round(draw.random() * 10, 2)
        word = draw.choice(["signup", "login", "gift", "chat", "view", "verdict", "nonsense"])
        content: Content
        if word == "signup":
            new = draw.choice([account, f"n{draw.randrange(8)}"])
            names += [new]
            told: dict[str, float | str | bool] = {
                "country": draw.choice("AB"),
                "age": value,
                "vip": at % 2 == 0,
            }
            content = LiveEvent("signup", new, time_ms, f"j{at}", used_ip, attributes=told)
        elif word == "login":
            content = LiveEvent("login", account, time_ms, None, used)
        elif word == "verdict":
            content = LiveVerdict(account, draw.choice([1, 0, None]), time_ms, "analyst", "spam", f"why {at}")
        elif word == "view":
            content = LiveEvent(
                "view", account, time_ms, None, interactions=(("view", "page", f"g{ip}", float(1 + ip)),)
            )
        else:
            met = ((word, "account", other, value), ("gift", "account", account, 1.0))
            content = LiveEvent(word, account, time_ms, f"j{at}", interactions=met)
        said.append((now_ms, content))
    return said


def _empty(target: Target) -> None:
    with connect(target) as driver, session(driver, target) as opened:
        opened.run("MATCH (n) DETACH DELETE n").consume()


@pytest.fixture
def database(neo4j_server: Target) -> Target:
    """A database without nodes; constraints and indexes stay, as making them takes seconds."""
    _empty(neo4j_server)
    return neo4j_server


@pytest.fixture
def few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Transactions of twenty rows, so that many are needed."""
    monkeypatch.setattr(importlib.import_module("graph_etl.neo4j_store.follow"), "BATCH_ROWS", 20)


def _value(target: Target, query: str, **parameters: Any) -> Any:
    with connect(target) as driver, session(driver, target) as opened:
        return opened.run(query, **parameters).single(strict=True).value()


def _marks(target: Target) -> int:
    nodes = _value(target, "MATCH (n) WHERE n.live_seq IS NOT NULL RETURN count(n)")
    return int(nodes + _value(target, "MATCH ()-[x]->() WHERE x.live_seq IS NOT NULL RETURN count(x)"))


def _loaded(target: Target, folder: Path, spec: str = SPEC) -> Built:
    built = build_from_text(folder, spec, FILES, max_quarantine=1)
    load(built.snapshot, built.workspace, target)
    return built


def _rebuilt(built: Built, journal: LinesJournal) -> Built:
    return Built(
        built.spec, built.workspace, build(built.spec, built.workspace, journal=journal, max_quarantine=1)
    )


@pytest.mark.usefixtures("few_rows")
@pytest.mark.parametrize(
    ("seed", "change"),
    [
        pytest.param(1, ("", ""), id="timed"),
        pytest.param(2, ("unknown_accounts: add", "unknown_accounts: quarantine"), id="unknown-left-out"),
        pytest.param(3, (" time: at,", ""), id="untimed"),
    ],
)
def test_following_is_loading_what_was_built_with_the_journal(
    database: Target, tmp_path: Path, seed: int, change: tuple[str, str]
) -> None:
    spec = SPEC.replace(*change).replace(", time: at", "") if seed == 3 else SPEC.replace(*change)
    built = _loaded(database, tmp_path / "built", spec)
    said = _said(seed, 100, only_listed=seed == 2)
    journal = write_journal(tmp_path / "journal", said[:60])
    first = follow(database, built.workspace, journal, once=True)
    journal = write_journal(tmp_path / "journal", said[60:], append=True)
    second = follow(database, built.workspace, journal, once=True)
    assert (first.journal_seq, first.rows, second.journal_seq, second.rows) == (60, 60, 100, 40)
    assert _marks(database) > 50
    followed = shown(database)
    rebuilt = _rebuilt(built, journal)
    load(rebuilt.snapshot, rebuilt.workspace, database)
    loaded_over = shown(database)
    assert _marks(database) == 0
    _empty(database)
    load(rebuilt.snapshot, rebuilt.workspace, database)
    loaded = shown(database)
    assert differences(followed, loaded, leave_out=HUBS) == []
    assert differences(loaded_over, loaded) == []
    assert {key[0] for key in loaded[1]} == {"USED", "GIFT", "CHAT", "VIEW", "HAS_VERDICT"}


def test_rows_of_the_snapshot_are_not_taken_again_and_a_load_is_gone_on_from(
    database: Target, tmp_path: Path
) -> None:
    built = _loaded(database, tmp_path / "built")
    said = _said(4, 60)
    journal = write_journal(tmp_path / "journal", said[:40])
    rebuilt = _rebuilt(built, journal)
    lags: list[Lag] = []
    stop = threading.Event()
    done: list[Any] = []
    thread = threading.Thread(
        target=lambda: done.append(follow(database, built.workspace, journal, stop=stop, tell=lags.append))
    )
    thread.start()
    try:
        _wait_for(lambda: bool(lags) and lags[-1].seq == 40)
        # While it follows, somebody loads the snapshot that holds these rows, and more rows come.
        load(rebuilt.snapshot, rebuilt.workspace, database)
        write_journal(tmp_path / "journal", said[40:], append=True)
        _wait_for(lambda: lags[-1].seq == 60)
    finally:
        stop.set()
        thread.join(30)
    assert (done[0].snapshot, done[0].rows) == (rebuilt.report.snapshot_id, 60)
    assert (lags[-1].rows_behind, lags[-1].seconds_behind) == (0, 0)
    again = follow(database, built.workspace, journal, once=True)
    assert (again.rows, again.journal_seq) == (0, 60)
    followed = shown(database)
    whole = _rebuilt(built, journal)
    _empty(database)
    load(whole.snapshot, whole.workspace, database)
    assert differences(followed, shown(database), leave_out=HUBS) == []


def test_killed_at_any_point_no_row_is_lost_or_doubled(database: Target, tmp_path: Path) -> None:
    built = _loaded(database, tmp_path / "built")
    journal = write_journal(tmp_path / "journal", _said(5, 200))
    program = (
        "import importlib, sys; from pathlib import Path; from graph_etl import Workspace;"
        " from graph_etl.neo4j_store import Target, follow;"
        " from tests.graph_etl.journals import LinesJournal;"
        " importlib.import_module('graph_etl.neo4j_store.follow').BATCH_ROWS = 3;"
        " print('ready', flush=True);"
        " follow(Target(sys.argv[1], password=sys.argv[2]), Workspace(sys.argv[3]),"
        " LinesJournal(Path(sys.argv[4])), once=True)"
    )
    seen = []
    for _ in range(2):
        before = _value(database, "MATCH (s:RingwatchState) RETURN coalesce(s.journal_seq, 0)")
        words = (database.uri, database.password, str(built.workspace.path), str(journal.path))
        with subprocess.Popen([sys.executable, "-c", program, *words], stdout=subprocess.PIPE) as process:
            _wait_for(
                lambda before=before: (
                    _value(database, "MATCH (s:RingwatchState) RETURN coalesce(s.journal_seq, 0)") > before
                )
            )
            os.kill(process.pid, signal.SIGKILL)
        seen.append(_value(database, "MATCH (s:RingwatchState) RETURN s.journal_seq"))
    assert seen == sorted(set(seen))
    assert seen[-1] < 200
    report = follow(database, built.workspace, journal, once=True)
    assert (report.journal_seq, report.rows) == (200, 200 - seen[-1])
    followed = shown(database)
    rebuilt = _rebuilt(built, journal)
    _empty(database)
    load(rebuilt.snapshot, rebuilt.workspace, database)
    assert differences(followed, shown(database), leave_out=HUBS) == []


def test_an_account_that_is_forgotten_goes_with_what_only_it_touched(
    database: Target, tmp_path: Path
) -> None:
    built = _loaded(database, tmp_path / "built")
    said: list[tuple[int, Content]] = [
        (_START_MS, LiveEvent("login", "p2", _START_MS, None, (("device", "mine"), ("device", "d1")))),
        (_START_MS + 1, LiveVerdict("p2", 1, _START_MS, "analyst")),
        (_START_MS + 2, LiveErasure("gone:p2")),
        (_START_MS + 3, LiveEvent("login", "p2", _START_MS, None, (("device", "back"),))),
    ]
    journal = write_journal(tmp_path / "journal", said[:2])
    follow(database, built.workspace, journal, once=True)
    before = _value(database, "MATCH (d:Device {hash: 'd1'}) RETURN d.accounts")
    # The service leaves nothing of the account in the rows that it wrote before.
    write_journal(tmp_path / "journal", [(at_ms, said[2][1]) for at_ms, _ in said[:3]])
    follow(database, built.workspace, journal, once=True, tombstone="gone:{}".format)
    nodes, relationships = shown(database)
    assert [key for key in nodes if "p2" in key or "mine" in key] == []
    assert [key for key in relationships if "p2" in str(key)] == []
    assert _value(database, "MATCH (d:Device {hash: 'd1'}) RETURN d.accounts") == before - 1
    # Three verdicts of the files; the two on p2 are gone.
    assert _value(database, "MATCH (v:Verdict) RETURN count(v)") == 2
    write_journal(tmp_path / "journal", said[3:], append=True)
    follow(database, built.workspace, journal, once=True, tombstone="gone:{}".format)
    assert _value(database, "MATCH (:Account {id: 'p2'})-[x]->() RETURN collect(type(x))") == ["USED"]


def test_a_verdict_that_is_undone_gives_way_to_the_one_before(database: Target, tmp_path: Path) -> None:
    built = _loaded(database, tmp_path / "built")
    labels: Sequence[int | None] = (0, None, None, 1)
    for at, label in enumerate(labels):
        said: list[tuple[int, Content]] = [
            (_START_MS + at, LiveVerdict("p1", label, _START_MS + at, "analyst"))
        ]
        journal = write_journal(tmp_path / "journal", said, append=at > 0)
        follow(database, built.workspace, journal, once=True)
        # The files call p1 bad; the third row undoes nothing.
        verdict = _value(database, "MATCH (a:Account {id: 'p1'}) RETURN a.verdict")
        assert verdict == ("good", "bad", "bad", "bad")[at]
    found = _value(
        database,
        "MATCH (:Account {id: 'p1'})-[:HAS_VERDICT]->(v) WITH v ORDER BY v.known_at"
        " RETURN collect([v.label, v.undoes])",
    )
    assert found == [["bad", False], ["good", False], ["bad", True], ["bad", False]]


def test_what_cannot_be_followed_is_one_clear_line(database: Target, tmp_path: Path) -> None:
    built = build_from_text(tmp_path / "built", SPEC, FILES)
    journal = write_journal(tmp_path / "journal", _said(6, 5))
    with pytest.raises(GraphStoreError, match="holds no snapshot yet; run `ringwatch neo4j load` first"):
        follow(database, built.workspace, journal, once=True)
    load(built.snapshot, built.workspace, database)
    with pytest.raises(GraphStoreError, match="refuses user 'neo4j'"):
        follow(Target(database.uri, password="wrong"), built.workspace, journal, once=True)
    follow(database, built.workspace, journal, once=True)
    write_journal(tmp_path / "journal", _said(6, 3))
    with pytest.raises(GraphStoreError, match="up to 5, the journal ends at 3; restore the journal"):
        follow(database, built.workspace, journal, once=True)
    write = "MATCH (s:RingwatchState) SET s.{} RETURN 1"
    _value(database, write.format("loading = 'snext'"))
    with pytest.raises(GraphStoreError, match="snapshot snext is being loaded"):
        follow(database, built.workspace, journal, once=True)
    _value(database, write.format("loading = null, s.snapshot = 'sgone'"))
    with pytest.raises(GraphStoreError, match=r"holds snapshot sgone, which .* has no more"):
        follow(database, built.workspace, journal, once=True)


@pytest.mark.slow
def test_a_server_that_goes_away_is_waited_for(tmp_path: Path) -> None:
    with LocalNeo4j(tmp_path / "neo4j", password="ringwatch-outage", heap="768m") as server:
        target = Target(server.uri, password="ringwatch-outage")
        built = _loaded(target, tmp_path / "built")
        said = _said(7, 60)
        journal = write_journal(tmp_path / "journal", said[:30])
        lags: list[Lag] = []
        lines: list[str] = []
        stop = threading.Event()
        done: list[Any] = []
        thread = threading.Thread(
            target=lambda: done.append(
                follow(target, built.workspace, journal, stop=stop, tell=lags.append, note=lines.append)
            )
        )
        thread.start()
        try:
            _wait_for(lambda: bool(lags) and lags[-1].seq == 30)
            server.stop()
            write_journal(tmp_path / "journal", said[30:], append=True)
            _wait_for(lambda: bool(lines))
            assert lags[-1].seq == 30
            server.start()
            _wait_for(lambda: lags[-1].seq == 60)
        finally:
            stop.set()
            thread.join(60)
        assert (done[0].rows, done[0].outages) == (60, 1)
        assert lines == [lines[0], f"{target.shown}: is back"]
        assert "went away" in lines[0]
        assert lines[0].endswith("; waiting for it")
        followed = shown(target)
        rebuilt = _rebuilt(built, journal)
        _empty(target)
        load(rebuilt.snapshot, rebuilt.workspace, target)
        assert differences(followed, shown(target), leave_out=HUBS) == []


def _wait_for(holds: Any, within_s: float = 60.0) -> None:
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end, "did not come about"
        time.sleep(0.02)
