"""Embeddings as files: whole or not there, kept when a run is killed, never mixed with others."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from features import Queries
from gnn import Bundle
from gnn.embedding import EmbeddingError, Embeddings, embed_here, missing, started, steps_left
from gnn.sage import SageInputs, run_sage
from graph_etl import Snapshot

RUN = """
import sys
from pathlib import Path
from gnn import Bundle
from gnn.embedding import embed_here
from graph_etl import Snapshot
embed_here(Snapshot.open(sys.argv[1]), Bundle.open(sys.argv[2]), Path(sys.argv[3]), shift=3)
"""


def finished_files(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Files that count as done, with time of change and content."""
    found = {}
    for told in folder.rglob("*.json"):
        if told.name != "manifest.json":
            path = told.with_suffix("")
            found[path.name] = (path.stat().st_mtime_ns, path.read_bytes())
    return found


def test_parts_hold_ids_model_and_what_sampling_gives(
    timed_snapshot: Snapshot, timed_bundle: Bundle, tmp_path: Path
) -> None:
    told: list[tuple[str, int, int]] = []
    job = embed_here(
        timed_snapshot, timed_bundle, tmp_path / "e", shift=7, progress=lambda *step: told.append(step)
    )
    parts = sorted((tmp_path / "e").glob("part-*.parquet"))
    assert len(parts) == job.blocks("part") == 3
    table = pl.concat([pl.read_parquet(path) for path in parts])
    assert table.columns == ["account", "bundle", "embedding"]
    assert table["account"].to_list() == timed_snapshot.account_ids.to_list()
    assert table["bundle"].unique().to_list() == [timed_bundle.version]
    sage = timed_bundle.sage
    assert sage is not None
    asked = Queries.for_accounts(timed_snapshot)
    where = SageInputs.of(timed_snapshot, asked, timed_bundle.epochs_for(timed_snapshot))
    np.testing.assert_allclose(
        table["embedding"].to_numpy(), run_sage(sage, where, asked)[1], rtol=1e-4, atol=1e-5
    )
    assert not (tmp_path / "e" / "layers").exists()
    assert told[-1] == ("embedding all accounts", 3, 3)
    found = Embeddings.open(tmp_path / "e")
    np.testing.assert_array_equal(found.vectors, table["embedding"].to_numpy())
    assert found.accounts == table["account"].to_list()


@pytest.mark.parametrize(
    "files", [pytest.param(5, marks=pytest.mark.slow), 60, pytest.param(200, marks=pytest.mark.slow)]
)
def test_a_killed_run_goes_on_where_it_was(
    timed_snapshot: Snapshot, timed_bundle: Bundle, tmp_path: Path, files: int
) -> None:
    """38 files of what accounts show, 151 of what nodes send, 38 parts: killed in each of the passes."""
    folder = tmp_path / "killed"
    words = [sys.executable, "-c", RUN, str(timed_snapshot.path), str(timed_bundle.path), str(folder)]
    with subprocess.Popen(words, env={**os.environ, "PYTHONPATH": str(Path.cwd())}) as process:
        until = time.monotonic() + 120.0
        while process.poll() is None and len(list(folder.rglob("*.json"))) <= files:
            assert time.monotonic() < until
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    before = finished_files(folder)
    assert len(before) >= files
    embed_here(timed_snapshot, timed_bundle, folder, shift=3)
    after = finished_files(folder)
    assert all(after[name] == before[name] for name in before if name.startswith("part-"))
    embed_here(timed_snapshot, timed_bundle, tmp_path / "whole", shift=3)
    np.testing.assert_array_equal(
        Embeddings.open(folder).vectors, Embeddings.open(tmp_path / "whole").vectors
    )
    assert not list(folder.rglob("*.partial")) or len(before) < 227


def test_damaged_parts_are_made_again_and_others_kept(
    timed_snapshot: Snapshot, timed_bundle: Bundle, tmp_path: Path
) -> None:
    folder = tmp_path / "e"
    job = embed_here(timed_snapshot, timed_bundle, folder, shift=6)
    assert steps_left(job) == []
    before = finished_files(folder)
    torn = folder / "part-000002.parquet"
    content = bytearray(torn.read_bytes())
    content[len(content) // 2] ^= 1
    torn.write_bytes(bytes(content))
    (folder / "part-000004.parquet").unlink()
    assert missing(job, "part") == [2, 4]
    with pytest.raises(EmbeddingError, match=r"2 of 5 parts are missing or damaged \(part-000002"):
        Embeddings.open(folder)
    embed_here(timed_snapshot, timed_bundle, folder, shift=6)
    after = finished_files(folder)
    assert after["part-000000.parquet"] == before["part-000000.parquet"]
    assert after["part-000002.parquet"][1] == before["part-000002.parquet"][1]
    assert missing(job, "part") == []


def test_a_folder_of_other_embeddings_is_refused(
    timed_snapshot: Snapshot, timed_bundle: Bundle, tmp_path: Path
) -> None:
    started(timed_snapshot, timed_bundle, str(tmp_path), full=False)
    started(timed_snapshot, timed_bundle, str(tmp_path), full=False)
    with pytest.raises(EmbeddingError, match="cut otherwise, not those asked for"):
        started(timed_snapshot, timed_bundle, str(tmp_path), full=True)


def test_no_embeddings_are_told(tmp_path: Path) -> None:
    with pytest.raises(EmbeddingError, match="no embeddings there; make them with `ringwatch ray embed`"):
        Embeddings.open(tmp_path)


def test_a_store_serves_as_well_as_a_folder(
    timed_snapshot: Snapshot, timed_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address of fsspec: layers are copied to the node, once, and checked."""
    from gnn.embedding import worked

    monkeypatch.setenv("RINGWATCH_NODE_CACHE", str(tmp_path / "node"))
    job = started(timed_snapshot, timed_bundle, (tmp_path / "store").as_uri(), full=False, shift=7)
    for step, left in steps_left(job):
        for block in left:
            worked(timed_snapshot, timed_bundle, job, step, block)
    here = embed_here(timed_snapshot, timed_bundle, tmp_path / "here", shift=7)
    assert here.key == job.key
    np.testing.assert_array_equal(
        Embeddings.open(tmp_path / "store").vectors, Embeddings.open(tmp_path / "here").vectors
    )
    assert len(list((tmp_path / "node").rglob("*.npy"))) == job.blocks("shown") + job.blocks("sent")
