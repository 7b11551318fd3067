"""Describes the live graph, the journal behind it and the generation that answers."""

from scoring_service.journal import JournalUnavailable
from scoring_service.live.schemas import (
    GenerationPart,
    JournalPart,
    LagPart,
    LiveAnswer,
    OverlayPart,
    RefusedPart,
    ShadowPart,
)
from scoring_service.live.state import LiveState
from scoring_service.loading import Shadow
from scoring_service.risk.reading import iso


def describe_live(state: LiveState) -> LiveAnswer:
    """Describe what a process holds at this moment.

    Args:
        state: The state of the process.

    Returns:
        The description.
    """
    loaded, live = state.loaded, state.loaded.live
    kept = _last_kept(state)
    problem = state.journal_problem
    return LiveAnswer(
        role="follower" if state.is_follower else "writer",
        last_seq=live.last_seq,
        generation=GenerationPart(
            number=state.generation,
            since=iso(state.generation_since_ms),
            snapshot=loaded.snapshot.id,
            bundle=loaded.bundle_version,
            rings=None if loaded.rings is None else loaded.rings.run.id,
            shadow=None if loaded.shadow is None else str(loaded.shadow.bundle.version),
            policy=f"{loaded.policy.name} {loaded.policy.version}",
        ),
        refused=None if state.refused is None else _refused(*state.refused),
        overlay=OverlayPart(
            rows=live.n_new_events,
            max_events=state.settings.max_live_events,
            accounts=live.n_accounts - live.snapshot.n_accounts,
            nodes=live.n_nodes - live.snapshot.n_nodes,
            bytes=live.nbytes,
        ),
        journal=JournalPart(
            status="ok" if problem is None else "unavailable",
            message=None if problem is None else problem.message,
            commit=state.settings.commit,
            last_seq=kept,
        ),
        lag=LagPart(
            rows=None if kept is None else max(0, kept - live.last_seq),
            last_ms=state.lag_ms,
            worst_ms=state.worst_lag_ms if state.is_follower else None,
        ),
        shadow=None if loaded.shadow is None else _shadow(loaded.shadow),
        graph_as_of=loaded.graph_as_of,
    )


def _last_kept(state: LiveState) -> int | None:
    try:
        return None if state.journal is None else state.journal.last_seq()
    except JournalUnavailable:
        return None


def _refused(current: dict[str, str | None], message: str) -> RefusedPart:
    return RefusedPart(
        snapshot=current.get("snapshot"),
        bundle=current.get("bundle"),
        rings=current.get("rings"),
        shadow=current.get("shadow"),
        message=message,
    )


def _shadow(shadow: Shadow) -> ShadowPart:
    return ShadowPart(
        bundle=str(shadow.bundle.version),
        answers=shadow.answers,
        errors=shadow.errors,
        other_decisions=shadow.other_decisions,
        mean_difference=shadow.sum_of_differences / shadow.answers if shadow.answers else None,
        greatest_difference=shadow.greatest_difference if shadow.answers else None,
    )
