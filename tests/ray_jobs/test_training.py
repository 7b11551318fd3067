"""Training over a cluster: the same bundle, the same gradients, and nothing done twice after a kill."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

import gnn
from features import Queries
from gnn.inputs import inputs as rows_of
from gnn.sage import SageInputs, run_sage
from gnn.sage_examples import batch_loss
from gnn.sage_fit import _examples
from gnn.sage_kernel import Sage
from gnn.sage_network import GraphSage
from gnn.sage_problem import SageProblem
from gnn.sage_workers import Alone, Processor, Workers
from gnn.sampler import n_message_types
from gnn.targets import targets
from graph_etl import Snapshot, Workspace
from graph_etl.workspace import WorkspaceError
from ray_jobs import SageSettings, train_over_ray
from ray_jobs.cluster import connected
from ray_jobs.kept import Kept
from ray_jobs.places import place_of
from ray_jobs.sage_training import EPOCHS, TrainWorkers
from ray_jobs.training import OverRay
from tests.ray_jobs.killing import workers_on

ROOT = Path(__file__).resolve().parents[2]
BATCH = 37  # of both workers together: one of them holds one question more


class Killed(BaseException):
    """What a kill looks like from inside."""


def test_a_training_cut_short_goes_on_and_gives_the_bundle_of_train(
    platform: Workspace, ray_cluster: Any
) -> None:
    snapshot = platform.open_snapshot()
    done: list[tuple[str, int]] = []

    def cut(stage: str, pieces: int, _: int) -> None:
        if stage.startswith("narrow trees") and pieces == 2:
            raise Killed

    with pytest.raises(Killed):
        train_over_ray(snapshot, platform, address=ray_cluster.address, progress=cut)
    bundle = train_over_ray(
        snapshot,
        platform,
        address=ray_cluster.address,
        progress=lambda stage, pieces, _: done.append((stage, pieces)),
    )
    first = {stage: pieces for stage, pieces in reversed(done)}
    # What it is told first of a stage is what was there already.
    assert first["communities"] == first["features at retrospective"] == 1
    assert first["narrow trees at retrospective"] == 2
    assert first["GraphSAGE on all labels"] == 0
    here = gnn.train(snapshot, platform, publish=False)
    assert bundle.version == here.version  # a hash of all models
    assert platform.current()["bundle"] == bundle.version
    assert not list((platform.path / "ray").glob("train-*"))


def test_two_trainings_do_not_share_their_pieces(platform: Workspace) -> None:
    with platform.alone("training"), pytest.raises(WorkspaceError, match="another training is running"):
        train_over_ray(platform.open_snapshot(), Workspace(platform.path))


def test_two_workers_have_the_gradient_of_one_on_the_whole_batch(
    platform: Workspace, ray_cluster: Any, tmp_path: Path
) -> None:
    snapshot = platform.open_snapshot()
    expected = gradient(snapshot.path, Alone())
    with connected(ray_cluster.address) as ray:
        task = ray.remote(gradient_of_a_worker).options(num_cpus=1)
        meeting = (tmp_path / "meeting").as_uri()
        found = ray.get([task.remote(snapshot.path, rank, meeting) for rank in range(2)])
    for name, value in expected.items():
        np.testing.assert_allclose(found[0][name], value, rtol=2e-4, atol=2e-6)
        np.testing.assert_array_equal(found[0][name], found[1][name])
    assert max(float(np.abs(value).max()) for value in expected.values()) > 1e-3  # not vacuous


def gradient_of_a_worker(snapshot: Path, rank: int, meeting: str) -> dict[str, NDArray[np.float32]]:
    import torch.distributed

    torch.distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2)
    try:
        return gradient(snapshot, TrainWorkers(rank, 2, Processor()))
    finally:
        torch.distributed.destroy_process_group()


def gradient(path: Path, workers: Workers) -> dict[str, NDArray[np.float32]]:
    """The gradient of one batch, nothing left out of it by chance."""
    snapshot = Snapshot.open(path)
    found = targets(snapshot)
    accounts = np.flatnonzero(found.label >= 0)
    asked = Queries.for_accounts(snapshot, accounts)
    rows = rows_of(snapshot, asked)
    inputs = SageInputs.of(snapshot, asked)
    weight = np.linspace(0.5, 2.0, len(asked), dtype=np.float32)
    rng = np.random.default_rng(0)
    encoding, examples = _examples(inputs, asked, rows, rng, found.label[accounts], weight, workers)
    torch.manual_seed(0)
    network = GraphSage(len(encoding.columns), 2 * len(encoding.mean), n_message_types(snapshot))
    network.eval()  # without dropout
    batch = examples.take(examples.mine(np.arange(BATCH)))
    together = workers.together(network)  # held on to: with it goes what adds gradients up
    batch_loss(together, batch, BATCH, workers).backward()  # type: ignore[no-untyped-call]
    return {name: one.grad.numpy().copy() for name, one in network.named_parameters() if one.grad is not None}


def problem_of(over: OverRay, snapshot: Snapshot) -> SageProblem:
    """Labels of the drawn platform, again and again, so that there is time to kill somebody."""
    found = targets(snapshot)
    accounts = np.tile(np.flatnonzero(found.label >= 0), 40)
    asked = Queries.for_accounts(snapshot, accounts)
    return SageProblem(
        over.share(snapshot),
        asked,
        found.label[accounts],
        np.ones(len(accounts)),
        rows=rows_of(snapshot, asked),
        group=accounts.astype(np.int64),
        members=4,
        seed=0,
        n_threads=1,
    )


def epochs_in(store: Path, name: str) -> list[tuple[int, int, int]]:
    """Process, member and epoch of all epochs that were fitted, in order."""
    file = store / name / EPOCHS
    lines = file.read_text().splitlines() if file.exists() else []
    return [(one["process"], one["member"], one["epoch"]) for one in map(json.loads, lines)]


def precision_of(sage: Sage, problem: SageProblem) -> float:
    inputs = SageInputs.of(problem.snapshot.get(), problem.queries)
    odds, _ = run_sage(sage, inputs, problem.queries, rows=problem.rows)
    return float(average_precision_score(problem.label, odds))


DRIVER = """
import sys
import numpy as np
from graph_etl import Workspace
from ray_jobs.cluster import connected
from ray_jobs.kept import Kept
from ray_jobs.places import place_of
from ray_jobs.sage_training import SageSettings, fit_over_ray
from ray_jobs.training import OverRay
from tests.ray_jobs.killing import workers_on
from tests.ray_jobs.test_training import problem_of
workspace, store, name, address = sys.argv[1:]
snapshot = Workspace(workspace).open_snapshot()
settings = SageSettings(workers=2, checkpoint_s=0.0)
with connected(address) as ray:
    over = OverRay(ray, place_of(snapshot.path), Kept(store), settings, 1)
    sage = fit_over_ray(over.share(problem_of(over, snapshot)), settings, name=name, store=store, cpus=1)
