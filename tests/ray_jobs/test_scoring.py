"""Batch scoring gives the same bits however it is cut and wherever it runs."""

import builtins
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import gnn
from ray_jobs import RayMissing, score_accounts, score_here, score_over_ray
from ringwatch import run
from tests.building import Built


@pytest.fixture(scope="module")
def bundle(timed_build: Built) -> gnn.Bundle:
    return gnn.train(timed_build.snapshot, timed_build.workspace, seed=1)


def test_chunks_do_not_change_a_bit(timed_build: Built, bundle: gnn.Bundle) -> None:
    path = timed_build.snapshot.path
    whole = score_here(path, bundle.path)
    assert whole.height == timed_build.snapshot.n_accounts
    assert whole["account_id"].to_list() == timed_build.snapshot.account_ids.to_list()
    assert whole.equals(score_here(path, bundle.path, chunk_accounts=7))


def test_the_order_asked_does_not_change_a_bit(timed_build: Built, bundle: gnn.Bundle) -> None:
    paths = str(timed_build.snapshot.path), str(bundle.path)
    asked = np.array([5, 3, 250, 0], dtype=np.int64)
    assert score_accounts(*paths, asked).sort("account").equals(score_accounts(*paths, np.sort(asked)))


def test_scores_are_those_that_training_stored(timed_build: Built, bundle: gnn.Bundle) -> None:
    here = score_here(timed_build.snapshot.path, bundle.path)
    assert here["score"].to_numpy() == pytest.approx(bundle.scores["score"].to_numpy(), abs=1e-12)


def test_tasks_on_two_nodes_give_the_same_bits(
    timed_build: Built,
    bundle: gnn.Bundle,
    ray_cluster: Any,
    tmp_path: Path,
) -> None:
    told: list[tuple[int, int]] = []
    spread = score_over_ray(
        timed_build.snapshot.path,
        bundle.path,
        address=ray_cluster.address,
        chunk_accounts=50,
        store=(tmp_path / "store").as_uri(),
        parts=tmp_path / "parts",
        progress=lambda _, done, total: told.append((done, total)),
    )
    assert spread.equals(score_here(timed_build.snapshot.path, bundle.path))
    assert told == [(done, 6) for done in range(7)]
    # Three of six are lost: the next run scores those alone.
    for lost in sorted((tmp_path / "parts").rglob("*.parquet"))[:3]:
        lost.write_bytes(b"PAR1")
    told.clear()
    again = score_over_ray(
        timed_build.snapshot.path,
        bundle.path,
        address=ray_cluster.address,
        chunk_accounts=50,
        parts=tmp_path / "parts",
        progress=lambda _, done, total: told.append((done, total)),
    )
    assert again.equals(spread)
    assert told == [(3, 6), (4, 6), (5, 6), (6, 6)]


def test_the_command_writes_the_file_of_export_scores(
    timed_build: Built,
    bundle: gnn.Bundle,
    ray_cluster: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert bundle.version == timed_build.workspace.current()["bundle"]
    workspace = str(timed_build.workspace.path)
    words = ["ray", "score", str(tmp_path / "spread.csv"), "--address", ray_cluster.address, "--chunk", "77"]
    assert run([*words, "-w", workspace, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["result"]["rows"] == timed_build.snapshot.n_accounts
    assert run(["export", "scores", str(tmp_path / "plain.csv"), "-w", workspace]) == 0
    assert (tmp_path / "spread.csv").read_bytes() == (tmp_path / "plain.csv").read_bytes()
    assert not (timed_build.workspace.path / "ray" / "scores").exists()


def test_without_ray_the_error_names_the_extra(
    timed_build: Built, bundle: gnn.Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_import = builtins.__import__

    def no_ray(name: str, *rest: Any, **named: Any) -> ModuleType:
        if name == "ray":
            raise ModuleNotFoundError(name)
        return real_import(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", no_ray)
    with pytest.raises(RayMissing, match=r"ringwatch\[ray\]"):
        score_over_ray(timed_build.snapshot.path, bundle.path)
