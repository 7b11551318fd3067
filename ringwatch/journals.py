"""Opens the journal of a workspace, as the environment says where it is."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rings.benign import Confirmed
    from scoring_service.journal import Journal
    from scoring_service.rings.registry import BenignRepository


def open_journal(workspace: Path, *, read_only: bool = True) -> "Journal":
    """Open the journal of a workspace.

    Args:
        workspace: The workspace's folder.
        read_only: Whether to read beside a service that writes it.

    Returns:
        The journal.

    Raises:
        JournalMissing: If it is opened for reading and there is none.
        JournalInUse: If it is opened for writing and a service writes it.
    """
    from scoring_service.journal import Journal

    return Journal.open(state_of(workspace), read_only=read_only)


def state_of(workspace: Path) -> str | Path:
    """Where the service keeps the journal and the keys of a workspace: the database's URL, or a file.

    Args:
        workspace: The workspace's folder.

    Returns:
        What the environment says, else a file in the workspace.
    """
    from ringwatch.settings import settings
    from scoring_service.database import state_place

    url = settings().database_url
    return state_place(workspace, None if url is None else url.get_secret_value())


@contextmanager
def benign_registry(workspace: Path, *, read_only: bool = False) -> Iterator["BenignRepository"]:
    """Open the registry of groups that people confirmed to be benign.

    Args:
        workspace: The workspace's folder.
        read_only: Whether nothing is to be changed.

    Yields:
        The registry.

    Raises:
        StoreUnavailable: If the store cannot be used.
    """
    from scoring_service.database import Database
    from scoring_service.rings.registry import BenignRepository

    database = Database.open(state_of(workspace), read_only=read_only)
    try:
        yield BenignRepository(database)
    finally:
        database.close()


def benign_groups(workspace: Path) -> "list[Confirmed]":
    """The groups that people confirmed to be benign.

    Args:
        workspace: The workspace's folder.

    Returns:
        The groups; none where no service and nobody has written to the store yet.

    Raises:
        StoreUnavailable: If there is a store that cannot be read: found without it, rings that people called
            benign would be reported.
    """
    place = state_of(workspace)
    if isinstance(place, Path) and not place.exists():
        return []
    # Opened for writing, for an older store has to be brought up to date first.
    with benign_registry(workspace) as registry:
        return registry.active()
