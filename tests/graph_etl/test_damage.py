"""A workspace that lost bytes is told in one line that names the file and what to do."""

from pathlib import Path

import pytest

from graph_etl import RingwatchError, Snapshot, Workspace
from tests.building import TRANSFERS_SPEC, Built, build_from_text, csv_text, transfer_files


@pytest.fixture
def built(tmp_path: Path) -> Built:
    return build_from_text(tmp_path, TRANSFERS_SPEC, transfer_files())


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:20])


@pytest.mark.parametrize("name", ["manifest.json", "node_keys.arrow", "folds.npy", "verdicts.parquet"])
def test_a_damaged_snapshot_names_the_file_and_the_remedy(built: Built, name: str) -> None:
    folder = built.snapshot.path
    cut_short(folder / name)
    with pytest.raises(RingwatchError, match=rf"{name}: damaged; .*ringwatch build") as raised:
        _read_all(Snapshot.open(folder))
    assert "\n" not in str(raised.value)


def _read_all(snapshot: Snapshot) -> None:
    assert len(snapshot.node_keys) == snapshot.n_nodes
    assert len(snapshot.folds) == snapshot.n_accounts
    assert len(snapshot.verdicts) > 0


def test_a_damaged_choice_of_snapshot_is_told(built: Built) -> None:
    cut_short(built.workspace.path / "current.json")
    with pytest.raises(RingwatchError, match=r"current\.json: damaged; .*ringwatch build"):
        Workspace(built.workspace.path).open_snapshot()


def test_an_amount_that_no_edge_can_hold_is_quarantined(tmp_path: Path) -> None:
    files = transfer_files() | {
        "transfers.csv": csv_text(
            "src,dst,kind,chain,n", [(0, 1, "erc20", "main", at) for at in (2, "1e308")]
        )
    }
    built = build_from_text(tmp_path / "huge", TRANSFERS_SPEC, files, max_quarantine=1.0)
    assert built.snapshot.quarantine["reason"].to_list() == ["amount_unreadable"]
    assert built.snapshot.relation("erc20:main").out.value.tolist() == [2.0]
