"""A build that was killed goes on where it stopped; threads and folders do not change what comes out."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from graph_etl import AppendError, Content, LiveEvent, LiveVerdict, Spec, Workspace, WorkspaceError, build
from tests.building import PLATFORM_SPEC, Built, platform_files, write_data
from tests.graph_etl.journals import write_journal


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


def test_a_build_with_a_journal_that_is_killed_resumes_to_the_same_content(
    spec: Spec, tmp_path: Path
) -> None:
    said: list[tuple[int, Content]] = [
        (1_750_000_000_000 + at, LiveEvent("login", f"h{at:03}", 1_750_000_000_000, f"live-{at}"))
        for at in range(50)
    ]
    said.append((1_760_000_000_000, LiveVerdict("h001", 1, 1_760_000_000_000, "analyst")))
    journal = write_journal(tmp_path / "journal.jsonl", said)
    whole = build(spec, Workspace(tmp_path / "whole"), journal=journal)
    folder = tmp_path / "w"
    # The journal is staged first; the fourth part.json is that of the third file.
    killed = _run(spec, folder, 7, "part.json", journal.path)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    resumed = build(spec, Workspace(folder), journal=journal)
    assert (resumed.content_hash, resumed.last_seq) == (whole.content_hash, 51)
    assert (resumed.journal_reused, resumed.journal_read) == (1, 0)
    assert resumed.files_reused >= 1


@pytest.mark.parametrize("name", ["nodes.parquet", "accounts[0].rows.parquet", "part.json"])
@pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
def test_a_damaged_part_is_staged_again(
    timed_build: Built, spec: Spec, tmp_path: Path, name: str, damage: str
) -> None:
    workspace = Workspace(tmp_path / "w")
    build(spec, workspace)
    (part,) = workspace.staging.glob("signups-*")
    _damage(part / name, damage)
    for append in (False, True):
        again = build(spec, workspace, append=append)
        assert again.content_hash == timed_build.report.content_hash
        assert (again.files_read, again.files_reused) == ((0, 5) if append else (1, 4))
    _damage(part / name, damage)
    assert build(spec, workspace, append=True).files_read == 1


def test_a_damaged_part_whose_file_is_gone_is_told(spec: Spec, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "w")
    build(spec, workspace)
    (part,) = workspace.staging.glob("signups-*")
    _damage(part / "nodes.parquet", "cut")
    (tmp_path / "day2").mkdir()
    (tmp_path / "day2" / "groups.csv").write_text("account,ring\nh001,more\n")
    with pytest.raises(AppendError, match=r"read from signups\.csv is gone or damaged.* without --append"):
        build(spec, workspace, data_dir=tmp_path / "day2", append=True)


def _damage(path: Path, how: str) -> None:
    if how == "gone":
        path.unlink()
    elif how == "cut":
        path.write_bytes(path.read_bytes()[:-2])
    else:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(bytes(content))


def test_any_number_of_threads_gives_the_same_content(timed_build: Built, spec: Spec, tmp_path: Path) -> None:
    threads = {"POLARS_MAX_THREADS": "5", "NUMBA_NUM_THREADS": "1", "PYTHONHASHSEED": "77"}
    done = _run(spec, tmp_path / "w", 0, **threads)
    assert done.stdout.strip() == timed_build.report.content_hash, done.stderr


def test_a_build_beside_a_running_one_is_refused(spec: Spec, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    with workspace.alone("build"), pytest.raises(WorkspaceError, match="another build is running there"):
        build(spec, workspace)
