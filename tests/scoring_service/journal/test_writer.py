"""The store goes away and comes back: nothing half-written, one clear line, and it goes on by itself."""

import json
import sqlite3
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from scoring_service.journal import Journal, JournalUnavailable, Kept
from tests.scoring_service.journal.conftest import Open
from tests.scoring_service.journal.events import entry

FULL_DISK = """
import json, resource, sys
from scoring_service.journal import Journal, JournalUnavailable
from tests.scoring_service.journal.events import entry

for commit in ("process", "disk"):
    journal = Journal.open(f"{sys.argv[1]}/{commit}.db", commit=commit)
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, most))
    kept, said = 0, None
    while said is None:
        try:
            journal.append([entry(n) for n in range(kept, kept + 20)])
            kept += 20
        except JournalUnavailable as error:
            said = str(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    again = [one.seq for one in journal.append([entry(n) for n in range(kept, kept + 20)])]
    seqs = [row.seq for row in journal.rows()]
    print(json.dumps({"kept": kept, "said": said, "again": again, "seqs": seqs}))
    journal.close()
"""


def fails(journal: Journal, number: int, says: str) -> float:
    """Append one event, which must fail; return how long it took, seconds."""
    started_s = time.perf_counter()
    with pytest.raises(JournalUnavailable, match=says) as error:
        journal.append([entry(number)])
    assert "\n" not in str(error.value)
    return time.perf_counter() - started_s


@pytest.mark.parametrize(("commit", "wait_s"), [("process", 0.04), ("disk", 0.25)])
def test_a_locked_file_is_waited_for_a_bounded_time_and_once(
    tmp_path: Path, opened: Open, commit: str, wait_s: float
) -> None:
    journal = opened(tmp_path / "state.db", commit=commit)
    journal.append([entry(1)])
    other = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    first_s = fails(journal, 2, "locked")
    second_s = fails(journal, 2, "locked")
    other.execute("ROLLBACK")
    assert [one.seq for one in journal.append([entry(2), entry(3)])] == [2, 3]
    # It has its patience back.
    other.execute("BEGIN IMMEDIATE")
    third_s = fails(journal, 4, "locked")
    other.close()
    assert wait_s * 0.5 < first_s < wait_s + 1
    assert second_s < wait_s * 0.5 < third_s
    assert [row.seq for row in journal.rows()] == [1, 2, 3]


def test_a_full_disk_keeps_nothing_half_and_is_overcome(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[3],
    )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == 2  # both ways to commit
    for said in found:
        kept = said["kept"]
        assert kept > 0
        assert "the disk" in said["said"]
        assert said["again"] == list(range(kept + 1, kept + 21))
        assert said["seqs"] == list(range(1, kept + 21))


def test_a_file_that_is_gone_takes_no_rows_and_may_come_back(tmp_path: Path, opened: Open) -> None:
    file, aside = tmp_path / "state.db", tmp_path / "aside.db"
    journal = opened(file)
    journal.append([entry(1), entry(2)])
    file.rename(aside)
    fails(journal, 3, "the file is gone")
    fails(journal, 3, "the file is gone")
    aside.rename(file)
    assert journal.append([entry(3)])[0].seq == 3
    assert [row.seq for row in journal.rows()] == [1, 2, 3]


def test_another_journal_in_its_place_is_refused(tmp_path: Path, opened: Open) -> None:
    file = tmp_path / "state.db"
    journal = opened(file)
    journal.append([entry(1)])
    with Journal.open(tmp_path / "other.db") as other:
        other.append([entry(1), entry(2)])
    (tmp_path / "other.db").rename(file)
    fails(journal, 2, "another file took its place")


def test_a_log_that_is_deleted_loses_nothing(tmp_path: Path, opened: Open) -> None:
    journal = opened(tmp_path / "state.db")
    journal.append([entry(n) for n in range(5)])
    (tmp_path / "state.db-wal").unlink()
    # Written on without a look, this row would be in a file that nobody can open again.
    assert journal.append([entry(5)])[0].seq == 6
    assert [row.seq for row in opened(tmp_path / "state.db", read_only=True).rows()] == [1, 2, 3, 4, 5, 6]


def test_a_closed_journal_says_so(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "state.db")
    journal.close()
    fails(journal, 1, "the journal is closed")


def test_a_lost_connection_to_postgres_is_opened_again(postgres_url: str, opened: Open) -> None:
    journal = opened(postgres_url)
    journal.append([entry(1)])
    end_connections(postgres_url)
    fails(journal, 2, "terminat|closed")
    kept = append_in_the_end(journal, 2)
    assert kept[0].seq == 2
    assert [row.seq for row in journal.rows()] == [1, 2]


def test_two_writers_cannot_both_come_back_to_postgres(postgres_url: str, opened: Open) -> None:
    first = opened(postgres_url)
    first.append([entry(1)])
    end_connections(postgres_url)
    second = opened(postgres_url)
    assert second.append([entry(2)])[0].seq == 2
    fails(first, 3, "terminat|closed")
    deadline = time.monotonic() + 10
    said = ""
    # It tries to connect once a second.
    while "another process writes this journal" not in said:
        assert time.monotonic() < deadline, said
        with pytest.raises(JournalUnavailable) as error:
            first.append([entry(3)])
        said = str(error.value)
    assert second.append([entry(3)])[0].seq == 3


def append_in_the_end(journal: Journal, number: int) -> list[Kept]:
    """Append an event as soon as the store is there again; a lost server is tried once a second."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with suppress(JournalUnavailable):
            return journal.append([entry(number)])
    return journal.append([entry(number)])


def end_connections(url: str) -> None:
    """Have the server end every other connection to the database, as its restart would."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    engine.dispose()