np.savez(f"{store}/model.npz", **sage.state)
"""


def kill_fitting(cluster: Any) -> None:
    """Kill a process that fits, on whichever node."""
    nodes = [cluster.head_node, *cluster.worker_nodes]
    os.kill(next(process for node in nodes for process in workers_on(node, b"TrainWorker")), signal.SIGKILL)


def kill_fitting_node(cluster: Any) -> None:
    """Take away a node that a worker is on, with all its processes, and bring another one."""
    node = next(node for node in cluster.worker_nodes if workers_on(node, b"TrainWorker"))
    cluster.remove_node(node, allow_graceful=False)
    cluster.add_node(num_cpus=1, object_store_memory=128 << 20)


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["worker", "node", "driver"])
@pytest.mark.parametrize("draw", range(10))
def test_a_fit_survives_and_repeats_one_interval_at_most(
    platform: Workspace, ray_cluster: Any, tmp_path: Path, victim: str, draw: int
) -> None:
    """A checkpoint after each epoch: whoever goes on fits anew only what was not yet a whole epoch."""
    name = f"fit-{victim}-{draw}"
    chance = random.Random(f"{victim} {draw}")
    after, later_s = chance.randint(1, 12), chance.uniform(0.0, 0.2)
    command = [
        sys.executable, "-c", DRIVER, str(platform.path), str(tmp_path), name, ray_cluster.address
    ]  # fmt: skip

    def started() -> subprocess.Popen[str]:
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT
        )

    driver = started()
    try:
        began = time.monotonic()
        while len(epochs_in(tmp_path, name)) < after:
            assert driver.poll() is None, driver.communicate()[0]
            assert time.monotonic() - began < 300.0
            time.sleep(0.02)
        time.sleep(later_s)
        if victim == "driver":
            driver.kill()
            driver.communicate()
            driver = started()
        else:
            {"worker": kill_fitting, "node": kill_fitting_node}[victim](ray_cluster)
        said, _ = driver.communicate(timeout=400)
        assert driver.returncode == 0, said
    finally:
        driver.kill()
    fitted = epochs_in(tmp_path, name)
    assert len({process for process, _, _ in fitted}) >= 2  # somebody else went on
    assert len(fitted) - len({(member, epoch) for _, member, epoch in fitted}) <= 1
    snapshot = platform.open_snapshot()
    with connected(ray_cluster.address) as ray:
        over = OverRay(ray, place_of(snapshot.path), Kept(str(tmp_path)), SageSettings(2), 1)
        problem = problem_of(over, snapshot)
        with np.load(tmp_path / "model.npz") as stored:
            survived = Sage.of(dict(stored))
        assert precision_of(survived, problem) == pytest.approx(
            precision_of(problem.fit(), problem), abs=0.02
        )
