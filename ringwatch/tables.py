"""Tables that leave Ringwatch: scores, rings, embeddings, as CSV or Parquet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from graph_etl.errors import RingwatchError
from graph_etl.workspace import WorkspaceError, write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from graph_etl import Snapshot, Workspace
    from rings import RingsRun

SCORE_COLUMNS: Final = ("account", "score", "percentile", "decision", "ring")
RING_COLUMNS: Final = ("ring", "account", "role", "rank", "ring_score")
ENDINGS: Final = (".csv", ".parquet")


class TableError(RingwatchError):
    """A table cannot be written or read as asked."""


def open_rings(place: Workspace, snapshot: Snapshot) -> RingsRun | None:
    """Open the current rings run; None if there is none on this snapshot.

    Args:
        place: The workspace.
        snapshot: Its current snapshot.

    Returns:
        The run.
    """
    from rings import RingsRun

    identity = place.current()["rings"]
    if identity is None:
        return None
    run = RingsRun.open(place.path_of("rings", identity))
    return run if run.manifest.get("snapshot", snapshot.id) == snapshot.id else None


def score_table(
    place: Workspace,
    snapshot: Snapshot,
    *,
    held_out: bool = False,
    by: Callable[[Path, Path], pl.DataFrame] | None = None,
) -> pl.DataFrame:
    """Score and decide on every account.

    Args:
        place: The workspace.
        snapshot: Its current snapshot.
        held_out: Give each account the score of models that were fitted without its fold, where there is one.
        by: Scores all accounts, given the folders of snapshot and bundle; `ray_jobs.score_here` if None.

    Returns:
        Columns `account`, `score`, `percentile`, `decision`, `ring`; all accounts in the snapshot's order.

    Raises:
        WorkspaceError: If there is no bundle.
    """
    from gnn import Bundle
    from ringwatch.scores import current_scores
    from scoring_service import decisions

    version = place.current()["bundle"]
    if version is None:
        message = f"{place.path}: no bundle yet; make one with `ringwatch train`"
        raise WorkspaceError(message)
    found = current_scores(place, snapshot, by=by)
    scores = found.table(snapshot)
    if held_out:
        judged = ~np.isnan(found.held_out)
        ranks = np.searchsorted(np.sort(found.score), found.held_out) / max(snapshot.n_accounts, 1) * 100.0
        scores = scores.with_columns(
            score=pl.Series(np.where(judged, found.held_out, found.score)),
            percentile=pl.Series(np.where(judged, ranks, found.percentile)),
        )
    bundle = Bundle.open(place.path_of("bundle", version))
    return decisions(snapshot, bundle, open_rings(place, snapshot), scores=scores).select(SCORE_COLUMNS)


def ring_table(place: Workspace, snapshot: Snapshot) -> pl.DataFrame:
    """List the members of every ring.

    Args:
        place: The workspace.
        snapshot: Its current snapshot.

    Returns:
        Columns `ring`, `account`, `role`, `rank` (1 first), `ring_score`.

    Raises:
        WorkspaceError: If there is no rings run on the snapshot.
    """
    run = open_rings(place, snapshot)
    if run is None:
        message = f"{place.path}: no rings on snapshot {snapshot.id} yet; find them with `ringwatch rings`"
        raise WorkspaceError(message)
    ranked = run.table.select("ring", "rank", pl.col("score").alias("ring_score"))
    return (
        run.members.select("ring", pl.col("account_id").alias("account"), "role")
        .join(ranked, on="ring")
        .sort("rank", "account")
        .select(RING_COLUMNS)
    )


def embedding_table(place: Workspace, snapshot: Snapshot) -> pl.DataFrame:
    """Embed every account with GraphSAGE.

    Args:
        place: The workspace.
        snapshot: Its current snapshot.

    Returns:
        Columns `account` and `e0`, `e1`, …, one a dimension.

    Raises:
        WorkspaceError: If there is no bundle, or it was trained without verdicts and has no GraphSAGE.
    """
    from gnn import Bundle
    from gnn.layerwise import embed_all

    version = place.current()["bundle"]
    bundle = None if version is None else Bundle.open(place.path_of("bundle", version))
    sage = None if bundle is None else bundle.sage
    if bundle is None or sage is None:
        lacks = (
            "no bundle yet"
            if version is None
            else f"bundle {version} was trained without verdicts, so it has no GraphSAGE"
        )
        message = f"{place.path}: {lacks}; `ringwatch train` makes one from a snapshot with verdicts"
        raise WorkspaceError(message)
    blocks = embed_all(snapshot, sage, bundle.epochs_for(snapshot))
    embedding = np.concatenate([np.zeros((0, sage.hidden), np.float32), *(part for _, _, part in blocks)])
    columns = {f"e{at}": embedding[:, at] for at in range(embedding.shape[1])}
    return pl.DataFrame({"account": snapshot.account_ids.to_list(), **columns})


def check_ending(path: Path) -> None:
    """Refuse an ending that no table is written as, before any work is done.

    Args:
        path: The file to write.

    Raises:
        TableError: If it ends neither in .csv nor in .parquet.
    """
    if path.suffix not in ENDINGS:
        message = f"{path}: the ending must be .csv or .parquet, got '{path.suffix}'; name the file so"
        raise TableError(message)


def write_table(table: pl.DataFrame, path: Path) -> None:
    """Write a table by the ending of its file; a reader sees the whole file or the one before.

    Args:
        table: The table.
        path: A file that ends in .csv or .parquet.

    Raises:
        TableError: If the ending is another.
    """
    check_ending(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".csv":
        write_atomically(path, table.write_csv())
        return
    partial = path.with_name(f".{path.name}.partial")
    table.write_parquet(partial)
    partial.replace(path)


def read_truth(path: Path) -> pl.DataFrame:
    """Read who is bad, as somebody else knows it.

    Args:
        path: CSV (also .gz) or Parquet with the columns `account`, `label` and perhaps `ring`.

    Returns:
        Columns `account` text, `bad` flag, `ring` text or null; rows without a label are left out.

    Raises:
        TableError: If the file, a column or a label cannot be read, or an account stands there twice.
    """
    try:
        table = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path, infer_schema=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        problem = f"{path}: cannot be read as a table ({' '.join(str(error).split())[:120]})"
        message = f"{problem}; give a CSV or Parquet file with the columns account,label[,ring]"
        raise TableError(message) from None
    for column in ("account", "label"):
        if column not in table.columns:
            message = (
                f"{path}: no column '{column}', there are: {', '.join(table.columns)}; "
                "expected account,label[,ring]"
            )
            raise TableError(message)
    ring = pl.col("ring").cast(pl.String) if "ring" in table.columns else pl.lit(None, dtype=pl.String)
    table = table.select(
        pl.col("account").cast(pl.String),
        pl.col("label").cast(pl.String).str.strip_chars().str.to_lowercase(),
        ring.replace("", None).alias("ring"),
    ).filter(pl.col("label").is_not_null() & (pl.col("label") != ""))
    meaning = {
        "1": True,
        "1.0": True,
        "true": True,
        "bad": True,
        "0": False,
        "0.0": False,
        "false": False,
        "good": False,
    }
    unknown = table.filter(~pl.col("label").is_in(list(meaning)))
    if len(unknown):
        message = (
            f"{path}: label '{unknown['label'][0]}' of account {unknown['account'][0]}; "
            "labels are 1 or bad, 0 or good"
        )
        raise TableError(message)
    twice = table.filter(pl.col("account").is_duplicated())
    if len(twice):
        message = f"{path}: account {twice['account'][0]} stands there more than once; keep one row for each"
        raise TableError(message)
    return table.select(
        "account", pl.col("label").replace_strict(meaning, return_dtype=pl.Boolean).alias("bad"), "ring"
    )
