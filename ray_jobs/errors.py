"""What can go wrong when work is spread over Ray."""

from graph_etl.errors import RingwatchError


class RayMissing(RingwatchError):
    """Work should be spread over Ray, and Ray is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "Ray is not installed; install the extra with `pip install 'ringwatch[ray]'`, "
            "or run without it (`ringwatch build`, `ringwatch train`, `ringwatch export scores FILE`)"
        )


class ClusterMissing(RingwatchError):
    """No Ray cluster answers where one was asked for.

    Args:
        address: The address.
        problem: What went wrong there.
    """

    def __init__(self, address: str, problem: str) -> None:
        super().__init__(
            f"no Ray cluster answers at {address} ({' '.join(problem.split())[:160]}); start one with"
            " `ray start --head`, give its --address, or leave --address and RAY_ADDRESS out for a cluster"
            " on this machine"
        )


class PlaceError(RingwatchError):
    """A snapshot or bundle cannot be had, whole, where it is needed."""


class JobFailed(RingwatchError):
    """A part of the work failed on the cluster, also when it was tried again."""
