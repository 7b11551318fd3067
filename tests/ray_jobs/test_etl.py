"""A snapshot built over a cluster is the one that `build` writes, also where workers and drivers die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from graph_etl import Workspace, build
from graph_etl.bounded import Bounds
from graph_etl.identifiers import HASH_KEY_VARIABLE
from ray_jobs import etl_over_ray
from ray_jobs.cluster import connected
from ray_jobs.errors import JobFailed
from ray_jobs.spreading import spread
from tests.building import PLATFORM_SPEC, platform_files, write_data
from tests.ray_jobs.killing import kill_node, kill_worker

ROOT = Path(__file__).resolve().parents[2]


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_a_snapshot_from_a_store_is_that_of_build_to_the_byte(tmp_path: Path, ray_cluster: Any) -> None:
    spec = write_data(tmp_path / "data", PLATFORM_SPEC, platform_files())
    plain = build(spec, Workspace(tmp_path / "plain"))
    told: list[str] = []
    found = etl_over_ray(
        spec,
        Workspace(tmp_path / "spread"),
        address=ray_cluster.address,
        data=(tmp_path / "data").as_uri(),
        bounds=Bounds(2500),
        progress=lambda step, _, __: told.append(step),
    )
    assert files_of(found.path) == files_of(plain.path)
    assert (found.files_read, found.files_reused) == (5, 0)
    assert {"reading files", "merging: sampled", "merging: grouped", "writing the snapshot"} <= set(told)
    # What is staged is not read again, wherever it lies.
    again = etl_over_ray(
        spec, Workspace(tmp_path / "spread"), address=ray_cluster.address, bounds=Bounds(1000)
    )
    assert (again.files_read, again.files_reused) == (0, 5)
    assert again.snapshot_id == plain.snapshot_id


def test_a_worker_with_another_key_is_told_of(
    tmp_path: Path, ray_cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = write_data(tmp_path / "data", PLATFORM_SPEC, platform_files())
    monkeypatch.setenv(HASH_KEY_VARIABLE, "a-key-that-no-node-of-the-cluster-has")
    with pytest.raises(JobFailed, match="is another key than the driver's"):
        etl_over_ray(spec, Workspace(tmp_path / "spread"), address=ray_cluster.address)


def test_a_file_that_cannot_be_read_is_named_by_its_address(tmp_path: Path, ray_cluster: Any) -> None:
    files = platform_files() | {"gifts.csv": "sender,at\n"}
    spec = write_data(tmp_path / "data", PLATFORM_SPEC, files)
    with pytest.raises(JobFailed, match=r"file://\S*/gifts\.csv.*column"):
        etl_over_ray(
            spec,
            Workspace(tmp_path / "spread"),
            address=ray_cluster.address,
            data=(tmp_path / "data").as_uri(),
        )


def _die_once(folder: str, number: int) -> int:
    mark = Path(folder) / str(number)
    if number % 3 == 0 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_a_task_whose_worker_is_killed_is_run_again(tmp_path: Path, ray_cluster: Any) -> None:
    with connected(ray_cluster.address) as ray:
        found = dict(spread(ray, _die_once, [(str(tmp_path), number) for number in range(4)]))
    assert found == {number: number for number in range(4)}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "3"]


DRIVER = """
import sys
from graph_etl import Workspace, load_spec
from graph_etl.bounded import Bounds
from ray_jobs import etl_over_ray
report = etl_over_ray(
    load_spec(sys.argv[1]), Workspace(sys.argv[2]), address=sys.argv[3], bounds=Bounds(1000),
    progress=lambda *told: print(*told, flush=True),
)
print("snapshot", report.snapshot_id, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "last_words", ["reading files 2", "merging: accepted 1", "merging: located 3", "merging: grouped 1"]
)
def test_a_killed_driver_goes_on_where_it_was(tmp_path: Path, ray_cluster: Any, last_words: str) -> None:
    spec = write_data(tmp_path / "data", PLATFORM_SPEC, platform_files())
    command = [
        sys.executable, "-c", DRIVER, str(tmp_path / "data" / "spec.yaml"), str(tmp_path / "spread"),
        ray_cluster.address,
    ]  # fmt: skip
    driver = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert driver.stdout is not None
    for line in driver.stdout:
        if line.startswith(last_words):
            driver.kill()
            break
    driver.communicate()
    assert driver.returncode == -signal.SIGKILL
    merging = list((tmp_path / "spread" / "merging").glob("*/*/*.json"))
    again = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    plain = build(spec, Workspace(tmp_path / "plain"))
    assert again.stdout.splitlines()[-1] == f"snapshot {plain.snapshot_id}"
    assert files_of(tmp_path / "spread" / "snapshots" / plain.snapshot_id) == files_of(plain.path)
    # What was finished was taken as it stood: its step begins with that much done.
    steps = {path.parent.name for path in merging}
    assert bool(steps) == (not last_words.startswith("reading"))
    for step in steps:
        done = sum(path.parent.name == step for path in merging)
        first = next(line for line in again.stdout.splitlines() if line.startswith(f"merging: {step} "))
        assert int(first.split()[2]) == done


@pytest.mark.slow
@pytest.mark.parametrize("kill", [kill_worker, kill_node])
@pytest.mark.parametrize("at", [("reading files", 2), ("merging: sampled", 1), ("merging: grouped", 1)])
def test_a_worker_or_a_node_that_is_killed_changes_nothing(
    tmp_path: Path, ray_cluster: Any, kill: Callable[[Any], None], at: tuple[str, int]
) -> None:
    """In the middle of a step, with tasks on both nodes."""
    spec = write_data(tmp_path / "data", PLATFORM_SPEC, platform_files())
    killed: list[tuple[str, int]] = []

    def strike(step: str, done: int, total: int) -> None:
        if (step, done) == at and done < total and not killed:
            killed.append(at)
            kill(ray_cluster)

    found = etl_over_ray(
        spec,
        Workspace(tmp_path / "spread"),
        address=ray_cluster.address,
        bounds=Bounds(1000),
        progress=strike,
    )
    assert killed == [at]
    plain = build(spec, Workspace(tmp_path / "plain"))
    assert found.snapshot_id == plain.snapshot_id
    assert files_of(found.path) == files_of(plain.path)
