"""What the service has loaded and what it lacks."""

from scoring_service.health.schemas import Readiness
from scoring_service.live import LiveState


def readiness(state: LiveState) -> Readiness:
    """Describe what answers are made from.

    Args:
        state: The state of the process.

    Returns:
        The ids in use, and what is missing.
    """
    loaded, journal = state.loaded, state.journal_problem
    problems = [problem.message for problem in loaded.problems.values()]
    if journal is not None:
        problems.append(journal.message)
    if state.refused is not None:
        problems.append(f"a newer generation was refused: {state.refused[1]}")
    return Readiness(
        status="degraded" if problems else "ready",
        data_set=str(loaded.snapshot.manifest["name"]),
        accounts=loaded.live.n_accounts,
        snapshot=loaded.snapshot.id,
        bundle=loaded.bundle_version,
        rings=None if loaded.rings is None else loaded.rings.run.id,
        policy=f"{loaded.policy.name} {loaded.policy.version}",
        graph_as_of=loaded.graph_as_of,
        simulated=loaded.simulated,
        journal="ok" if journal is None else "unavailable",
        last_seq=loaded.live.last_seq,
        problems=problems,
    )
