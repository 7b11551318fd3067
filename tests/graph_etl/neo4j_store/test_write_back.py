"""Write-back: a run comes into sight at once, earlier rings stay as superseded, and a killed one goes on."""

from __future__ import annotations

import os
import pickle
import random
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from graph_etl.neo4j_store import GraphStoreError, Results, Target, connect, session, write_back
from tests.graph_etl.neo4j_store.written import hold_accounts, results_of, shown

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from graph_etl import Snapshot

FARM = [f"farm{at:02}" for at in range(14)]
MILL = [f"mill{at:02}" for at in range(10)]
LINKS = [
    ("farm00", "farm01", 0.9, "shared device"),
    ("farm01", "farm02", 0.8, "shared device; dealt with each other"),
    ("mill00", "mill01", 0.7, "shared ip"),
]
NOTHING: dict[str, Any] = {
    "scores": {},
    "rings": {},
    "members": [],
    "links": [],
    "successions": [],
    "staged": [[0]],
}


class Stopped(Exception):
    """A client that ended in the middle."""


@pytest.fixture
def database(neo4j_database: Target, timed_snapshot: Snapshot) -> Target:
    """A database that holds the accounts of the small platform, without results."""
    hold_accounts(neo4j_database, timed_snapshot)
    return neo4j_database


@pytest.fixture
def first(timed_snapshot: Snapshot) -> Results:
    """A run with two rings."""
    return results_of(timed_snapshot, "run1", {"farm": FARM, "mill": MILL}, links=LINKS)


def ask(target: Target, query: str, **given: Any) -> list[Any]:
    with connect(target) as driver, session(driver, target) as opened:
        return [record.values() for record in opened.run(query, **given)]


