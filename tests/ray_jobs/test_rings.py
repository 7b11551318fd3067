"""Rings over a cluster: the very run of `rings.find`, and nothing done twice after a kill."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rings
from graph_etl import Snapshot, Workspace
from graph_etl.workspace import WorkspaceError
from ray_jobs import kept as module
from ray_jobs import rings_over_ray
from ray_jobs.kept import MISSING, OTHERS, Kept
from tests.ray_jobs.killing import kill_node
from tests.rings.drawing import troupes

ROOT = Path(__file__).resolve().parents[2]


class Killed(BaseException):
    """What a kill looks like from inside."""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """Troupes that teach a pair model, more of them than are put into words in one piece."""
    return troupes(tmp_path_factory.mktemp("troupes"), seed=1)[0]


@pytest.fixture(scope="module")
def scores(stage: Snapshot) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.random.default_rng(0).random(stage.n_accounts)


@pytest.fixture(scope="module")
def expected(stage: Snapshot, scores: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process writes."""
    run = rings.find(stage, scores, bundle="b1", seed=3)
    assert run.pair_model is not None
    assert run.table.height > 20
    folder = tmp_path_factory.mktemp("expected") / run.id
    run.write(folder)
    return folder


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_run_cut_short_goes_on_and_is_that_of_one_process(
    stage: Snapshot, scores: Any, expected: Path, ray_cluster: Any, tmp_path: Path
) -> None:
    workspace, done = Workspace(tmp_path / "w"), list[tuple[str, int, int]]()

    def cut(step: str, pieces: int, _: int) -> None:
        if step == "pair model" and pieces == 3:
            raise Killed

    def find(progress: Any) -> rings.RingsRun:
        return rings_over_ray(
            stage,
            scores,
            workspace=workspace,
            address=ray_cluster.address,
            store=(tmp_path / "store").as_uri(),
            bundle="b1",
            seed=3,
            progress=progress,
        )

    with pytest.raises(Killed):
        find(cut)
    run = find(lambda *told: done.append(told))
    first = {step: (pieces, of) for step, pieces, of in reversed(done)}
    # What is told first of a step is what was there already.
    assert first["links"] == (1, 1)
    assert first["pair model"][0] == 3 < first["pair model"][1]
    assert first["communities, null model"] == (0, 2)
    assert run.id == expected.name
    assert files_of(workspace.path / "rings" / run.id) == files_of(expected)
    assert ("evidence", 2, 2) in done
    assert not list((tmp_path / "store").glob("rings-*"))
    assert workspace.current()["rings"] is None  # to make it the current one is the caller's


@pytest.mark.slow
def test_through_the_client_of_a_cluster_far_away(
    stage: Snapshot, scores: Any, expected: Path, ray_cluster: Any, tmp_path: Path
) -> None:
    run = rings_over_ray(
        stage,
        scores,
        workspace=Workspace(tmp_path),
        address=ray_cluster.client_address,
        bundle="b1",
        seed=3,
    )
    assert run.id == expected.name
    assert files_of(tmp_path / "rings" / run.id) == files_of(expected)


def test_two_runs_do_not_share_their_pieces(stage: Snapshot, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    running = "another ring-search is running"
    with workspace.alone("ring-search"), pytest.raises(WorkspaceError, match=running):
        rings_over_ray(stage, workspace=Workspace(tmp_path))


def test_other_code_takes_nothing_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Kept.of_run(str(tmp_path), "rings", ["snapshot", 1]).keep("links.0.00000", b"found")
    assert Kept.of_run(str(tmp_path), "rings", ["snapshot", 1]).read("links.0.00000") == b"found"
    assert Kept.of_run(str(tmp_path), "rings", ["snapshot", 2]).read("links.0.00000") is MISSING
    monkeypatch.setattr(module, "code_of_jobs", lambda: "another")
    assert Kept.of_run(str(tmp_path), "rings", ["snapshot", 1]).read("links.0.00000") is MISSING


def test_what_unfinished_runs_leave_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path.as_uri()
    (tmp_path / "rings-notes").mkdir()  # of somebody else
    train = Kept.of_run(root, "train", [0])
    clock = 1_000_000.0
    monkeypatch.setattr(time, "time", lambda: clock)
    names = []
    for seed in range(6):
        clock += 60.0
        names.append(Kept.of_run(root, "rings", [seed]).url.rpartition("/")[2])
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"rings-notes", train.url.rpartition("/")[2], *names[-1 - OTHERS :]}
    clock += module.STALE_S
    Kept.of_run(root, "rings", [5])
    assert {path.name for path in tmp_path.glob("rings-*")} == {"rings-notes", names[5]}


@pytest.mark.slow
def test_a_node_that_is_lost_takes_no_piece_with_it(
    stage: Snapshot, scores: Any, expected: Path, ray_cluster: Any, tmp_path: Path
) -> None:
    lost: list[str] = []

    def lose(step: str, pieces: int, _: int) -> None:
        if step == "pair model" and pieces == 1 and not lost:
            lost.append(step)
            kill_node(ray_cluster)

    run = rings_over_ray(
        stage,
        scores,
        workspace=Workspace(tmp_path),
        address=ray_cluster.address,
        bundle="b1",
        seed=3,
        progress=lose,
    )
    assert lost == ["pair model"]
    assert run.id == expected.name


@pytest.mark.slow
@pytest.mark.parametrize("last_words", ["pair model", "communities, null model", "words"])
def test_a_killed_command_goes_on_where_it_was(
    platform: Workspace, ray_cluster: Any, tmp_path: Path, last_words: str
) -> None:
    stage = troupes(tmp_path / "troupes", seed=1)[0]
    workspace = stage.path.parents[1]
    command = [
        sys.executable, "-m", "ringwatch", "ray", "rings", "--workspace", str(workspace), "--seed", "3",
        "--address", ray_cluster.address, "--json",
    ]  # fmt: skip
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    ) as one:
        assert one.stderr is not None
        for line in one.stderr:
            if re.search(last_words, line):
                os.kill(one.pid, signal.SIGKILL)
                break
    assert one.returncode == -signal.SIGKILL
    kept = sorted(path.name for path in workspace.glob("ray/rings-*/*"))
    assert "links.0.00000" in kept
    again = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    found = json.loads(again.stdout)["result"]["run"]
    plain = rings.find(stage, seed=3)
    assert found == plain.id
    assert not list(workspace.glob("ray/rings-*"))
