"""Do rings keep their ids when a few events are missing? And are there none where nobody acts together?

    python benchmarks/ring_stability.py --work DIR [--runs 10] [--share 0.01] [--scores]

Ids: builds examples/hop_sybil, finds its rings, and again ``--runs`` times with a share of the transfers
left out at random, each time told of the rings before. A ring keeps its id if a ring of that id holds more
than half of its accounts. Both ways: all found anew, and on the run before (`rings.find` with ``base``). No
rings: hop_sybil with the receivers of its transfers dealt out anew within each kind and chain, so that
every wallet keeps how often it sends and receives, and with its known groups left out; tolokers with its
edges dealt out anew likewise. Counts accounts in rings with q below 0.05.
``--scores`` ranks and weighs with the scores of the bundle in DIR/whole, trained first if there is none.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

import rings
from graph_etl import Snapshot, Workspace
from graph_etl.build import build
from graph_etl.spec import load_spec

if TYPE_CHECKING:
    from numpy.typing import NDArray

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
SIGNIFICANT = 0.05


def built(spec: Path, data: Path, place: Path) -> Snapshot:
    """Build a spec on other data."""
    workspace = Workspace(place)
    build(load_spec(spec), workspace, data_dir=data)
    return workspace.open_snapshot()


def hop_files(target: Path, transfers: pl.DataFrame, *, groups: bool) -> Path:
    """Write hop_sybil's files with other transfers."""
    source, data = EXAMPLES / "hop_sybil" / "data", target / "data"
    data.mkdir(parents=True, exist_ok=True)
    accounts = pl.read_csv(source / "accounts.csv.gz", infer_schema=False)
    if not groups:
        nothing = pl.lit(None, pl.String)
        accounts = accounts.with_columns(nothing.alias("auto_group"), nothing.alias("report_group"))
    accounts.write_csv(data / "accounts.csv")
    transfers.write_csv(data / "transfers.csv")
    text = (EXAMPLES / "hop_sybil" / "spec.yaml").read_text(encoding="utf-8")
    for name in ("accounts", "transfers"):
        text = text.replace(f"data/{name}.csv.gz", f"data/{name}.csv")
    (data / "folds.csv.gz").write_bytes((source / "folds.csv.gz").read_bytes())
    (target / "spec.yaml").write_text(text, encoding="utf-8")
    return target / "spec.yaml"


def kept(before: pl.DataFrame, after: pl.DataFrame) -> float:
    """Share of rings of which a ring of the same id holds more than half of the accounts."""
    size = before.group_by("ring").len("size")
    both = before.join(after, on=["ring", "account_id"]).group_by("ring").len("both")
    joined = size.join(both, on="ring", how="left").with_columns(pl.col("both").fill_null(0))
    return float((joined["both"] * 2 > joined["size"]).to_numpy().mean())


def stability(work: Path, runs: int, share: float, seed: int, *, scored: bool) -> None:
    """Print the share of ids kept by each thinned run."""
    transfers = pl.read_csv(EXAMPLES / "hop_sybil" / "data" / "transfers.csv.gz")
    # Through the same way as the thinned ones, so that their specs are one: another spec is measured anew.
    spec = hop_files(work / "all", transfers, groups=True)
    whole = built(spec, work / "all", work / "whole")
    scores = scores_of(work / "whole", whole) if scored else None
    first = rings.find(whole, scores, seed=seed)
    significant = first.table.filter(pl.col("q_value") < SIGNIFICANT)["ring"]
    random = np.random.default_rng(seed)
    print(
        f"hop_sybil {whole.id}: {first.table.height} rings; without {share:.0%} of the transfers, at random"
    )
    every: dict[str, list[float]] = {"anew": [], "on the run before": []}
    for run in range(runs):
        thinned = transfers.filter(pl.Series(random.random(transfers.height) >= share))
        target = work / f"thinned_{run}"
        spec = hop_files(target, thinned, groups=True)
        snapshot = built(spec, target, target / "workspace")
        for way, base in (("anew", None), ("on the run before", first)):
            start = time.perf_counter()
            again = rings.find(snapshot, moved(scores, whole, snapshot), previous=first, base=base, seed=seed)
            every[way].append(kept(first.members, again.members))
            sure = kept(first.members.filter(pl.col("ring").is_in(significant.implode())), again.members)
            print(
                f"  run {run}, {way}: {again.table.height} rings, {every[way][-1]:.1%} of ids kept, of "
                f"significant ones {sure:.1%}, {time.perf_counter() - start:.0f} s",
                flush=True,
            )
    for way, shares in every.items():
        print(f"  {way}: mean {np.mean(shares):.1%}, least {np.min(shares):.1%}")


