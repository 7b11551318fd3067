"""The way to a Neo4j: where it is, who asks, and its errors in one clear line each."""

from __future__ import annotations

import logging
import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from graph_etl.errors import RingwatchError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from neo4j import Driver, Session

SCHEMES: Final = ("neo4j", "neo4j+s", "neo4j+ssc", "bolt", "bolt+s", "bolt+ssc")
# The first with type predicates, by which a repair tells a time from a text.
_OLDEST: Final = (5, 9)

TIMED_OUT: Final = ("TransactionTimedOut", "Terminated", "LockClientStopped")
"""What a server says when a transaction's time is over, by what it was doing."""


class GraphStoreError(RingwatchError):
    """A Neo4j cannot be used as asked."""


class GraphStoreAway(GraphStoreError):
    """A Neo4j cannot be used now, and may be soon; what was asked of it can be asked again."""


@dataclass(frozen=True, slots=True)
class Target:
    """A database on a Neo4j server.

    Attributes:
        uri: For example ``neo4j://localhost:7687``.
        username: Who asks.
        password: The password.
        database: Name of the database; None: the user's home database.
    """

    uri: str = field(repr=False)
    username: str = "neo4j"
    password: str = field(default="", repr=False)
    database: str | None = None

    def __post_init__(self) -> None:
        place = self.uri.rpartition("@")[2]
        try:
            parts = urlsplit(self.uri)
            is_address = parts.scheme in SCHEMES and parts.port != 0
        except ValueError:  # a port that is no number, a bracket that is not closed
            is_address = False
        if not is_address:
            message = (
                f"{place!r} is no address of a Neo4j; write for example neo4j://localhost:7687"
                " (NEO4J_URI or --uri)"
            )
            raise GraphStoreError(message)
        if "@" in parts.netloc:
            message = (
                f"{parts.scheme}://{place}: user and password do not belong into the address;"
                " set NEO4J_USERNAME and NEO4J_PASSWORD"
            )
            raise GraphStoreError(message)

    @property
    def shown(self) -> str:
        """The address as messages show it, never with a password."""
        parts = urlsplit(self.uri)
        place = f"{parts.scheme}://{parts.netloc}"
        return place if self.database is None else f"{place}/{self.database}"


@contextmanager
def connect(target: Target) -> Iterator[Driver]:
    """Open the way to a database and check that it can be used; errors in the block come in plain words.

    Args:
        target: The database.

    Yields:
        A driver that talks to it; sessions come from :func:`session`.

    Raises:
        GraphStoreError: If the server cannot be reached, refuses the user, lacks the database or is too old,
            or goes away in the middle.
    """
    try:
        from neo4j import GraphDatabase
    except ImportError:
        message = "the Neo4j driver is not installed; pip install 'ringwatch[neo4j]'"
        raise GraphStoreError(message) from None
    # What goes wrong is said once, in plain words, by whoever asked.
    logging.getLogger("neo4j").addHandler(logging.NullHandler())
    with in_plain_words(target):
        driver = GraphDatabase.driver(
            target.uri,
            auth=(target.username, target.password),
            # Deprecations are for those who write queries, not for those who run them.
            notifications_min_severity="OFF",
            connection_timeout=10.0,
            connection_acquisition_timeout=20.0,
            max_transaction_retry_time=30.0,
            user_agent="ringwatch",
        )
        with driver:
            driver.verify_connectivity()
            with session(driver, target) as opened:
                version = opened.run(
                    "CALL dbms.components() YIELD versions RETURN versions[0] AS version"
                ).single(strict=True)["version"]
            # Aura's versions look like 5.27-aura.
            if tuple(int(part) for part in re.findall(r"\d+", str(version))[:2]) < _OLDEST:
                message = f"{target.shown}: Neo4j {version} is too old; Ringwatch needs 5.9 or later"
                raise GraphStoreError(message)
            yield driver


def session(driver: Driver, target: Target, **options: Any) -> Session:
    """A session on the target's database.

    Args:
        driver: From :func:`connect`.
        target: The database.
        **options: For the driver, for example ``fetch_size``.

    Returns:
        The session, to be closed.
    """
    return driver.session(database=target.database, **options)


@contextmanager
def in_plain_words(target: Target) -> Iterator[None]:
    """Turn errors of the driver into one line that says what, where and what to do.

    Args:
        target: The database.

    Raises:
        GraphStoreError: In the place of what the driver raises; :class:`GraphStoreAway` for what passes.
    """
    from neo4j import exceptions

    passing = False
    try:
        yield
    except exceptions.AuthError:
        problem = (
            f"refuses user {target.username!r} with this password; set NEO4J_USERNAME and NEO4J_PASSWORD"
        )
    except exceptions.ServiceUnavailable as error:
        problem = (
            f"cannot be reached or went away ({_first_line(error)}); start it, then run the command again"
        )
        passing = True
    except exceptions.Neo4jError as error:
        code = str(error.code or "")
        passing = error.is_retryable()
        if "DatabaseNotFound" in code:
            problem = f"has no database {target.database!r}; set NEO4J_DATABASE or --database"
        elif "AuthenticationRateLimit" in code:
            problem = "refuses more attempts for a while after wrong passwords; wait, then set NEO4J_PASSWORD"
        elif "Forbidden" in code:
            problem = (
                f"does not let user {target.username!r} do this ({_first_line(error)}); use another user"
            )
        elif any(sort in code for sort in TIMED_OUT):
            problem = (
                "ended this because it took too long; a transaction that somebody left open may hold what it"
                " needs: SHOW TRANSACTIONS names it, end it and run the command again"
            )
        elif "ConstraintValidationFailed" in code:
            problem = (
                "holds a node that should not be there: somebody changed this database;"
                " run `ringwatch neo4j load --repair`"
            )
        elif "MemoryLimit" in code or "OutOfMemory" in code or "TransactionOutOfMemory" in code:
            problem = (
                f"has too little memory for this ({_first_line(error)});"
                " raise server.memory.heap.max_size, then run the command again"
            )
        else:
            problem = f"says {_first_line(error)} ({code})"
    except (exceptions.DriverError, OSError) as error:
        problem = f"cannot be used ({_first_line(error)}); run the command again once it is back"
        passing = isinstance(error, OSError) or error.is_retryable()
    else:
        return
    message = f"{target.shown}: {problem}"
    raise (GraphStoreAway if passing else GraphStoreError)(message)


def _first_line(error: BaseException) -> str:
    text = getattr(error, "message", None) or str(error)
    return str(text).strip().partition("\n")[0].rstrip(".:")[:200]
