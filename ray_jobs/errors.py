"""What can go wrong when work is spread over Ray."""

from graph_etl.errors import RingwatchError


class RayMissing(RingwatchError):
    """Work should be spread over Ray, and Ray is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "Ray is not installed; install the extra with `pip install 'ringwatch[ray]'`, "
            "or score without it (`ringwatch export scores FILE`)"
        )
