"""The journal keeps what it was given: in order, without gaps, once."""

from pathlib import Path

import pytest

from graph_etl import (
    Content,
    JournalRow,
    JournalRowError,
    LiveCut,
    LiveEvent,
    LiveSwitch,
    LiveVerdict,
)
from scoring_service.journal import (
    Entry,
    IdempotencyConflict,
    IdempotencyUse,
    Journal,
    JournalInUse,
    JournalMissing,
    JournalUnavailable,
    Kept,
    Remembered,
)
from tests.scoring_service.journal.conftest import Open
from tests.scoring_service.journal.events import answered, entry, event


def seqs(journal: Journal) -> list[int]:
    return [row.seq for row in journal.rows()]


def test_rows_come_back_as_they_were_given(place: str, opened: Open) -> None:
    journal = opened(place)
    contents: list[Content] = [
        event(1),
        LiveVerdict("u-1", 1, 5, "analyst", "spam", "Grüße 'quoted'"),
        LiveCut("u-1", "u-2", None),
        LiveSwitch("s-1", "b-1", None),
    ]
    kept = journal.append([Entry(contents[0], answered(0)), *map(Entry, contents[1:])])
    assert [one.seq for one in kept] == [1, 2, 3, 4]
    assert [one.duplicate_of for one in kept] == [None] * 4
    assert [row.content for row in journal.rows()] == contents
    assert [row.seq for row in journal.rows(after_seq=1, limit=2)] == [2, 3]
    assert journal.last_seq() == 4
    row, answer = journal.recorded(1)
    assert row == JournalRow(1, kept[0].received_ms, contents[0])
    assert answer == answered(0)
    assert journal.recorded(2)[1] is None
    assert [row.seq for row, _ in journal.records(1, 3)] == [2, 3]
    assert list(journal.altered()) == []
    with pytest.raises(JournalRowError, match="no row 5; the last one is 4"):
        journal.recorded(5)


def test_an_event_id_is_kept_once_for_good(place: str, opened: Open) -> None:
    journal = opened(place)
    journal.append([entry(1), entry(2)])
    again = journal.append([entry(3), entry(2, account="other"), entry(3), entry(4)])
    assert [(one.seq, one.duplicate_of) for one in again] == [(3, None), (2, 2), (3, 3), (4, None)]
    assert again[1].received_ms == journal.recorded(2)[0].received_ms
    assert seqs(journal) == [1, 2, 3, 4]
    assert journal.find("signup", "e-3") == 3
    assert journal.find("login", "e-3") is None
    # Another type is another event; without an id every event is new.
    more = journal.append([Entry(LiveEvent("login", "u-1", 0, "e-1")), *[entry(9, event_id=None)] * 2])
    assert [one.seq for one in more] == [5, 6, 7]


def test_it_goes_on_where_it_ended(place: str, opened: Open) -> None:
    with Journal.open(place) as journal:
        first = journal.append([entry(1)])
    journal = opened(place)
    assert journal.append([entry(2), entry(1)]) == [
        Kept(2, journal.recorded(2)[0].received_ms),
        Kept(1, first[0].received_ms, duplicate_of=1),
    ]
    times = [row.received_ms for row in journal.rows()]
    assert times == sorted(times)


def test_time_never_falls_when_the_clock_does(
    place: str, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = opened(place)
    ahead = journal.append([entry(1)])[0].received_ms
    monkeypatch.setattr("time.time_ns", lambda: (ahead - 60_000) * 1_000_000)
    assert journal.append([entry(2)])[0].received_ms == ahead


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        pytest.param(LiveEvent("signup", "u\0", 1), "NUL", id="nul"),
        pytest.param(LiveEvent("signup", "u", 2**63), "64 bits", id="time"),
        pytest.param(LiveEvent("signup", "u", 1, attributes={"x": float("nan")}), "finite", id="nan"),
    ],
)
def test_a_row_that_cannot_be_written_keeps_all_out(
    place: str, opened: Open, wrong: LiveEvent, says: str
) -> None:
    journal = opened(place)
    with pytest.raises(JournalRowError, match=says):
        journal.append([entry(1), Entry(wrong)])
    assert journal.append([entry(2)])[0].seq == 1


