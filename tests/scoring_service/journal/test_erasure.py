"""An account that is forgotten leaves places, no words; and nothing of it in the files."""

import json
from pathlib import Path

import pytest
from sqlalchemy import select

from graph_etl import LiveCut, LiveErasure, LiveEvent, LiveVerdict
from scoring_service.database.tables import JOURNAL
from scoring_service.journal import (
    Entry,
    IdempotencyUse,
    Journal,
    JournalUnavailable,
    Receipt,
    RetentionRule,
)
from tests.scoring_service.journal.conftest import Open
from tests.scoring_service.journal.events import answered, entry, event

# With what JSON writes differently and what a pattern would read as its own.
NAME = 'müller+"1"'


def about(journal: Journal) -> list[str]:
    return [type(row.content).__name__ for row in journal.rows()]


def test_every_trace_of_an_account_goes_and_the_places_stay(place: str, opened: Open) -> None:
    journal = opened(place)
    other = LiveEvent(
        "message",
        "u-2",
        5,
        "m-1",
        interactions=(("message", "account", NAME, 1.0), ("message", "page", NAME, 2.0)),
        attributes={"invited_by": NAME, "age": 3.0},
    )
    naming = answered(2, evidence=[{"account": NAME}, f"shares a device with {NAME}.", f"{NAME}0"])
    journal.append(
        [
            Entry(event(1, account=NAME), answered(1, account=NAME), IdempotencyUse("k1", "local", b"")),
            Entry(other, naming),
            Entry(LiveVerdict(NAME, 1, 7, "analyst")),
            Entry(LiveCut("u-2", NAME, None)),
            Entry(LiveVerdict("u-2", 0, 8, "analyst", reason=f"not {NAME}")),
            Entry(event(6), answered(6), IdempotencyUse("k6", "local", b"", json.dumps([NAME]).encode())),
            Entry(event(7, account=NAME + "0"), answered(7)),
        ]
    )
    before = dict(enumerate(journal.records(), 1))
    receipt = journal.erase(NAME)
    tombstone = journal.salt.tombstone(NAME)
    assert about(journal) == [
        "LiveErasure",
        "LiveEvent",
        "LiveErasure",
        "LiveErasure",
        "LiveVerdict",
        "LiveEvent",
        "LiveEvent",
        "LiveErasure",
    ]
    assert {row.content for row in journal.rows() if isinstance(row.content, LiveErasure)} == {
        LiveErasure(tombstone)
    }
    after = dict(enumerate(journal.records(), 1))
    assert [after[n][0].received_ms for n in range(1, 8)] == [before[n][0].received_ms for n in range(1, 8)]
    assert after[1][1] is None
    # An entity may be called like the account, and a longer name is somebody else's.
    assert after[2][0].content == LiveEvent(
        "message", "u-2", 5, "m-1", interactions=(("message", "page", NAME, 2.0),), attributes={"age": 3.0}
    )
    scrubbed = after[2][1]
    assert scrubbed is not None
    assert json.loads(scrubbed.answer)["evidence"] == [
        {"account": tombstone},
        f"shares a device with {tombstone}.",
        f"{NAME}0",
    ]
    assert after[5][0].content == LiveVerdict("u-2", 0, 8, "analyst", reason=f"not {tombstone}")
    assert (after[6], after[7]) == (before[6], before[7])
    assert list(journal.altered()) == [1, 2, 3, 4, 5]
    with journal.database.connection() as connection:
        row = connection.execute(select(JOURNAL).where(JOURNAL.c.seq == 1)).one()._mapping
    assert {name for name, value in row.items() if value is not None} == {
        "seq",
        "received_ms",
        "kind",
        "event_key",
        "payload",
        "altered",
    }
    assert journal.remembered(IdempotencyUse("k1", "local", b"")) is None
    assert journal.remembered(IdempotencyUse("k6", "local", b"")) is None
    assert receipt == Receipt(
        receipt_id=receipt.receipt_id,
        tombstone=tombstone,
        rows_erased=3,
        rows_altered=2,
        answers_scrubbed=1,
        requests_dropped=2,
        first_seq=1,
        last_seq=4,
        erasure_seq=8,
        started_ms=receipt.started_ms,
        finished_ms=after[8][0].received_ms,
        is_log_clean=True,
    )
    assert journal.receipts() == [receipt]


def test_an_erased_event_stays_a_duplicate(place: str, opened: Open) -> None:
    journal = opened(place)
    journal.append([entry(1), entry(2)])
    journal.erase("u-1")
    again = journal.append([entry(1), entry(3)])
    assert [(one.seq, one.duplicate_of) for one in again] == [(1, 1), (4, None)]
    assert journal.find("signup", "e-1") == 1


