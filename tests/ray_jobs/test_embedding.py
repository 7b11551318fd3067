"""Embedding over Ray gives the files that one process writes, and goes on where it was stopped."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gnn
from gnn.embedding import Embeddings, embed_here
from ray_jobs import embed_over_ray
from tests.building import Built


@pytest.fixture(scope="module")
def bundle(timed_build: Built) -> gnn.Bundle:
    return gnn.train(timed_build.snapshot, timed_build.workspace, seed=1)


def test_tasks_on_two_nodes_write_what_one_process_writes(
    timed_build: Built, bundle: gnn.Bundle, ray_cluster: Any, tmp_path: Path
) -> None:
    told: list[tuple[str, int, int]] = []

    def run() -> None:
        embed_over_ray(
            timed_build.snapshot.path,
            bundle.path,
            str(tmp_path / "ray"),
            shift=7,
            address=ray_cluster.address,
            store=(tmp_path / "store").as_uri(),
            progress=lambda *step: told.append(step),
        )

    run()
    embed_here(timed_build.snapshot, bundle, tmp_path / "here", shift=7)
    here, spread = Embeddings.open(tmp_path / "here"), Embeddings.open(tmp_path / "ray")
    np.testing.assert_array_equal(here.vectors, spread.vectors)
    assert here.accounts == spread.accounts
    assert here.manifest == spread.manifest
    assert told[-1] == ("embedding all accounts", 3, 3)
    told.clear()
    run()
    assert told == []  # all is there: nothing is done, and no cluster is asked
    (tmp_path / "ray" / "part-000001.parquet").write_bytes(b"PAR1")
    kept = (tmp_path / "ray" / "part-000000.parquet").stat().st_mtime_ns
    run()
    assert next(step for step in told if step[0] == "embedding all accounts")[1:] == (2, 3)
    assert (tmp_path / "ray" / "part-000000.parquet").stat().st_mtime_ns == kept
    np.testing.assert_array_equal(Embeddings.open(tmp_path / "ray").vectors, here.vectors)
