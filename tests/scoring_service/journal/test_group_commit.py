"""Many requests share a commit; rows are applied in order before anybody is told."""

import asyncio
import shutil
import sqlite3
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graph_etl import JournalRow, JournalRowError, LiveEvent, LiveSwitch
from scoring_service.journal import (
    Entry,
    GroupCommit,
    IdempotencyConflict,
    IdempotencyUse,
    Journal,
    JournalUnavailable,
    Kept,
)
from tests.scoring_service.journal.conftest import Open
from tests.scoring_service.journal.events import entry, event


class Applied:
    """What a live graph would have been given."""

    def __init__(self) -> None:
        self.rows: list[JournalRow] = []

    def __call__(self, rows: list[JournalRow]) -> None:
        self.rows += rows

    @property
    def seqs(self) -> list[int]:
        return [row.seq for row in self.rows]


@pytest.fixture(params=["process", "disk"])
def commit(request: pytest.FixtureRequest) -> str:
    mode: str = request.param
    return mode


def with_group(
    journal: Journal, work: Callable[[GroupCommit, Applied], Coroutine[Any, Any, None]], **options: Any
) -> Applied:
    """Run something with a group commit in a loop of its own."""
    applied = Applied()

    async def run() -> None:
        group = GroupCommit(journal, applied, **options)
        try:
            await work(group, applied)
        finally:
            await group.close()

    asyncio.run(run())
    return applied


def test_what_one_turn_submits_is_committed_together(place: str, opened: Open, commit: str) -> None:
    journal = opened(place, commit=commit)

    async def work(group: GroupCommit, applied: Applied) -> None:
        async def one(number: int) -> Kept:
            kept = await group.submit(entry(number))
            # Applied before its request hears of it.
            assert kept.seq in applied.seqs
            return kept

        kept = await asyncio.gather(*(one(n) for n in range(50)), one(7))
        assert [k.seq for k in kept] == [*range(1, 51), 8]
        assert kept[50].duplicate_of == 8
        assert group.figures.commits == 1
        assert (group.figures.rows, group.figures.failures, group.figures.waiting) == (50, 0, 0)
        assert group.figures.last_commit_s > 0
        kept = await asyncio.gather(*(one(n) for n in range(50, 60)))
        assert [k.seq for k in kept] == list(range(51, 61))

    applied = with_group(journal, work)
    assert applied.rows == list(journal.rows())
    assert len(applied.rows) == 60


def test_a_group_that_fails_keeps_and_applies_nothing(tmp_path: Path, opened: Open, commit: str) -> None:
    journal = opened(tmp_path / "state.db", commit=commit)

    async def work(group: GroupCommit, applied: Applied) -> None:
        await group.submit(entry(1))
        other = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        results = await asyncio.gather(*(group.submit(entry(n)) for n in range(2, 6)), return_exceptions=True)
        assert [type(one) for one in results] == [JournalUnavailable] * 4
        assert applied.seqs == [1]
        assert (group.figures.failures, group.figures.waiting) == (1, 0)
        assert "locked" in str(group.figures.last_problem)
        other.close()
        assert (await group.submit(entry(9))).seq == 2
        assert group.figures.last_problem is None

    assert with_group(journal, work).seqs == [1, 2]


def test_the_queue_is_bounded(tmp_path: Path, opened: Open, commit: str) -> None:
    journal = opened(tmp_path / "state.db", commit=commit)

    async def work(group: GroupCommit, applied: Applied) -> None:
        results = await asyncio.gather(*(group.submit(entry(n)) for n in range(7)), return_exceptions=True)
        assert [isinstance(one, JournalUnavailable) for one in results] == [False] * 5 + [True] * 2
        assert "5 entries wait" in str(results[5])
        assert (await group.submit(entry(8))).seq == 6

    assert with_group(journal, work, max_waiting=5).seqs == [1, 2, 3, 4, 5, 6]


def test_closing_commits_what_waits_and_refuses_the_rest(tmp_path: Path, opened: Open, commit: str) -> None:
    journal = opened(tmp_path / "state.db", commit=commit)

    async def work(group: GroupCommit, applied: Applied) -> None:
        waiting = [asyncio.ensure_future(group.submit(entry(n))) for n in range(5)]
        await asyncio.sleep(0)
        await group.close()
        assert applied.seqs == [1, 2, 3, 4, 5]
        assert [(await one).seq for one in waiting] == [1, 2, 3, 4, 5]
        with pytest.raises(JournalUnavailable, match="stopping"):
            await group.submit(entry(9))

    with_group(journal, work)


