"""Files that Neo4j's own import reads: the database then holds what a load would have written."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from graph_etl.neo4j_store import (
    ExportReport,
    GraphStoreError,
    Target,
    expected_bytes,
    export,
    load,
    verify,
)
from ringwatch.local_neo4j import LocalNeo4j, LocalNeo4jError, fetch_archives
from tests.graph_etl.neo4j_store.awkward import TEXTS, build_awkward
from tests.graph_etl.neo4j_store.held import ask, held

if TYPE_CHECKING:
    from tests.building import Built

PASSWORD = "ringwatch-test"


def imported(report: ExportReport, folder: Path, monkeypatch: pytest.MonkeyPatch) -> LocalNeo4j:
    """A server, not started yet, that ran the command of an export."""
    try:
        fetch_archives()
    except LocalNeo4jError as error:
        if os.environ.get("CI"):
            raise
        warnings.warn(f"NO NEO4J, NOTHING IS IMPORTED: {error}", stacklevel=1)
        pytest.skip(f"no Neo4j: {error}")
    server = LocalNeo4j(folder, password=PASSWORD, heap="512m")
    words = shlex.split(report.command.replace("\\\n", " "))
    assert words[0] == "neo4j-admin"
    monkeypatch.chdir(report.folder)
    server.admin(*words[1:])
    return server


def check_imported(built: Built, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Export, import, start, load and verify; return all that the database then holds."""
    server = imported(export(built.snapshot, folder / "export"), folder / "neo4j", monkeypatch)
    try:
        server.start()
        target = Target(server.uri, password=PASSWORD)
        before = held(target)
        assert load(built.snapshot, built.workspace, target).changed == 0
        assert held(target) == before
        found = verify(built.snapshot, target)
        assert [str(one) for one in found.differences] == []
        assert found.notes == ()
        assert load(built.snapshot, built.workspace, target, repair=True).changed == 0
        return [*map(list, before)]
    finally:
        server.kill()


def test_an_import_holds_what_a_load_writes_whatever_is_in_a_text(
    tmp_path: Path, hash_key: str, neo4j_database: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert hash_key
    built = build_awkward(tmp_path / "built")
    there = check_imported(built, tmp_path, monkeypatch)
    load(built.snapshot, built.workspace, neo4j_database)
    assert [*map(list, held(neo4j_database))] == there
    accounts = ask(neo4j_database, "MATCH (a:Account) RETURN a.id")
    assert {name for (name,) in accounts} == set(TEXTS)
    texts = "".join(path.read_text(encoding="utf-8") for path in (tmp_path / "export").iterdir())
    assert "secret-" not in texts


@pytest.mark.slow
@pytest.mark.parametrize("which", ["timed_build", "untimed_build"])
def test_the_small_builds_are_imported_whole(
    which: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes, relationships = check_imported(request.getfixturevalue(which), tmp_path, monkeypatch)
    assert len(nodes) > 200
    assert len(relationships) > 300


def test_the_script_holds_the_command_and_names_only_files_of_the_folder(
    timed_build: Built, tmp_path: Path
) -> None:
    steps: list[tuple[str, int, int]] = []
    folder = tmp_path / "out"
    report = export(
        timed_build.snapshot,
        folder,
        database="fraud",
        progress=lambda step, done, total: steps.append((step, done, total)),
    )
    assert report.command.startswith("neo4j-admin database import full fraud \\\n")
    script = (folder / "import.sh").read_text()
    assert report.command in script
    assert os.access(folder / "import.sh", os.X_OK)
    subprocess.run(["sh", "-n", folder / "import.sh"], check=True)
    named = {word.rpartition("=")[2] for word in shlex.split(script) if word.endswith(".csv")}
    assert named | {"import.sh"} == {path.name for path in folder.iterdir()}
    assert report.files == len(named) + 1
    assert report.n_bytes == sum(path.stat().st_size for path in folder.iterdir())
    assert "--multiline-fields" not in report.command  # it would slow the import down for nothing
    rows = sum(len((folder / name).read_text().splitlines()) - 1 for name in named)
    assert rows == report.nodes + report.relationships
    assert all(0 < done <= total for _, done, total in steps)


@pytest.mark.parametrize("which", ["timed_build", "untimed_build"])
def test_the_room_that_is_asked_for_is_enough(
    which: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    built: Built = request.getfixturevalue(which)
    report = export(built.snapshot, tmp_path / "out")
    assert report.n_bytes <= expected_bytes(built.snapshot) * 1.1 <= 5 * report.n_bytes


def test_a_folder_that_holds_something_is_left_alone(timed_build: Built, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(GraphStoreError, match="holds something already; name a new folder"):
        export(timed_build.snapshot, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_an_empty_folder_is_taken_and_a_file_is_not(timed_build: Built, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert export(timed_build.snapshot, tmp_path / "empty").nodes > 0
    (tmp_path / "file").write_text("")
    with pytest.raises(GraphStoreError, match="holds something already"):
        export(timed_build.snapshot, tmp_path / "file")


def test_a_disk_without_room_is_told_before_anything_is_written(
    timed_build: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1_000})())
    with pytest.raises(GraphStoreError, match=r"needs up to 1 MB, .* has 0 MB free; name a"):
        export(timed_build.snapshot, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


KILLED = """
import sys, time
from pathlib import Path
from graph_etl import Workspace
from graph_etl.neo4j_store import export
def stop(step, done, total):
    print("begun", flush=True)
    time.sleep(60)
export(Workspace(sys.argv[1]).open_snapshot(), Path(sys.argv[2]), progress=stop)
"""


def test_a_killed_export_leaves_no_folder_and_the_next_one_cleans_up(
    timed_build: Built, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    workspace = str(timed_build.workspace.path)
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, workspace, str(folder)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.kill()
    assert not folder.exists()
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".out.")
    export(timed_build.snapshot, folder)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