def stop_at(tick: int) -> Callable[[str, int, int], None]:
    left = [tick]

    def progress(step: str, done: int, total: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            message = f"{step}, {done} of {total}"
            raise Stopped(message)

    return progress


def test_the_database_shows_what_was_found(database: Target, first: Results) -> None:
    report = write_back(database, first)
    there = shown(database)
    assert there["scores"] == {
        account: [score, percentile, level, ring, "b-run1"]
        for account, score, percentile, level, ring in first.accounts.rows()
    }
    assert len(there["scores"]) == report.accounts == report.accounts_changed == 300
    assert there["rings"]["mill"] == {
        "id": None,
        "rank": 2,
        "score": 0.5,
        "size": 10,
        "density": 0.5,
        "p_value": 0.001,
        "q_value": 0.004,
        "known_bad": 0,
        "words": "10 accounts of mill",
        "run": "run1",
        "bundle": "b-run1",
        "turn": 1,
        "superseded": False,
        "superseded_at": None,
    }
    assert there["members"] == [
        *(["farm", account, "member", 0.5] for account in FARM),
        *(["mill", account, "member", 0.5] for account in MILL),
    ]
    assert there["links"] == [list(link) for link in LINKS]
    assert there["state"] == [["run1", "b-run1", 1, first.snapshot]]
    assert (there["successions"], there["staged"]) == ([], [[0]])


def test_written_a_second_time_nothing_changes(database: Target, first: Results) -> None:
    write_back(database, first)
    everything = "MATCH (n) OPTIONAL MATCH (n)-[r]->() RETURN elementId(n), n {.*}, elementId(r), r {.*}"
    before = ask(database, everything)
    assert write_back(database, first).changed == 0
    assert ask(database, everything) == before


def test_earlier_rings_stay_and_tell_what_became_of_them(
    database: Target, first: Results, timed_snapshot: Snapshot
) -> None:
    write_back(database, first)
    # The farm split: nine go on, four are new, one left. The mill went into a greater ring with two of the
    # farm's, which is less than a fifth of it.
    rings = {"farm": FARM[:7], "new": FARM[7:11], "joint": [*MILL, *FARM[11:13]]}
    second = results_of(timed_snapshot, "run2", rings, links=LINKS)
    report = write_back(database, second)
    assert (report.rings_superseded, report.rings_created, report.successions) == (2, 3, 3)
    there = shown(database)
    assert there["successions"] == [["farm@1", "farm"], ["farm@1", "new"], ["mill@1", "joint"]]
    assert [row for row in there["members"] if row[0] == "farm@1"] == [
        ["farm@1", account, "member", 0.5] for account in FARM
    ]
    told = {ring: (row["run"], row["turn"], row["superseded"]) for ring, row in there["rings"].items()}
    assert told == {
        "farm@1": ("run1", 1, True),
        "mill@1": ("run1", 1, True),
        "farm": ("run2", 2, False),
        "new": ("run2", 2, False),
        "joint": ("run2", 2, False),
    }
    assert there["scores"]["farm12"][3] == "joint"
    assert there["scores"]["farm13"][3] is None
    # Back to the run before: it is one more switch, and its earlier rings stay too.
    write_back(database, first)
    assert {"farm@1", "farm@2", "farm"} <= set(shown(database)["rings"])


def test_runs_beyond_the_last_few_are_deleted(
    database: Target, first: Results, timed_snapshot: Snapshot
) -> None:
    write_back(database, first)
    for run in ("run2", "run3", "run4"):
        report = write_back(database, results_of(timed_snapshot, run, {"farm": FARM}), keep=2)
    assert report.rings_forgotten == 2
    assert set(shown(database)["rings"]) == {"farm@2", "farm@3", "farm"}


def test_only_links_that_differ_are_written(
    database: Target, first: Results, timed_snapshot: Snapshot
) -> None:
    write_back(database, first)
    links = [LINKS[0], (*LINKS[1][:2], 0.6, "shared ip"), ("h001", "mill01", 0.3, "shared ip")]
    second = results_of(timed_snapshot, "run1", {"farm": FARM, "mill": MILL}, links=links)
    kept = ask(database, "MATCH ({id: 'farm00'})-[l:LINKED_TO]->() RETURN elementId(l)")
    report = write_back(database, second)
    assert (report.links_created, report.links_changed, report.links_removed) == (1, 1, 1)
    assert (report.accounts_changed, report.rings_created, report.rings_superseded) == (0, 0, 0)
    assert shown(database)["links"] == sorted(list(link) for link in links)
    assert ask(database, "MATCH ({id: 'farm00'})-[l:LINKED_TO]->() RETURN elementId(l)") == kept


def test_accounts_without_results_keep_nothing_of_an_earlier_run(
    database: Target, first: Results, timed_snapshot: Snapshot
) -> None:
    write_back(database, first)
    second = results_of(timed_snapshot, "run2", {"farm": FARM}, links=LINKS[:2], without=["mill00", "h007"])
    report = write_back(database, second)
    assert (report.accounts_cleared, report.links_removed) == (2, 1)
    there = shown(database)
    assert not {"mill00", "h007"} & set(there["scores"])
    assert there["links"] == [list(link) for link in LINKS[:2]]
    assert ask(database, "MATCH (a:Account {id: 'h007'}) RETURN a {.*}") == [[{"id": "h007", "hub": False}]]


@pytest.mark.parametrize("batch", [10, 5_000])
def test_one_that_was_stopped_shows_the_run_before_and_then_goes_on(
    database: Target, first: Results, timed_snapshot: Snapshot, batch: int
) -> None:
    rings = {"farm": FARM[:7], "new": FARM[7:11], "joint": [*MILL, *FARM[11:13]]}
    runs = [first, results_of(timed_snapshot, "run2", rings, links=LINKS[1:])]
    before = {**NOTHING, "state": [[None, None, None, first.snapshot]]}
    for number, run in enumerate(runs):
        tick = 0
        while True:
            try:
                write_back(database, run, batch=batch, progress=stop_at(tick))
                break
            except Stopped:
                visible = shown(database)
                assert {**visible, "staged": [[0]]} == before, f"stopped at {tick}"
                tick += 5 if batch == 10 else 1
        clean_after = shown(database)
        assert tick >= 2
        assert clean_after["staged"] == [[0]]
        assert clean_after["state"][0][:3] == [run.run, run.bundle, number + 1]
        assert write_back(database, run).changed == 0
        before = clean_after
    assert before["successions"] == [["farm@1", "farm"], ["farm@1", "new"], ["mill@1", "joint"]]
    assert len(before["members"]) == 24 + 23


def test_what_another_run_had_staged_does_not_come_into_sight(
    database: Target, first: Results, timed_snapshot: Snapshot
) -> None:
    with pytest.raises(Stopped):
        write_back(database, results_of(timed_snapshot, "dead", {"other": FARM}), progress=stop_at(1))
    assert shown(database)["staged"] == [[2]]
    write_back(database, first)
    assert set(shown(database)["rings"]) == {"farm", "mill"}
    assert ask(database, "MATCH (:Account)-[m:MEMBER_OF]->() RETURN count(m)") == [[24]]


def test_of_two_at_once_one_is_refused(database: Target, first: Results, timed_snapshot: Snapshot) -> None:
    other = results_of(timed_snapshot, "run2", {"farm": FARM})
    asked: list[Any] = []

    def meanwhile(step: str, done: int, total: int) -> None:
        if step == "rings" and not asked:
            asked.append(write_back(database, other))

    with pytest.raises(GraphStoreError, match=r"meanwhile; run the command again$"):
        write_back(database, first, progress=meanwhile)
    assert shown(database)["state"][0][0] == "run2"
    write_back(database, first)
    assert shown(database)["state"][0][0] == "run1"


def test_databases_that_lack_the_graph_are_refused_with_what_to_do(
    neo4j_database: Target, timed_snapshot: Snapshot, first: Results
) -> None:
    with pytest.raises(GraphStoreError, match=r"holds no graph yet; run `ringwatch neo4j load`"):
        write_back(neo4j_database, first)
    assert ask(neo4j_database, "MATCH (n) RETURN count(n)") == [[0]]
    hold_accounts(neo4j_database, timed_snapshot)
    ask(neo4j_database, "MATCH (s:RingwatchState) SET s.loading = 's2'")
    with pytest.raises(GraphStoreError, match=r"load of snapshot s2 .* run `ringwatch neo4j load`"):
        write_back(neo4j_database, first)
    ask(
        neo4j_database,
        "MATCH (s:RingwatchState) SET s.loading = null, s.snapshot = 'earlier'"
        " WITH s MATCH (a:Account {id: 'farm03'}) DETACH DELETE a",
    )
    with pytest.raises(GraphStoreError, match=r"lacks 1 of 300 accounts .* run `ringwatch neo4j load`"):
        write_back(neo4j_database, first)
    assert {**shown(neo4j_database), "state": None, "staged": None} == {
        **NOTHING,
        "state": None,
        "staged": None,
    }


def test_an_account_that_was_erased_since_is_passed_over(database: Target, first: Results) -> None:
    ask(database, "MATCH (a:Account {id: 'farm01'}) DETACH DELETE a")
    report = write_back(database, first)
    assert (report.accounts, report.links_created) == (299, 1)
    assert write_back(database, first).changed == 0


WHOLE = "MATCH (s:RingwatchState {name: 'graph'}) SET s.name = s.name WITH s "


def test_readers_that_hold_the_state_never_see_two_runs(
    database: Target, first: Results, timed_snapshot: Snapshot
) -> None:
    second = results_of(timed_snapshot, "run2", {"farm": FARM[:9], "mill": [*MILL, *FARM[9:]]}, links=LINKS)
    wrong: list[Any] = []
    seen: set[tuple[str, ...]] = set()
    ended = threading.Event()
    whole = (
        f"{WHOLE} MATCH (a:Account) OPTIONAL MATCH (a)-[:MEMBER_OF]->(r:Ring) WHERE r.superseded = false"
        " RETURN collect(DISTINCT s.run) + collect(DISTINCT substring(a.model_version, 2))"
        " + collect(DISTINCT r.run) AS runs, sum(CASE WHEN a.ring <> r.id THEN 1 ELSE 0 END) AS torn"
    )
    # Rings need no lock: one is whole whenever it is seen.
    ring = "MATCH (r:Ring {id: 'farm'})<-[:MEMBER_OF]-(a:Account) RETURN r.size, count(a)"

    def read() -> None:
        with connect(database) as driver, session(driver, database) as opened:
            while not ended.is_set():
                runs, torn = opened.run(whole).single(strict=True)
                seen.add(tuple(runs))
                if len(set(runs)) != 1 or torn:
                    wrong.append(runs)
                wrong.extend(row.values() for row in opened.run(ring) if row["r.size"] != row["count(a)"])

    write_back(database, first)
    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for number in range(8):
        write_back(database, first if number % 2 else second, keep=2)
    ended.set()
    for reader in readers:
        reader.join()
    assert wrong == []
    assert {runs[0] for runs in seen} == {"run1", "run2"}


@pytest.mark.slow
def test_killed_at_ten_random_moments_it_ends_as_a_clean_one(
    database: Target, first: Results, timed_snapshot: Snapshot, tmp_path: Path
) -> None:
    honest = [f"h{at:03}" for at in range(260)]
    pairs = [(a, b, 0.5, "shared ip") for a in honest[:60] for b in honest[:60] if a < b]
    rings = {f"r{at}": honest[at : at + 5] for at in range(0, 260, 5)}
    second = results_of(timed_snapshot, "run2", {**rings, "farm": FARM[:8]}, links=[*LINKS, *pairs])
    write_back(database, first)
    write_back(database, second)
    clean = shown(database)
    with connect(database) as driver, session(driver, database) as opened:
        opened.run("MATCH (n) WHERE NOT n:Account DETACH DELETE n").consume()
        opened.run("MATCH (a:Account) DETACH DELETE a").consume()
    hold_accounts(database, timed_snapshot)
    write_back(database, first)
    (tmp_path / "second").write_bytes(pickle.dumps(second))
    environment = os.environ | {"NEO4J_URI": database.uri, "NEO4J_PASSWORD": database.password}
    command = [
        sys.executable,
        "-m",
        "tests.graph_etl.neo4j_store.killed_write_back",
        str(tmp_path / "second"),
    ]
    before, draw = shown(database), random.Random(5)
    started = time.monotonic()
    copied = subprocess.run([*command, "0"], env=environment, check=False)
    assert copied.returncode == -signal.SIGKILL
    kills = 1
    while shown(database)["state"] == before["state"] and kills < 40:
        # It had at least the first of these; the later ones come nearer to its end.
        after_s = draw.uniform(0.1, 0.2 + 0.1 * kills)
        ended = subprocess.run([*command, f"{after_s:.3f}"], env=environment, check=False)
        if ended.returncode == 0:
            break
        kills += 1
        visible = shown(database)
        assert {**visible, "staged": None} in (
            {**before, "staged": None},
            {**clean, "staged": None},
        ), f"killed after {after_s:.3f} s, {time.monotonic() - started:.0f} s from the start"
    assert kills >= 10
    write_back(database, second)
    assert shown(database) == clean
    assert write_back(database, second).changed == 0
