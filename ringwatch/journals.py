"""Opens the journal of a workspace, as the service's settings say where it is."""

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
    from scoring_service import ServiceSettings
    from scoring_service.journal import Journal

    settings = ServiceSettings(workspace=workspace)
    return Journal.open(settings.journal_place, read_only=read_only)
