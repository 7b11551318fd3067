"""A follower sees new rows at once, in order, and outlives a store that goes away."""

import asyncio
import time
from pathlib import Path

from sqlalchemy import QueuePool

from graph_etl import JournalRow
from scoring_service.journal import Journal, JournalUnavailable, follow
from tests.scoring_service.journal.conftest import Open
from tests.scoring_service.journal.events import entry


async def gather_rows(
    reader: Journal, after_seq: int, until_seq: int
) -> tuple[list[JournalRow], list[float]]:
    """Follow up to a row; return the rows and when each came."""
    rows: list[JournalRow] = []
    came_s: list[float] = []
    async for batch in follow(reader, after_seq):
        rows += batch
        came_s += [time.perf_counter()] * len(batch)
        if rows[-1].seq >= until_seq:
            break
    return rows, came_s


def test_rows_come_in_order_and_soon(place: str, opened: Open) -> None:
    writer = opened(place, commit="process")
    writer.append([entry(n) for n in range(600)])
    reader = opened(place, read_only=True)

    async def run() -> None:
        following = asyncio.ensure_future(gather_rows(reader, 3, 620))
        wrote_s = []
        for n in range(20):
            await asyncio.sleep(0.03)
            writer.append([entry(1000 + n)])
            wrote_s.append(time.perf_counter())
        rows, came_s = await asyncio.wait_for(following, 20)
        assert rows == list(writer.rows(3))
        lags_s = sorted(came - wrote for came, wrote in zip(came_s[-20:], wrote_s, strict=True))
        # 10 ms is the aim; on a machine whose cores are taken a look may come late.
        assert lags_s[10] < 0.05

    asyncio.run(run())


def test_a_store_that_is_away_is_tried_again(tmp_path: Path, opened: Open) -> None:
    file, aside = tmp_path / "state.db", tmp_path / "aside.db"
    with Journal.open(file) as writer:
        writer.append([entry(1)])
    reader = opened(file, read_only=True)
    problems: list[JournalUnavailable] = []

    async def run() -> None:
        rows = follow(reader, 0, away=problems.append)
        assert [row.seq for row in await anext(rows)] == [1]
        file.rename(aside)
        waiting = asyncio.ensure_future(anext(rows))
        while not problems:
            await asyncio.sleep(0.005)
        aside.rename(file)
        with Journal.open(file) as again:
            again.append([entry(2)])
            assert [row.seq for row in await asyncio.wait_for(waiting, 10)] == [2]
        await rows.aclose()

    asyncio.run(run())
    assert "state.db" in str(problems[0])


def test_a_follower_that_ends_in_the_middle_of_a_look_gives_its_connection_back(
    postgres_url: str, opened: Open
) -> None:
    writer = opened(postgres_url, commit="process")
    writer.append([entry(0)])
    reader = opened(postgres_url, read_only=True)

    async def run() -> None:
        following = asyncio.ensure_future(gather_rows(reader, 1, 2))
        with writer.database.transaction() as blocking:
            blocking.exec_driver_sql("LOCK TABLE journal IN ACCESS EXCLUSIVE MODE")
            await asyncio.sleep(0.3)
            following.cancel()
            await asyncio.sleep(0.1)
        await asyncio.wait([following], timeout=20)
        assert following.cancelled()

    asyncio.run(run())
    pool = reader.database.engine.pool
    assert isinstance(pool, QueuePool)
    assert pool.checkedout() == 0
