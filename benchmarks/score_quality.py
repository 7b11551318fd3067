"""How well held-out scores put reported rings first, beside trees that see no graph.

    python benchmarks/score_quality.py [SPEC] [--data DIR] [--workspace DIR] [--seed N]

SPEC defaults to examples/hop_sybil/spec.yaml. Builds and trains in the workspace (by default a temporary
one); every account is scored by a chain fitted without the labels of its fold. Where the spec has known
groups of role ``judge``, positives are their accounts, a group of more than 40 weighing as 40, negatives are
the accounts with a good verdict, and positives are weighted to a prevalence of 20.7 %; elsewhere all
accounts with a verdict count alike. Baselines: own attributes only, and attributes with degrees, on the
same folds, the same trees. Prints data, seed, hardware and the time of ``train``.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from sklearn.metrics import average_precision_score, roc_auc_score

import gnn
from features import Queries, compute, registry_of
from gnn.targets import targets
from gnn.trees import fit_trees, margins
from gnn.validation import folds
from graph_etl import Snapshot, Workspace, build, load_spec

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
PREVALENCE, RING_CAP, ROUNDS = 0.207, 40, 150


def judged(snapshot: Snapshot) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.float64]]:
    """Accounts that are judged, whether they are bad, and their weights."""
    groups = snapshot.groups.filter(pl.col("role") == "judge")
    label = targets(snapshot).label
    if not len(groups):
        rows = np.flatnonzero(label >= 0)
        return rows, label[rows] == 1, np.ones(len(rows))
    sized = groups.with_columns(pl.len().over("mapping", "group").alias("size"))
    weight = np.zeros(snapshot.n_accounts)
    weight[sized["account"].to_numpy()] = np.minimum(1.0, RING_CAP / sized["size"].to_numpy())
    bad = weight > 0
    good = (snapshot.labels() == 0) & ~bad
    rows = np.flatnonzero(bad | good)
    weight[good] = 1.0
    weight[bad] *= good.sum() * PREVALENCE / (1 - PREVALENCE) / weight[bad].sum()
    return rows, bad[rows], weight[rows]


def held_out(snapshot: Snapshot, columns: NDArray[np.float32], seed: int) -> NDArray[np.float64]:
    """Out-of-fold margins of trees on some columns."""
    found = np.full(snapshot.n_accounts, np.nan)
    for fold in folds(snapshot):
        label, weight = fold.targets.label[fold.train], fold.targets.weight[fold.train]
        booster = fit_trees(columns[fold.train], label, weight, rounds=ROUNDS, seed=seed)
        found[fold.held_out] = margins(booster, columns[fold.held_out])
    return found


def main() -> None:
    """Build, train, judge, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("spec", nargs="?", type=Path, default=ROOT / "examples/hop_sybil/spec.yaml")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--workspace", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    workspace = Workspace(options.workspace or tempfile.mkdtemp(prefix="ringwatch-quality-"))
    spec = load_spec(options.spec)
    report = build(spec, workspace, data_dir=options.data, seed=options.seed)
    snapshot = workspace.open_snapshot(report.snapshot_id)
    began = time.perf_counter()
    bundle = gnn.train(snapshot, workspace, seed=options.seed)
    train_s = time.perf_counter() - began
    columns = compute(snapshot, Queries.for_accounts(snapshot))
    specs = registry_of(snapshot).specs
    own = [i for i, one in enumerate(specs) if one.family == "attribute"]
    degrees = [i for i, one in enumerate(specs) if one.name.endswith(".counterparts")]
    rivals = {f"trees on {len(own)} own attributes": own, "… and degrees": own + degrees}
    scores = {
        name: held_out(snapshot, np.ascontiguousarray(columns[:, picked]), options.seed)
        for name, picked in rivals.items()
        if picked
    }
    scores["Ringwatch"] = bundle.scores["oof_score"].fill_null(float("nan")).to_numpy()
    rows, bad, weight = judged(snapshot)
    seen = ~np.isnan(scores["Ringwatch"][rows])
    rows, bad, weight = rows[seen], bad[seen], weight[seen]
    print = sys.stdout.write
    name = f"{spec.name}{' (simulated)' if spec.simulated else ''}"
    print(f"{name}, snapshot {snapshot.id}, seed {options.seed}\n")
    print(f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}\n")
    print(f"judged accounts {len(rows):,}, bad {int(bad.sum()):,}; train took {train_s:.0f} s\n\n")
    print(f"| {'held-out scores of':34} | average precision | AUROC |\n|{'-' * 36}|{'-' * 19}|{'-' * 7}|\n")
    for name, score in scores.items():
        precision = average_precision_score(bad, score[rows], sample_weight=weight)
        area = roc_auc_score(bad, score[rows], sample_weight=weight)
        print(f"| {name:34} | {precision:17.3f} | {area:.3f} |\n")


if __name__ == "__main__":
    main()