def test_one_process_writes_and_any_number_reads(place: str, opened: Open) -> None:
    journal = opened(place)
    with pytest.raises(JournalInUse, match="writes this journal") as error:
        Journal.open(place)
    assert "\n" not in str(error.value)
    reader = opened(place, read_only=True)
    assert reader.last_seq() == 0
    journal.append([entry(1)])
    assert seqs(reader) == [1]
    assert reader.find("signup", "e-1") == 1
    with pytest.raises(JournalUnavailable, match="reading only"):
        reader.append([entry(2)])
    journal.close()
    assert seqs(reader) == [1]
    assert opened(place).append([entry(2)])[0].seq == 2


def test_reading_what_is_not_there_says_so(tmp_path: Path, postgres_url: str) -> None:
    for place in (tmp_path / "state.db", postgres_url):
        with pytest.raises(JournalMissing, match="no journal yet"):
            Journal.open(place, read_only=True)
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_for_its_owner_alone(tmp_path: Path, opened: Open) -> None:
    opened(tmp_path / "state.db").append([entry(1)])
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    assert {path.name for path in tmp_path.iterdir()} == {
        "state.db",
        "state.db-wal",
        "state.db-shm",
        "state.db.lock",
    }


def use(key: str, body: bytes = b"body", **words: object) -> IdempotencyUse:
    return IdempotencyUse(key, "local", body, **words)  # type: ignore[arg-type]


def test_an_idempotency_key_is_used_once(place: str, opened: Open) -> None:
    journal = opened(place)
    once = Entry(event(1, event_id=None), answered(1), use("k", answer=b"sent"))
    assert journal.remembered(use("k")) is None
    assert journal.append([once])[0].seq == 1
    assert journal.remembered(use("k")) == Remembered(1, b"sent")
    with pytest.raises(IdempotencyConflict, match="another body"):
        journal.remembered(use("k", b"other"))
    assert journal.remembered(IdempotencyUse("k", "somebody", b"body")) is None
    # Two at the same time: nobody saw the other's, the transaction does.
    repeated, conflict, fresh = journal.append(
        [once, Entry(event(2), None, use("k", b"other")), Entry(event(3), None, use("k2"))]
    )
    assert (repeated.seq, repeated.duplicate_of) == (1, 1)
    assert (conflict.seq, conflict.is_conflict) == (0, True)
    assert fresh.seq == 2
    assert journal.remembered(use("k2")) == Remembered(2, None)


def test_a_batch_is_one_request(place: str, opened: Open) -> None:
    journal = opened(place)
    batch = use("k", answer=lambda kept: repr([one.seq for one in kept]).encode(), entries=3)
    entries = [entry(1), entry(7), entry(2), entry(1), Entry(event(3), None, batch), entry(8)]
    assert [one.seq for one in journal.append(entries)] == [1, 2, 3, 1, 4, 5]
    assert journal.remembered(batch) == Remembered(4, b"[3, 1, 4]")
    again = journal.append([entry(11), entry(12), Entry(event(13), None, batch)])
    assert [one.duplicate_of for one in again] == [4, 4, 4]
    assert journal.last_seq() == 5


def test_an_idempotency_key_is_forgotten_after_a_day(
    place: str, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = opened(place)
    start_ms = journal.append([Entry(event(n, event_id=None), None, use(f"k{n}")) for n in range(700)])[
        0
    ].received_ms

    def later(ms: int) -> None:
        monkeypatch.setattr("time.time_ns", lambda: (start_ms + 1000 + ms) * 1_000_000)

    day = 24 * 3600 * 1000
    later(day - 60_000)
    assert journal.remembered(use("k5")) is not None
    later(day)
    assert journal.remembered(use("k5")) is None
    assert journal.append([Entry(event(1), None, use("k5", b"other"))])[0].seq == 701
    assert journal.remembered(use("k5", b"other")) is not None
    for n in range(3):
        journal.append([Entry(event(2 + n), None, use(f"new{n}"))])
    with journal.database.connection() as connection:
        left = connection.exec_driver_sql("SELECT count(*) FROM idempotency").scalar()
    assert left == 4  # 700 old ones went in steps of 500
