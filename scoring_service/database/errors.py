"""What can go wrong with the SQL store, in one line each.

As a tree::

    RingwatchError
    └── StoreUnavailable          the database cannot be used now
        ├── JournalUnavailable    the journal cannot be written or read now
        │   ├── JournalMissing    there is none yet, and it was opened for reading only
        │   └── JournalInUse      another process writes it
        └── StoreVersion          another version of the program made the database
"""

from graph_etl.errors import RingwatchError


class StoreUnavailable(RingwatchError):
    """The database cannot be used now.

    Args:
        place: The file or the URL without its password.
        problem: What is wrong.
        remedy: What to do.
    """

    def __init__(self, place: str, problem: str, remedy: str = "It is tried again by itself.") -> None:
        self.place = place
        self.problem = problem
        super().__init__(f"{place}: {problem}. {remedy}")


class JournalUnavailable(StoreUnavailable):
    """The journal cannot be written or read now; nothing of what was to be written was kept."""


class JournalMissing(JournalUnavailable):
    """There is no journal yet."""

    def __init__(self, place: str) -> None:
        """Say what makes one."""
        super().__init__(place, "there is no journal yet", "`ringwatch serve` starts one.")


class JournalInUse(JournalUnavailable):
    """Another process writes the journal."""

    def __init__(self, place: str, holder: str | None = None) -> None:
        """Name the process, where it is known."""
        who = "another process" if holder is None else f"process {holder}"
        super().__init__(
            place, f"{who} writes this journal", "One process writes, others follow it; stop the first one."
        )


class StoreVersion(StoreUnavailable):
    """Another version of the program made the database."""

    def __init__(self, place: str, found: str | None, wanted: str) -> None:
        """Name both revisions."""
        super().__init__(
            place,
            f"its tables have revision {found or 'none'}, this program needs {wanted}",
            "Start `ringwatch serve` of this version once, or use the version that made it.",
        )
