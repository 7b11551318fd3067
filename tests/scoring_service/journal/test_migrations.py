"""Opening a store brings its tables to the newest revision, from nothing or from any before."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from scoring_service.database import HEAD, Database, StoreUnavailable, StoreVersion, state_place
from scoring_service.database.engine import MIGRATIONS
from scoring_service.database.tables import METADATA
from scoring_service.journal import Journal
from scoring_service.keys import KeyNameTaken, KeyRepository, KeyRing
from tests.scoring_service.journal.conftest import Open
from tests.scoring_service.journal.events import entry

ROOT = Path(__file__).parents[3]


def go_to(database: Database, revision: str) -> None:
    """Take a store to an older revision, as a program of then would have left it."""
    from alembic import command

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    with database.transaction() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, revision)


def test_the_tables_are_those_that_the_program_means(place: str) -> None:
    database = Database.open(place)
    try:
        with database.connection() as connection:
            context = MigrationContext.configure(connection)
            assert compare_metadata(context, METADATA) == []
            assert context.get_current_revision() == HEAD
    finally:
        database.close()


def test_the_newest_revision_is_the_one_that_is_asked_for() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


@pytest.mark.parametrize("revision", ["0001", "0002"])
def test_an_older_store_is_brought_up_to_date_with_its_rows(place: str, opened: Open, revision: str) -> None:
    with Journal.open(place) as journal:
        journal.append([entry(1), entry(2)])
        rows = list(journal.rows())
        go_to(journal.database, revision)
    with pytest.raises(StoreVersion, match=f"revision {revision}, this program needs {HEAD}"):
        Database.open(place, read_only=True)
    journal = opened(place)
    assert list(journal.rows()) == rows
    assert journal.erase("u-1").rows_erased == 1


def test_keys_are_kept_in_either_store(place: str) -> None:
    database = Database.open(place)
    keys = KeyRepository(database)
    key, token = keys.create("shop", ["score"])
    with pytest.raises(KeyNameTaken):
        keys.create("shop", ["read"])
    with KeyRing(database) as ring:
        assert ring.authenticate(token) == key
        keys.revoke("shop")
        ring.refresh()
        assert ring.authenticate(token) is None
    database.close()


def test_a_newer_store_is_left_alone(place: str) -> None:
    database = Database.open(place)
    with database.transaction() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    database.close()
    with pytest.raises(StoreVersion, match="revision 9999") as error:
        Database.open(place)
    assert "\n" not in str(error.value)


def test_several_may_open_an_empty_store_at_once(place: str) -> None:
    problems: list[BaseException] = []

    def open_one() -> None:
        try:
            Database.open(place).close()
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=open_one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("mysql://u:secret@h/n", "only files of SQLite and Postgres"),
        ("sqlite://", "only files of SQLite and Postgres"),
        ("postgresql://u:secret@127.0.0.1:1/n", "onnection"),
        ("what://is this://", "cannot be read as a URL"),
        ("/proc/nowhere/state.db", "cannot be made"),
    ],
)
def test_a_place_that_is_none_is_told_in_one_line(place: str, says: str) -> None:
    with pytest.raises(StoreUnavailable, match=says) as error:
        Database.open(place)
    assert "\n" not in str(error.value)
    assert "secret" not in str(error.value)


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    file.write_bytes(b"not a database at all" * 500)
    with pytest.raises(StoreUnavailable, match="not a database"):
        Database.open(file)
    assert file.read_bytes().startswith(b"not a database")


def test_the_store_is_in_the_workspace_unless_a_url_says_otherwise(tmp_path: Path) -> None:
    assert state_place(tmp_path, None) == tmp_path / "state.db"
    assert state_place(tmp_path, "postgresql://h/n") == "postgresql://h/n"


def test_importing_the_store_loads_no_migrations() -> None:
    program = "import sys, scoring_service.journal, scoring_service.keys; print('alembic' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
