"""A load that ended early is gone on with, whatever it is asked for then, and by nobody else meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from graph_etl import Workspace
from graph_etl.neo4j_store import GraphStoreError, Target, connect, load, session
from graph_etl.neo4j_store.batches import Batch, Batches, only_one
from ringwatch.local_neo4j import LocalNeo4j, LocalNeo4jError
from tests.building import PLATFORM_SPEC, Built, build_from_text, platform_files
from tests.graph_etl.neo4j_store.held import ask, held

if TYPE_CHECKING:
    from pathlib import Path

    from graph_etl import Snapshot
    from graph_etl.neo4j_store import LoadReport


class _Stopped(Exception):
    """What ends a load early."""


def _stopped_load(snapshot: Snapshot, workspace: Workspace, target: Target, at: int) -> bool:
    """Load, and end at the n-th step of progress; whether it ended early."""
    told = 0

    def stop(step: str, done: int, total: int) -> None:
        nonlocal told
        told += 1
        if told > at:
            raise _Stopped

    try:
        load(snapshot, workspace, target, progress=stop)
    except _Stopped:
        return True
    return False


@pytest.fixture
def database(neo4j_server: Target) -> Target:
    """A database without nodes; constraints and indexes of an earlier test stay, for they take time."""
    ask(neo4j_server, "MATCH (n) CALL (n) { DETACH DELETE n } IN TRANSACTIONS OF 5000 ROWS")
    return neo4j_server


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, hash_key: str) -> Built:
    """A small platform and, current, the one that lacks most of its gifts: an increment back and forth."""
    assert hash_key
    files = platform_files()
    folder = tmp_path_factory.mktemp("platform")
    first = build_from_text(folder, PLATFORM_SPEC, files)
    lines = files["gifts.csv"].splitlines(keepends=True)
    second = build_from_text(folder, PLATFORM_SPEC, files | {"gifts.csv": "".join(lines[:40])})
    assert first.report.snapshot_id != second.report.snapshot_id
    return Built(first.spec, first.workspace, first.report)


def _other(built: Built) -> Snapshot:
    return built.workspace.open_snapshot()


def test_a_first_load_that_ended_anywhere_is_gone_on_with(built: Built, database: Target) -> None:
    load(built.snapshot, built.workspace, database)
    whole = held(database)
    skipped = []
    for at in (0, 2, 4, 7, 9, 10, 12):
        ask(database, "MATCH (n) DETACH DELETE n")
        assert _stopped_load(built.snapshot, built.workspace, database, at)
        assert ask(database, "MATCH (s:RingwatchState) RETURN s.snapshot, s.loading") == [
            [None, built.snapshot.id]
        ]
        report = load(built.snapshot, built.workspace, database)
        assert report.resumed
        assert held(database) == whole
        skipped.append(report.skipped)
    assert skipped == sorted(skipped)
    assert skipped[0] == 0
    assert skipped[-1] > 5


def test_an_increment_that_ended_early_is_gone_on_with(built: Built, database: Target) -> None:
    load(_other(built), built.workspace, database)
    whole = held(database)
    for at in (3, 8, 11):
        load(built.snapshot, built.workspace, database)
        assert _stopped_load(_other(built), built.workspace, database, at)
        report = load(_other(built), built.workspace, database)
        assert report.resumed
        assert report.base == built.snapshot.id
        assert held(database) == whole


@pytest.mark.parametrize("at", [2, 9])
def test_a_load_that_ended_early_gives_way_to_another_snapshot(
    built: Built, database: Target, at: int
) -> None:
    load(_other(built), built.workspace, database)
    other = held(database)
    ask(database, "MATCH (n) DETACH DELETE n")
    assert _stopped_load(built.snapshot, built.workspace, database, at)
    report = load(_other(built), built.workspace, database)
    assert (report.base, report.resumed) == ("database", False)
    assert held(database) == other


def test_two_loads_at_a_time_are_one_too_many(built: Built, database: Target) -> None:
    load(_other(built), built.workspace, database)
    with (
        connect(database) as driver,
        only_one(driver, database),
        pytest.raises(GraphStoreError, match="another load is running there"),
    ):
        load(built.snapshot, built.workspace, database)
    assert load(built.snapshot, built.workspace, database).changed > 0


def test_a_load_that_was_taken_over_writes_nothing_more(built: Built, database: Target) -> None:
    load(built.snapshot, built.workspace, database)
    more = Batch("UNWIND $rows AS r CREATE (:Account {id: r}) RETURN count(*)", lambda: ["late"], 1)
    with connect(database) as driver, session(driver, database) as opened:
        one, other = Batches(driver, database, 2), Batches(driver, database, 2)
        try:
            one.begin(opened, afresh=True)
            other.begin(opened, afresh=True)
            with pytest.raises(GraphStoreError, match="another load took over"):
                one.spread([more])
            other.spread([more])
        finally:
            one.close()
            other.close()
    assert ask(database, "MATCH (a:Account {id: 'late'}) RETURN count(*)") == [[1]]


@pytest.mark.slow
def test_a_server_that_goes_away_in_the_middle_is_one_clear_line(built: Built, tmp_path: Path) -> None:
    server = LocalNeo4j(tmp_path / "neo4j", password="ringwatch-gone")
    try:
        server.start()
    except LocalNeo4jError as error:
        pytest.skip(f"no Neo4j: {error}")
    target = Target(server.uri, password="ringwatch-gone")

    def pull_the_plug(step: str, done: int, total: int) -> None:
        if step == "relationships":
            server.kill()

    try:
        with pytest.raises(GraphStoreError, match="cannot be reached or went away") as caught:
            load(built.snapshot, built.workspace, target, progress=pull_the_plug)
        assert "\n" not in str(caught.value)
        server.start()
        report: LoadReport = load(built.snapshot, built.workspace, target)
        assert report.resumed
        assert report.skipped > 0
    finally:
        server.kill()
