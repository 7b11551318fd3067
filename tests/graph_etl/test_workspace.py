"""The workspace shows only what is whole."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from graph_etl.workspace import Workspace, WorkspaceError, fresh_folder


def test_nothing_is_current_in_an_empty_workspace(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "w")
    assert workspace.current() == dict.fromkeys(["snapshot", "bundle", "rings", "shadow"])
    with pytest.raises(WorkspaceError, match="no snapshot yet; build one with `ringwatch build SPEC`"):
        workspace.open_snapshot()


def test_a_folder_appears_when_it_is_whole(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    with workspace.new_folder("bundle", "v1") as folder:
        (folder / "manifest.json").write_text("{}")
        assert not workspace.path_of("bundle", "v1").exists()
    assert [path.name for path in workspace.bundles.iterdir()] == ["v1"]
    workspace.set_current("bundle", "v1")
    assert workspace.current()["bundle"] == "v1"


def _fail_halfway(target: Path) -> None:
    with fresh_folder(target) as folder:
        (folder / "half").write_text("half")
        raise ZeroDivisionError


def test_a_failure_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        _fail_halfway(tmp_path / "x" / "whole")
    assert list((tmp_path / "x").iterdir()) == []


def test_what_exists_is_kept(tmp_path: Path) -> None:
    for text in ("first", "second"):
        with fresh_folder(tmp_path / "whole") as folder:
            (folder / "file").write_text(text)
    assert (tmp_path / "whole" / "file").read_text() == "first"


@pytest.mark.parametrize("identity", ["", "..", "a/b", ".hidden"])
def test_ids_cannot_leave_the_workspace(tmp_path: Path, identity: str) -> None:
    with pytest.raises(WorkspaceError, match="is no id of a snapshot"):
        Workspace(tmp_path).path_of("snapshot", identity)


def test_only_what_exists_becomes_current(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="no bundle 'v9'; make one with `ringwatch train`"):
        Workspace(tmp_path).set_current("bundle", "v9")


def test_two_builds_at_once_are_refused(tmp_path: Path) -> None:
    first, second = Workspace(tmp_path), Workspace(tmp_path)
    refused = pytest.raises(WorkspaceError, match="another build is running")
    with first.alone("build"), refused, second.alone("build"):
        pass
    with second.alone("build"):
        pass


def _filled(folder: Path) -> Workspace:
    """A workspace with two of each, none in use."""
    workspace = Workspace(folder)
    for kind, identity in (("snapshot", "s"), ("bundle", "b"), ("rings", "r")):
        for number in (1, 2, 3):
            with workspace.new_folder(kind, f"{identity}{number}") as made:
                (made / "manifest.json").write_text("{}")
    return workspace


def test_several_are_published_at_once_and_the_rest_stays(tmp_path: Path) -> None:
    workspace = _filled(tmp_path)
    workspace.publish({"snapshot": "s1", "bundle": "b1"})
    now = workspace.publish({"bundle": "b2", "rings": "r1"})
    assert now == workspace.current() == {"snapshot": "s1", "bundle": "b2", "rings": "r1", "shadow": None}
    assert [(entry.number, entry.after["bundle"], entry.rollback) for entry in workspace.history()] == [
        (1, "b1", None),
        (2, "b2", None),
    ]
    assert workspace.history()[1].before == {"snapshot": "s1", "bundle": "b1", "rings": None, "shadow": None}


def test_one_that_is_missing_keeps_all_as_they_are(tmp_path: Path) -> None:
    workspace = _filled(tmp_path)
    workspace.publish({"bundle": "b1"})
    with pytest.raises(WorkspaceError, match="no rings 'r9'"):
        workspace.publish({"bundle": "b2", "rings": "r9"})
    with pytest.raises(WorkspaceError, match="'model' is nothing that can be in use; there are: snapshot"):
        workspace.publish({"model": "b2"})
    assert workspace.current()["bundle"] == "b1"
    assert len(workspace.history()) == 1


def test_publishing_what_is_in_use_changes_nothing(tmp_path: Path) -> None:
    workspace = _filled(tmp_path)
    workspace.publish({"bundle": "b1"})
    workspace.set_current("bundle", "b1")
    assert len(workspace.history()) == 1


def test_rolling_back_again_goes_back_further(tmp_path: Path) -> None:
    workspace = _filled(tmp_path)
    for version in ("b1", "b2", "b3"):
        workspace.publish({"bundle": version, "snapshot": "s1"})
    assert [workspace.rollback("bundle"), workspace.rollback("bundle")] == ["b2", "b1"]
    assert workspace.current()["snapshot"] == "s1"
    with pytest.raises(WorkspaceError, match="no bundle was in use before b1; make one with"):
        workspace.rollback("bundle")
    workspace.publish({"bundle": "b3"})
    assert workspace.rollback("bundle") == "b1"


def test_a_pause_without_a_bundle_is_nothing_to_go_back_to(tmp_path: Path) -> None:
    workspace = _filled(tmp_path)
    for version in ("b1", None, "b2"):
        workspace.publish({"bundle": version})
    assert workspace.rollback("bundle") == "b1"
    workspace.publish({"bundle": None})
    assert workspace.rollback("bundle") == "b1"


def test_rolling_back_to_what_is_gone_says_so(tmp_path: Path) -> None:
    workspace = _filled(tmp_path)
    for version in ("b1", "b2"):
        workspace.publish({"bundle": version})
    (workspace.path_of("bundle", "b1") / "manifest.json").unlink()
    with pytest.raises(WorkspaceError, match="bundle 'b1', which was in use before, is gone") as error:
        workspace.rollback("bundle")
    assert "\n" not in str(error.value)
    assert workspace.current()["bundle"] == "b2"


def test_a_shadow_is_another_bundle(tmp_path: Path) -> None:
    workspace = _filled(tmp_path)
    workspace.publish({"bundle": "b1", "shadow": "b2"})
    assert workspace.current()["shadow"] == "b2"
    assert workspace.publish({"bundle": "b2"})["shadow"] is None  # it came out of the shadow
    with pytest.raises(WorkspaceError, match="no bundle 'b9'"):
        workspace.publish({"shadow": "b9"})


# Children of one process, so that the package is imported once for all places to die at.
_PUBLISH_AND_DIE = """
import os, signal, sys
from graph_etl import Workspace
folder, kill_at = sys.argv[1], 0
while True:
    kill_at += 1
    child = os.fork()
    if child == 0:
        touched = 0
        def watch(event, arguments):
            global touched
            if event in ("open", "os.rename", "os.truncate") and str(arguments[0]).startswith(folder):
                touched += 1
                if touched == kill_at:
                    os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(watch)
        workspace = Workspace(folder)
        workspace.publish({"bundle": "b1" if kill_at % 2 else "b2", "rings": "r1" if kill_at % 2 else "r2"})
        os._exit(0)
    killed = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    now, history = Workspace(folder).current(), Workspace(folder).history()
    print(kill_at, killed, now["bundle"], now["rings"], len(history), history and history[-1].after == now)
    if killed == 0:
        break
"""


def test_a_switch_that_is_killed_anywhere_happened_or_did_not(tmp_path: Path) -> None:
    workspace = _filled(tmp_path)
    workspace.publish({"bundle": "b3", "rings": "r3"})
    folder = os.path.realpath(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", _PUBLISH_AND_DIE, folder], capture_output=True, text=True, check=True
    )
    lines = [line.split() for line in done.stdout.splitlines()]
    assert len(lines) > 6, done.stdout  # lock, current.json, history.jsonl, new file, rename, folder
    assert {bundle[1:] == rings[1:] for _, _, bundle, rings, _, _ in lines} == {True}
    assert {same for *_, same in lines} == {"True"}
    assert workspace.rollback("bundle") in ("b1", "b2", "b3")
    numbers = [entry.number for entry in workspace.history()]
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_line_that_was_cut_off_is_written_over(tmp_path: Path) -> None:
    workspace = _filled(tmp_path)
    workspace.publish({"bundle": "b1"})
    with (tmp_path / "history.jsonl").open("a") as stream:
        stream.write('{"number": 2, "at_')
    assert len(workspace.history()) == 1
    workspace.publish({"bundle": "b2"})
    assert [entry.after["bundle"] for entry in workspace.history()] == ["b1", "b2"]
