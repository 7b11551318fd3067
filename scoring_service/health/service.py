"""What the service has loaded and what it lacks."""

from scoring_service.health.schemas import Readiness
from scoring_service.loading import Loaded


def readiness(loaded: Loaded) -> Readiness:
    """Describe what answers are made from.

    Args:
        loaded: What the service has loaded.

    Returns:
        The ids in use, and what is missing.
    """
    problems = [problem.message for problem in loaded.problems.values()]
    return Readiness(
        status="degraded" if problems else "ready",
        data_set=str(loaded.snapshot.manifest["name"]),
        accounts=loaded.snapshot.n_accounts,
        snapshot=loaded.snapshot.id,
        bundle=loaded.bundle_version,
        rings=None if loaded.rings is None else loaded.rings.run.id,
        policy=f"{loaded.policy.name} {loaded.policy.version}",
        graph_as_of=loaded.graph_as_of,
        simulated=loaded.simulated,
        problems=problems,
    )
