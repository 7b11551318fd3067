"""The build end to end: every row accounted for, edges where they belong, nothing private at rest."""

from graph_etl import Snapshot
from tests.building import Built


def test_the_small_platform_builds(timed_build: Built) -> None:
    snapshot = timed_build.snapshot
    assert snapshot.n_accounts == 300
    assert snapshot.manifest["fold_policy"] == "time"


def test_the_small_bridge_builds(untimed_snapshot: Snapshot) -> None:
    assert untimed_snapshot.n_accounts == 130
