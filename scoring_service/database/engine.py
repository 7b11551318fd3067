"""The SQL store: a SQLite file in the workspace, or Postgres by URL; opening it migrates the tables."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from sqlalchemy import Connection, Engine, QueuePool, create_engine, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.sql import ClauseElement

from scoring_service.database.errors import JournalMissing, StoreUnavailable, StoreVersion
from scoring_service.database.tables import HEAD

STATE_FILE: Final = "state.db"
MIGRATIONS: Final = Path(__file__).parent / "migrations"
_MIGRATE_WAIT_MS: Final = 30_000
_READ_WAIT_MS: Final = 1_000
_CONNECT_WAIT_S: Final = 3
# "ringwatc" and "ringmigr" in ASCII: Postgres names its advisory locks by a 64-bit number.
WRITER_LOCK: Final = 0x72696E6777617463
_MIGRATION_LOCK: Final = 0x72696E676D696772
LONGEST_STATEMENT_MS: Final = 5_000
_POOL_SIZE: Final = 4


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement as the driver takes it: prepared once, so that running it costs no look at its form.

    Attributes:
        text: SQL with the driver's own marks for values.
        names: Name of each value, in order.
    """

    text: str
    names: tuple[str, ...]


class Database:
    """One SQL store that processes share.

    Attributes:
        place: Its file, or its URL without the password: what errors name.
        path: Its file; None for Postgres.
        engine: Hands out connections that see each statement at once (autocommit).
        errors: Exceptions of driver and SQLAlchemy, for ``except``.
        is_read_only: Whether it was opened for reading only.
    """

    def __init__(self, url: URL, *, read_only: bool) -> None:
        self.is_read_only = read_only
        self.path = Path(str(url.database)) if url.get_backend_name() == "sqlite" else None
        self.place = str(self.path) if self.path is not None else url.render_as_string(hide_password=True)
        self._url = url
        self.engine: Engine = self._sqlite_engine() if self.path is not None else self._postgres_engine()
        driver = self.engine.dialect.loaded_dbapi
        self.errors: tuple[type[Exception], ...] = (SQLAlchemyError, driver.Error)

    @classmethod
    def open(cls, url_or_path: str | Path, *, read_only: bool = False) -> Self:
        """Open a store; make it and bring its tables up to date unless it is opened for reading only.

        Args:
            url_or_path: Path of a SQLite file, or a URL: ``sqlite:///...``, ``postgresql+psycopg://...``.
            read_only: Change nothing.

        Returns:
            The store.

        Raises:
            StoreUnavailable: If it cannot be reached or used.
            StoreVersion: If its tables are of another version and may not or cannot be changed.
        """
        database = cls(_url(url_or_path), read_only=read_only)
        try:
            database._prepare()
        except database.errors as error:
            database.close()
            raise StoreUnavailable(
                database.place, database.problem(error), "Check the path or RINGWATCH_DATABASE_URL."
            ) from None
        except BaseException:
            database.close()
            raise
        return database

    def close(self) -> None:
        """Give all pooled connections back."""
        self.engine.dispose()

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a SQLite file."""
        return self.path is not None

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A pooled connection for reading; each statement sees what is committed when it runs."""
        with self.engine.connect() as connection:
            yield connection

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A pooled connection inside a transaction that may write: all or nothing."""
        with self.engine.connect() as connection:
            # At once: a transaction that reads first and writes later can be refused in the middle.
            connection.exec_driver_sql("BEGIN IMMEDIATE" if self.is_sqlite else "BEGIN")
            try:
                yield connection
                connection.exec_driver_sql("COMMIT")
            except BaseException:
                if not connection.invalidated and not connection.closed:
                    connection.exec_driver_sql("ROLLBACK")
                raise

    def writer(self, *, wait_ms: int, durable: bool) -> Connection:
        """Open a connection outside the pool, for the one writer of the journal.

        Args:
            wait_ms: How long to wait for a lock that another connection holds.
            durable: Whether a commit waits until the disk has it.

        Returns:
            The connection, in autocommit: transactions are begun in words.
        """
        connection = self.engine.connect()
        connection.detach()
        if self.is_sqlite:
            # NORMAL: no wait at a commit. When the power fails, the file stays whole without its last rows.
            connection.exec_driver_sql(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            connection.exec_driver_sql("PRAGMA secure_delete=ON")
            # Another thread does that: within a commit it takes many times the commit's own time.
            connection.exec_driver_sql("PRAGMA wal_autocheckpoint=0")
            connection.exec_driver_sql(f"PRAGMA busy_timeout={wait_ms}")
        else:
            connection.exec_driver_sql(f"SET synchronous_commit={'on' if durable else 'off'}")
            connection.exec_driver_sql(f"SET lock_timeout={wait_ms}")
            connection.exec_driver_sql(f"SET statement_timeout={LONGEST_STATEMENT_MS}")
        return connection

    def statement(self, clause: ClauseElement) -> Statement:
        """Write a statement of SQLAlchemy in the driver's words.

        Args:
            clause: The statement; every value in it is a named parameter.

        Returns:
            Its text and the order of its values.
        """
        dialect = self.engine.dialect
        compiled = clause.compile(dialect=dialect)
        return Statement(str(compiled), tuple(compiled.positiontup or ()))  # type: ignore[attr-defined]

    @staticmethod
    def problem(error: BaseException) -> str:
        """What an exception of driver or SQLAlchemy says, in one line and without values."""
        said = str(getattr(error, "orig", None) or error).strip() or type(error).__name__
        return said.splitlines()[0]

    def _sqlite_engine(self) -> Engine:
        return create_engine(
            "sqlite+pysqlite://",
            creator=lambda: self._connect_sqlite(_READ_WAIT_MS),
            poolclass=QueuePool,
            pool_size=_POOL_SIZE,
            # What is not in a transaction by word needs no rollback when it goes back to the pool.
            pool_reset_on_return="rollback",
        )

    def _postgres_engine(self) -> Engine:
        try:
            return create_engine(
                self._url,
                isolation_level="AUTOCOMMIT",
                paramstyle="format",
                pool_size=_POOL_SIZE,
                pool_pre_ping=True,
                connect_args={
                    "connect_timeout": _CONNECT_WAIT_S,
                    "application_name": "ringwatch",
                    # A server that vanished is noticed after about 6 s, not after two hours.
                    "keepalives_idle": 3,
                    "keepalives_interval": 1,
                    "keepalives_count": 3,
                    "tcp_user_timeout": 5_000,
                },
            )
        except ImportError:
            raise StoreUnavailable(
                self.place, "Postgres needs the driver psycopg", 'Run `pip install "ringwatch[postgres]"`.'
            ) from None

    def _connect_sqlite(self, wait_ms: int) -> sqlite3.Connection:
        assert self.path is not None
        mode = "ro" if self.is_read_only else "rw"
        # Percent signs, question marks and hashes have a meaning of their own in a URI.
        connection = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=wait_ms / 1000,
            isolation_level=None,
            check_same_thread=False,
        )
        return connection

    def _prepare(self) -> None:
        if self.path is not None and not self._is_there():
            if self.is_read_only:
                raise JournalMissing(self.place)
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                # Events of people: nobody else's to read.
                os.close(os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
            except OSError as error:
                raise StoreUnavailable(
                    self.place, f"cannot be made ({error.strerror})", "Check the folder."
                ) from None
        found = self._revision()
        if found == HEAD:
            return
        if self.is_read_only:
            if found is None:
                raise JournalMissing(self.place)
            raise StoreVersion(self.place, found, HEAD)
        self._migrate()

    def _is_there(self) -> bool:
        assert self.path is not None
        return self.path.is_file() and self.path.stat().st_size > 0

    def _revision(self) -> str | None:
        """Revision of the tables; None if there are none."""
        with self.connection() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return None
            found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
            return None if found is None else str(found)

    def _migrate(self) -> None:
        """Bring the tables up to date; another process that does so is waited for."""
        # Imported here: it costs a third of a second, and a store that is up to date needs none of it.
        from alembic import command
        from alembic.config import Config
        from alembic.util import CommandError

        if self.is_sqlite:
            self._use_wal()
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        config.set_main_option("path_separator", "os")
        with self.engine.connect() as connection:
            config.attributes["connection"] = connection
            if self.is_sqlite:
                connection.exec_driver_sql(f"PRAGMA busy_timeout={_MIGRATE_WAIT_MS}")
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                connection.exec_driver_sql("BEGIN")
                connection.exec_driver_sql(f"SET LOCAL lock_timeout={_MIGRATE_WAIT_MS}")
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")
            try:
                command.upgrade(config, "head")
                connection.exec_driver_sql("COMMIT")
            except CommandError:
                connection.exec_driver_sql("ROLLBACK")
                found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
                raise StoreVersion(self.place, str(found), HEAD) from None
            except BaseException:
                connection.exec_driver_sql("ROLLBACK")
                raise
            finally:
                # Its wait is longer than that of the pool's others.
                connection.invalidate()

    def _use_wal(self) -> None:
        """Let readers and the writer work side by side; a property of the file, set once."""
        deadline = time.monotonic() + _MIGRATE_WAIT_MS / 1000
        with self.engine.connect() as connection:
            while True:
                try:
                    connection.exec_driver_sql("PRAGMA journal_mode=WAL")
                    return
                except self.errors:
                    # This one statement does not wait for a lock by itself.
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.01)


def _url(url_or_path: str | Path) -> URL:
    if isinstance(url_or_path, str) and "://" in url_or_path:
        try:
            url = make_url(url_or_path)
        except (ArgumentError, ValueError):
            where = "RINGWATCH_DATABASE_URL"
            raise StoreUnavailable(
                where,
                "cannot be read as a URL",
                "Write postgresql+psycopg://user:password@host/name, or leave it out for a file.",
            ) from None
        backend = url.get_backend_name()
        if backend in {"postgresql", "postgres"}:
            return url.set(drivername="postgresql+psycopg")
        if backend == "sqlite" and url.database not in {None, "", ":memory:"}:
            return url.set(drivername="sqlite+pysqlite")
        raise StoreUnavailable(
            url.render_as_string(hide_password=True),
            "only files of SQLite and Postgres can hold the journal",
            "Write sqlite:///path/state.db or postgresql+psycopg://user:password@host/name.",
        )
    return URL.create("sqlite+pysqlite", database=str(url_or_path))


def state_place(workspace: Path, url: str | None) -> str | Path:
    """Where the store is kept.

    Args:
        workspace: Folder of the workspace.
        url: ``RINGWATCH_DATABASE_URL``, if it is set.

    Returns:
        The URL, or the file in the workspace.
    """
    return url or workspace / STATE_FILE
