"""Opens the journal of a workspace, as the environment says where it is."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scoring_service.journal import Journal


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
