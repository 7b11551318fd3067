"""A build that was killed goes on where it stopped; threads and folders do not change what comes out."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from graph_etl import Spec, Workspace, WorkspaceError, build
from tests.building import PLATFORM_SPEC, Built, platform_files, write_data


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Spec:
    return write_data(tmp_path_factory.mktemp("platform"), PLATFORM_SPEC, platform_files())


def _run(
    spec: Spec, workspace: Path, *arguments: object, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.graph_etl.killed_build", *map(str, (spec.path, workspace, *arguments))],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )


def _after_a_kill(spec: Spec, folder: Path, kill_at: int, part: str) -> tuple[str, int]:
    killed = _run(spec, folder, kill_at, part)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert Workspace(folder).current()["snapshot"] is None
    report = build(spec, Workspace(folder))
    left = [path for path in folder.rglob("*") if ".partial" in path.name]
    assert left == []
    return report.content_hash, report.files_reused


@pytest.mark.parametrize(
    ("kill_at", "part", "n_reused"),
    [
        pytest.param(3, "part.json", 1, id="second-part-half-written"),
        pytest.param(1, "manifest.json", 5, id="snapshot-half-written"),
    ],
)
def test_a_killed_build_resumes_to_the_same_content(
    timed_build: Built, spec: Spec, tmp_path: Path, kill_at: int, part: str, n_reused: int
) -> None:
    found = _after_a_kill(spec, tmp_path / "w", kill_at, part)
    assert found == (timed_build.report.content_hash, n_reused)


@pytest.mark.slow
@pytest.mark.parametrize("kill_at", [1, 9, 20, 40, 90])
def test_a_build_killed_anywhere_resumes_to_the_same_content(
    timed_build: Built, spec: Spec, tmp_path: Path, kill_at: int
) -> None:
    content_hash, _ = _after_a_kill(spec, tmp_path / "w", kill_at, "")
    assert content_hash == timed_build.report.content_hash


def test_any_number_of_threads_gives_the_same_content(timed_build: Built, spec: Spec, tmp_path: Path) -> None:
    threads = {"POLARS_MAX_THREADS": "5", "NUMBA_NUM_THREADS": "1", "PYTHONHASHSEED": "77"}
    done = _run(spec, tmp_path / "w", 0, **threads)
    assert done.stdout.strip() == timed_build.report.content_hash, done.stderr


def test_a_build_beside_a_running_one_is_refused(spec: Spec, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    with workspace.building(), pytest.raises(WorkspaceError, match="another build is running there"):
        build(spec, workspace)
