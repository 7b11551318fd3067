"""Prepares a generation beside the one that answers, in a worker thread, up to the moment of the switch."""

from collections.abc import Callable

from graph_etl import RingwatchError, Snapshot, Workspace
from scoring_service.journal import Journal
from scoring_service.loading import Loaded, load, prefault, replay
from scoring_service.policy import Policy
from scoring_service.risk.service import RiskService
from scoring_service.warmup import warm_up

# What is left to apply in the loop at the switch takes no longer than a request.
_FEW_ROWS = 16


class JournalTooShort(RingwatchError):
    """The journal lacks rows that the snapshot holds: what it accepted next would count for nothing."""

    def __init__(self, last_seq: int, snapshot: Snapshot) -> None:
        """Name both ends."""
        super().__init__(
            f"the journal ends at row {last_seq:,}, snapshot {snapshot.id} holds rows up to "
            f"{snapshot.last_seq:,}; restore the journal from its backup, or run `ringwatch build SPEC` "
            "without --append"
        )


def check_length(journal: Journal | None, snapshot: Snapshot) -> None:
    """Refuse a journal that is older than the snapshot, or another one.

    Args:
        journal: The journal; None while there is none.
        snapshot: The snapshot.

    Raises:
        JournalTooShort: If it is.
    """
    if journal is not None and journal.last_seq() < snapshot.last_seq:
        raise JournalTooShort(journal.last_seq(), snapshot)


def prepare(loaded: Loaded, journal: Journal | None, risk: RiskService, *, whole: bool = False) -> int:
    """Bring a generation up to date and make it quick.

    Args:
        loaded: The generation; nobody else may use it meanwhile.
        journal: The journal; None while there is none.
        risk: Scores once through all parts.
        whole: Raise what a warm-up would only log.

    Returns:
        Rows of the journal that were applied.
    """
    rows = 0 if journal is None else replay(loaded, journal)
    if loaded.rings is not None:
        loaded.rings.place_new(loaded.live)
    prefault(loaded.snapshot)
    warm_up(loaded, risk, whole=whole)
    return rows


def load_generation(
    workspace: Workspace,
    policy: Policy,
    current: dict[str, str | None],
    journal: Journal | None,
    room: Callable[[], int],
    risk: RiskService,
) -> Loaded:
    """Load a generation that can take over at once.

    Args:
        workspace: Where its parts are.
        policy: Turns scores into decisions.
        current: Ids of its parts.
        journal: What has happened since its snapshot; None while there is none.
        room: Tells how many rows a live graph must be able to hold.
        risk: Scores once through all parts.

    Returns:
        The generation, but for the last few rows of the journal.

    Raises:
        Exception: Whatever is wrong with a part that is named.
    """
    loaded = load(workspace, policy, max_live_events=room(), whole=True, current=current)
    check_length(journal, loaded.snapshot)
    prepare(loaded, journal, risk, whole=True)
    while journal is not None and replay(loaded, journal) > _FEW_ROWS:
        pass
    return loaded
