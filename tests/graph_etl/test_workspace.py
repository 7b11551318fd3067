"""The workspace shows only what is whole."""

from pathlib import Path

import pytest

from graph_etl.workspace import Workspace, WorkspaceError, fresh_folder


def test_nothing_is_current_in_an_empty_workspace(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "w")
    assert workspace.current() == {"snapshot": None, "bundle": None, "rings": None}
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
    with first.building(), pytest.raises(WorkspaceError, match="another build is running"), second.building():
        pass
    with second.building():
        pass
