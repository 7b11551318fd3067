"""What a driver outside the cluster, at ``ray://``, gets: the same as one inside.

All slow, and not for their time alone: two clusters on one machine can both take port 23000 for their clients
and no setting moves it, so these must not run beside another cluster's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gnn
from gnn.embedding import Embeddings, embed_here
from graph_etl import Workspace
from ray_jobs import SageSettings, embed_over_ray, score_here, score_over_ray, train_over_ray
from ray_jobs.cluster import connected
from ray_jobs.errors import JobFailed
from ray_jobs.spreading import spread
from ray_jobs.tuning import tune_over_ray

pytestmark = pytest.mark.slow


def _root(number: int) -> float:
    if number < 0:
        problem = f"{number} has no root"
        raise ValueError(problem)
    return float(number**0.5)


def test_tasks_run_there_and_their_errors_come_back(ray_cluster: Any) -> None:
    assert ray_cluster.client_address.startswith("ray://")
    with connected(ray_cluster.client_address) as ray:
        assert ray.util.client.ray.is_connected()
        assert dict(spread(ray, _root, [(4,), (9,)])) == {0: 2.0, 1: 3.0}
        with pytest.raises(JobFailed, match="-1 has no root"):
            list(spread(ray, _root, [(4,), (-1,)]))
        assert dict(spread(ray, _root, [(16,)])) == {0: 4.0}


def test_training_scores_and_embeddings_are_those_of_this_machine(
    platform: Workspace, ray_cluster: Any, tmp_path: Path
) -> None:
    snapshot = platform.open_snapshot()
    bundle = train_over_ray(snapshot, platform, address=ray_cluster.client_address)
    assert bundle.version == gnn.train(snapshot, platform, publish=False).version
    scores = score_over_ray(
        snapshot.path, bundle.path, address=ray_cluster.client_address, parts=tmp_path / "parts"
    )
    assert scores.equals(score_here(snapshot.path, bundle.path))
    there, here = tmp_path / "there", tmp_path / "here"
    embed_over_ray(snapshot.path, bundle.path, str(there), address=ray_cluster.client_address)
    embed_here(snapshot, bundle, here)
    np.testing.assert_array_equal(Embeddings.open(there).vectors, Embeddings.open(here).vectors)


def test_two_workers_of_ray_train(platform: Workspace, ray_cluster: Any) -> None:
    snapshot = platform.open_snapshot()
    bundle = train_over_ray(
        snapshot, platform, sage=SageSettings(workers=2), address=ray_cluster.client_address
    )
    here = gnn.train(snapshot, platform, publish=False)
    assert bundle.scores["score"].to_numpy() == pytest.approx(here.scores["score"].to_numpy(), abs=0.1)


def test_a_study(platform: Workspace, ray_cluster: Any) -> None:
    study = tune_over_ray(platform.open_snapshot(), platform, trials=2, address=ray_cluster.client_address)
    assert study.trials == 2
    assert study.precision >= study.defaults
