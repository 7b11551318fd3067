"""Embedding over Ray gives the files that one process writes, and goes on where it was stopped."""

import os
import signal
import subprocess
import sys
import time
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


DRIVER = """
import sys
from pathlib import Path
from ray_jobs import embed_over_ray
embed_over_ray(
    Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], shift=4, address=sys.argv[4],
    progress=lambda *told: print(*told, flush=True),
)
"""


@pytest.mark.slow
def test_a_killed_driver_loses_no_part(
    timed_build: Built, bundle: gnn.Bundle, ray_cluster: Any, tmp_path: Path
) -> None:
    """19 files of what accounts show, 76 of what nodes send, 19 parts; killed three times, anywhere."""
    rng = np.random.default_rng(int(time.time()))
    folder = tmp_path / "killed"
    words = [str(timed_build.snapshot.path), str(bundle.path), str(folder), ray_cluster.address]
    done: dict[str, bytes] = {}
    for _ in range(3):
        enough = len(done) + int(rng.integers(1, 25))
        with subprocess.Popen(
            [sys.executable, "-c", DRIVER, *words],
            env={**os.environ, "PYTHONPATH": str(Path.cwd())},
            stdout=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None
            # It tells of each file that is whole; each line is a chance to kill it.
            for _ in process.stdout:
                if len(list(folder.rglob("*.json"))) > enough:
                    break
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        found = {
            told.with_suffix("").name: told.with_suffix("").read_bytes()
            for told in folder.rglob("*.json")
            if told.name != "manifest.json"
        }
        assert len(found) >= enough
        assert all(found[name] == content for name, content in done.items())
        done = found
    embed_over_ray(timed_build.snapshot.path, bundle.path, str(folder), shift=4, address=ray_cluster.address)
    embed_here(timed_build.snapshot, bundle, tmp_path / "here", shift=4)
    np.testing.assert_array_equal(Embeddings.open(folder).vectors, Embeddings.open(tmp_path / "here").vectors)