def scores_of(place: Path, snapshot: Snapshot) -> NDArray[np.float64]:
    """Scores of the workspace's bundle, trained first if there is none."""
    from ringwatch.scores import current_scores

    workspace = Workspace(place)
    if workspace.current()["bundle"] is None:
        subprocess.run(
            [sys.executable, "-m", "ringwatch", "train", "--workspace", str(place)],
            check=True,
            stdout=subprocess.DEVNULL,
        )
    return current_scores(workspace, snapshot).score


def moved(scores: NDArray[np.float64] | None, whole: Snapshot, other: Snapshot) -> NDArray[np.float64] | None:
    """The same accounts' scores in another snapshot."""
    if scores is None:
        return None
    by_id = dict(zip(whole.account_ids.to_list(), scores.tolist(), strict=True))
    return np.array([by_id[account] for account in other.account_ids.to_list()])


def nobody(work: Path, seed: int) -> None:
    """Print the share of accounts in significant rings where nobody acts together."""
    random = np.random.default_rng(seed)
    transfers = pl.read_csv(EXAMPLES / "hop_sybil" / "data" / "transfers.csv.gz")
    dealt = transfers.with_row_index("row").with_columns(
        pl.col("row").shuffle(seed).over("kind", "chain").alias("place")
    )
    ends = dealt.select(pl.col("row").alias("place"), pl.col("dst").alias("other"))
    dealt = dealt.join(ends, on="place", maintain_order="left").with_columns(pl.col("other").alias("dst"))
    target = work / "dealt_hop"
    spec = hop_files(target, dealt.select(transfers.columns), groups=False)
    told("hop_sybil, transfers dealt out anew", built(spec, target, target / "workspace"), seed)
    target = work / "dealt_tolokers"
    (target / "data").mkdir(parents=True, exist_ok=True)
    arrays = dict(np.load(EXAMPLES / "tolokers" / "data" / "tolokers.npz"))
    edges = arrays["edges"]
    edges = np.column_stack([edges[:, 0], random.permutation(edges[:, 1])])
    edges = edges[edges[:, 0] != edges[:, 1]]
    arrays["edges"] = np.unique(np.sort(edges, axis=1), axis=0)
    np.savez(target / "data" / "tolokers.npz", **arrays)
    spec = EXAMPLES / "tolokers" / "spec.yaml"
    told("tolokers, edges dealt out anew", built(spec, target, target / "workspace"), seed)


def told(name: str, snapshot: Snapshot, seed: int) -> None:
    """Print how many accounts are in significant rings."""
    run = rings.find(snapshot, seed=seed)
    sure = run.table.filter(pl.col("q_value") < SIGNIFICANT)
    share = sure["size"].sum() / snapshot.n_accounts
    print(f"{name}: {run.table.height} rings, {sure.height} with q < {SIGNIFICANT}, {share:.2%} of accounts")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True, help="folder for the workspaces")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--share", type=float, default=0.01)
    parser.add_argument("--scores", action="store_true")
    parser.add_argument("--only-ids", action="store_true", help="not whether there are none where nobody is")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if not args.only_ids:
        nobody(args.work, args.seed)
    stability(args.work, args.runs, args.share, args.seed, scored=args.scores)


if __name__ == "__main__":
    main()