def test_who_went_away_is_kept_all_the_same(tmp_path: Path, opened: Open, commit: str) -> None:
    journal = opened(tmp_path / "state.db", commit=commit)

    async def work(group: GroupCommit, applied: Applied) -> None:
        gone = asyncio.ensure_future(group.submit(entry(1)))
        await asyncio.sleep(0)
        gone.cancel()
        assert (await group.submit(entry(2))).seq == 2

    assert with_group(journal, work).seqs == [1, 2]


def test_rows_that_were_kept_beside_it_are_applied_in_their_place(
    tmp_path: Path, opened: Open, commit: str
) -> None:
    journal = opened(tmp_path / "state.db", commit=commit)

    async def work(group: GroupCommit, applied: Applied) -> None:
        await group.submit(entry(1))
        journal.append([Entry(LiveSwitch("s-2", None, None)), entry(2)])
        assert (await group.submit(entry(3))).seq == 4
        assert applied.seqs == [1, 2, 3, 4]
        await asyncio.to_thread(journal.erase, "u-3")
        group.catch_up()
        group.catch_up()
        assert applied.seqs == [1, 2, 3, 4, 5]
        assert group.applied_seq == 5

    with_group(journal, work)


def test_one_request_that_cannot_be_kept_hinders_no_other(tmp_path: Path, opened: Open, commit: str) -> None:
    journal = opened(tmp_path / "state.db", commit=commit)

    def keyed(number: int, body: bytes) -> Entry:
        return Entry(event(number), None, IdempotencyUse("k", "local", body))

    async def work(group: GroupCommit, applied: Applied) -> None:
        results = await asyncio.gather(
            group.submit(keyed(1, b"a")),
            group.submit(keyed(2, b"b")),
            group.submit(Entry(LiveEvent("signup", "u\0", 1))),
            group.submit(keyed(1, b"a")),
            group.submit_all([entry(4), entry(5)]),
            return_exceptions=True,
        )
        assert isinstance(results[0], Kept)
        assert isinstance(results[1], IdempotencyConflict)
        assert isinstance(results[2], JournalRowError)
        assert isinstance(results[3], Kept)
        assert (results[0].seq, results[3].duplicate_of) == (1, 1)
        assert isinstance(results[4], list)
        assert [one.seq for one in results[4]] == [2, 3]

    assert with_group(journal, work).seqs == [1, 2, 3]


def test_a_fault_in_applying_is_told_and_what_was_kept_stays_kept(tmp_path: Path, opened: Open) -> None:
    journal = opened(tmp_path / "state.db", commit="process")
    told: list[Any] = []

    def broken(rows: list[JournalRow]) -> None:
        raise RuntimeError(rows[0].seq)

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))
        group = GroupCommit(journal, broken)
        assert (await group.submit(entry(1))).seq == 1
        assert (await group.submit(entry(2))).seq == 2
        await group.close()

    asyncio.run(run())
    assert [str(one) for one in told] == ["1", "2"]


@pytest.fixture(scope="module")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal without rows, to copy: migrations take longer than a test of many journals may."""
    file = tmp_path_factory.mktemp("empty") / "state.db"
    Journal.open(file).close()
    return file


@settings(max_examples=25, deadline=None)
@given(
    groups=st.lists(
        st.tuples(st.booleans(), st.lists(st.one_of(st.none(), st.integers(0, 12)), min_size=1, max_size=6)),
        max_size=10,
    ),
    mode=st.sampled_from(["process", "disk"]),
)
def test_duplicates_and_failures_leave_no_gaps(
    empty_file: Path,
    tmp_path_factory: pytest.TempPathFactory,
    groups: list[tuple[bool, list[int | None]]],
    mode: str,
) -> None:
    file = tmp_path_factory.mktemp("group") / "state.db"
    shutil.copy(empty_file, file)
    expected: list[int | None] = []  # event numbers in order of seq
    with Journal.open(file, commit=mode, wait_ms=1) as journal:  # type: ignore[arg-type]

        async def work(group: GroupCommit, applied: Applied) -> None:
            for is_locked, numbers in groups:
                other = sqlite3.connect(file, isolation_level=None)
                if is_locked:
                    other.execute("BEGIN IMMEDIATE")
                entries = [entry(n or 0, event_id=None if n is None else f"e-{n}") for n in numbers]
                results = await asyncio.gather(*map(group.submit, entries), return_exceptions=True)
                other.close()
                for number, result in zip(numbers, results, strict=True):
                    if is_locked:
                        assert isinstance(result, JournalUnavailable)
                        continue
                    assert isinstance(result, Kept)
                    if number is not None and number in expected:
                        place = expected.index(number) + 1
                        assert (result.seq, result.duplicate_of) == (place, place)
                    else:
                        expected.append(number)
                        assert (result.seq, result.duplicate_of) == (len(expected), None)
            assert applied.rows == list(journal.rows())

        with_group(journal, work)
        assert [row.seq for row in journal.rows()] == list(range(1, len(expected) + 1))