def test_no_byte_of_the_account_is_left_in_the_files(tmp_path: Path, opened: Open) -> None:
    file = tmp_path / "state.db"
    journal = opened(file)
    secret = "somebody-very-particular"
    journal.append([entry(n) for n in range(100)])
    journal.append([entry(n, account=secret, event_id=f"{secret}-{n}") for n in range(100, 200)])
    journal.append([Entry(event(300), answered(300, why=f"like {secret}, " * 500))])
    assert secret.encode() in b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert journal.erase(secret).is_log_clean
    assert secret.encode() not in b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert journal.last_seq() == 202


def test_other_names_of_the_account_go_too(tmp_path: Path, opened: Open) -> None:
    journal = opened(tmp_path / "state.db")
    journal.append([Entry(event(1, account="0f3a"), answered(1)), Entry(event(2), answered(2, who="anna"))])
    receipt = journal.erase("0f3a", also_named=["anna"])
    assert (receipt.rows_erased, receipt.rows_altered, receipt.answers_scrubbed) == (1, 0, 1)
    answer = journal.recorded(2)[1]
    assert answer is not None
    assert json.loads(answer.answer)["who"] == receipt.tombstone


def test_an_erasure_that_was_stopped_goes_on(tmp_path: Path, opened: Open) -> None:
    file = tmp_path / "state.db"
    journal = opened(file)
    for start in range(0, 2500, 500):
        journal.append(
            [entry(n, account="gone" if n % 10 == 0 else "other") for n in range(start, start + 500)]
        )

    class Stopped(Exception):
        pass

    class Stopping:
        """The journal, whose process ends when a third of the work is done."""

        def __init__(self) -> None:
            self.database = journal.database
            self.turns = 0

        def turn(self) -> object:
            self.turns += 1
            if self.turns == 3:
                raise Stopped
            return journal.turn()

        def clean_log(self) -> bool:
            return journal.clean_log()

    from scoring_service.journal.erasure import erase

    with pytest.raises(Stopped):
        erase(Stopping(), "gone", journal.salt.tombstone("gone"), ())  # type: ignore[arg-type]
    assert journal.receipts() == []
    journal.close()
    journal = opened(file)
    receipt = journal.erase("gone")
    assert (receipt.rows_erased, receipt.first_seq, receipt.last_seq) == (250, 1, 2491)
    assert journal.receipts() == [receipt]
    assert sum(isinstance(row.content, LiveErasure) for row in journal.rows()) == 251
    assert [row.seq for row in journal.rows()] == list(range(1, 2502))
    # Forgotten again, it is another erasure.
    assert journal.erase("gone").rows_erased == 0
    assert len(journal.receipts()) == 2


def test_reading_only_erases_nothing(tmp_path: Path, opened: Open) -> None:
    opened(tmp_path / "state.db").append([entry(1)])
    reader = opened(tmp_path / "state.db", read_only=True)
    with pytest.raises(JournalUnavailable, match="reading only"):
        reader.erase("u-1")


DAY = 24 * 3600 * 1000


def test_features_go_before_answers_and_answers_before_rows(
    place: str, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = opened(place)
    start_ms = journal.append([entry(0)])[0].received_ms
    for day in range(1, 5):
        at_ms = start_ms + day * DAY
        monkeypatch.setattr("time.time_ns", lambda at_ms=at_ms: at_ms * 1_000_000)
        journal.append([entry(day), Entry(LiveVerdict("u-1", 1, day, "analyst"))])
    # Rows 1; 2, 3; 4, 5; 6, 7; 8, 9 are of the days 0 to 4.
    rules = [
        RetentionRule("event", "rows", 3 * DAY),
        RetentionRule("event", "answers", 2 * DAY),
        RetentionRule("event", "features", DAY),
    ]
    now_ms = start_ms + 4 * DAY + 1
    done = journal.retain(rules, now_ms, held_seq=1)
    assert (done.features, done.answers, done.rows, done.is_log_clean) == (4, 3, 1, True)
    state = {
        row.seq: (
            type(row.content).__name__,
            answer is not None and answer.features is not None,
            answer is not None,
        )
        for row, answer in journal.records()
    }
    assert state == {
        1: ("LiveErasure", False, False),  # old enough and in a snapshot
        2: ("LiveEvent", False, False),  # as old, in no snapshot yet
        3: ("LiveVerdict", False, False),
        4: ("LiveEvent", False, False),
        5: ("LiveVerdict", False, False),
        6: ("LiveEvent", False, True),
        7: ("LiveVerdict", False, False),
        8: ("LiveEvent", True, True),
        9: ("LiveVerdict", False, False),
    }
    assert journal.append([entry(0)])[0].duplicate_of == 1
    # Only what became due since is looked at again.
    again = journal.retain(rules, now_ms, held_seq=9)
    assert (again.features, again.answers, again.rows) == (0, 0, 1)
    assert isinstance(journal.recorded(2)[0].content, LiveErasure)
    assert isinstance(journal.recorded(4)[0].content, LiveEvent)
