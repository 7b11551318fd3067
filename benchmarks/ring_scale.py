"""How the time and memory of finding rings grow with the number of links, beside the Leiden runs in it.

    python benchmarks/ring_scale.py --work DIR [--copies 5 16 53] [--whole-null]

Copies of examples/hop_sybil side by side, 187,565 links each: 5 copies hold about one million links, 16 three
and 53 ten. All copies share what is a hub; other counterparties are each copy's own. Each size runs in a
process of its own: its peak memory is that of `rings.find`, snapshot included. ``Leiden`` is the time of the
community searches inside the run, of the null model's too; ``by CPU`` sets the processor's seconds of all
against theirs, which on a busy machine moves less than the clock. With ``--whole-null`` the null model deals
out the whole platform and no sample of it; ``q < .05`` shows how many rings either leaves.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import polars as pl

from graph_etl import Workspace
from graph_etl.build import build
from graph_etl.spec import load_spec

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "hop_sybil"


def write_copies(target: Path, copies: int) -> Path:
    """Write hop_sybil several times over, each copy with wallets of its own but for the hubs.

    Args:
        target: Folder to write into.
        copies: How many.

    Returns:
        The spec to build.
    """
    (target / "data").mkdir(parents=True, exist_ok=True)
    accounts = pl.read_csv(EXAMPLE / "data" / "accounts.csv.gz", infer_schema=False)
    transfers = pl.read_csv(EXAMPLE / "data" / "transfers.csv.gz", infer_schema=False)
    folds = pl.read_csv(EXAMPLE / "data" / "folds.csv.gz", infer_schema=False)
    workspace = Workspace(target / "one")
    build(load_spec(EXAMPLE / "spec.yaml"), workspace, data_dir=EXAMPLE)
    hubs = workspace.open_snapshot().hubs.filter(pl.col("kind") != "account")["key"].to_list()

    def copied(table: pl.DataFrame, columns: list[str], copy: int) -> pl.DataFrame:
        own = [
            pl.when(pl.col(name).is_in(hubs) | (pl.col(name) == "") | pl.col(name).is_null())
            .then(pl.col(name))
            .otherwise(pl.format("c{}-{}", pl.lit(copy), pl.col(name)))
            .alias(name)
            for name in columns
        ]
        return table.with_columns(own)

    tables = (
        ("accounts", accounts, ["account", "auto_group", "report_group"]),
        ("transfers", transfers, ["src", "dst"]),
        ("folds", folds, ["account"]),
    )
    for name, table, columns in tables:
        with (target / "data" / f"{name}.csv").open("wb") as stream:
            for copy in range(copies):
                copied(table, columns, copy).write_csv(stream, include_header=copy == 0)
    text = (EXAMPLE / "spec.yaml").read_text(encoding="utf-8").replace(".csv.gz", ".csv")
    (target / "spec.yaml").write_text(text, encoding="utf-8")
    return target / "spec.yaml"


def measure(place: Path, seed: int, *, whole_null: bool = False) -> dict[str, object]:
    """Find the rings of a workspace's snapshot, timed by stages.

    Args:
        place: The workspace.
        seed: Fixes what chance decides.
        whole_null: Whether the null model takes no sample.

    Returns:
        Numbers of accounts, links and rings, seconds of each stage, of all and of Leiden alone, peak MiB.
    """
    import rings
    from rings import find as module
    from rings.communities import communities

    if whole_null:
        sys.modules["rings.null_model"].SAMPLE = sys.maxsize  # type: ignore[attr-defined]
    snapshot = Workspace(place).open_snapshot()
    leiden = leiden_processor = 0.0

    def timed(*arguments: object, **options: object) -> object:
        nonlocal leiden, leiden_processor
        start, processor = time.perf_counter(), time.thread_time()
        found = communities(*arguments, **options)  # type: ignore[arg-type]
        leiden += time.perf_counter() - start
        leiden_processor += time.thread_time() - processor
        return found

    for name in ("rings.find", "rings.measuring"):
        sys.modules[name].communities = timed  # type: ignore[attr-defined]
    marks: list[tuple[str, float]] = []
    start, processor = time.perf_counter(), time.process_time()

    def mark(step: str, *_: int) -> None:
        if not marks or marks[-1][0] != step:
            marks.append((step, time.perf_counter()))

    run = module(snapshot, seed=seed, progress=mark)
    end, processor = time.perf_counter(), time.process_time() - processor
    ends = [at for _, at in marks[1:]] + [end]
    return {
        "accounts": snapshot.n_accounts,
        "links": len(rings.links(snapshot)),
        "rings": run.table.height,
        "stages": {step: round(until - since, 1) for (step, since), until in zip(marks, ends, strict=True)},
        "seconds": round(end - start, 1),
        "leiden": round(leiden, 1),
        "leiden_processor": round(leiden_processor, 1),
        "processor": round(processor, 1),
        "significant": run.manifest["counts"]["significant"],
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True, help="folder for the workspaces")
    parser.add_argument("--copies", type=int, nargs="+", default=[5, 16, 53])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--whole-null", action="store_true", help="deal out the whole platform")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(args.work, args.seed, whole_null=args.whole_null)))
        return
    heads = f"{'accounts':>10} {'links':>11} {'rings':>8} {'q < .05':>8} {'s':>7} {'CPU s':>7}"
    print(f"{heads} {'Leiden s':>9} {'CPU s':>6} {'times':>6} {'by CPU':>7} {'us/link':>8} {'MiB':>7}")
    for copies in args.copies:
        target = args.work / f"copies_{copies}"
        place = target / "workspace"
        if not place.exists():
            build(load_spec(write_copies(target, copies)), Workspace(place), data_dir=target)
        line = [sys.executable, __file__, "--one", "--work", str(place), "--seed", str(args.seed)]
        line += ["--whole-null"] if args.whole_null else []
        out = subprocess.run(line, check=True, capture_output=True, text=True).stdout
        told = json.loads(out.splitlines()[-1])
        print(
            f"{told['accounts']:>10,} {told['links']:>11,} {told['rings']:>8,} "
            f"{told['significant']:>8,} {told['seconds']:>7.0f} {told['processor']:>7.0f} "
            f"{told['leiden']:>9.1f} {told['leiden_processor']:>6.1f} "
            f"{told['seconds'] / told['leiden']:>6.1f} "
            f"{told['processor'] / told['leiden_processor']:>7.1f} "
            f"{told['seconds'] / told['links'] * 1e6:>8.1f} {told['peak_mib']:>7,}  {told['stages']}",
            flush=True,
        )


if __name__ == "__main__":
    main()
