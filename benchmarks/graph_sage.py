"""What GraphSAGE adds to the trees on every set given, with its interval, at all labels, 10 % and 1 %.

    python benchmarks/graph_sage.py SPEC[=DATA] … [--share 1 0.1 0.01] [--moment NAME] [--folds N]
                                    [--draws N] [--members N] [--workspace DIR] [--seed N] [--threads N]
                                    [--told]

A set is built in a folder of its own below the workspace (a temporary one by default) and not again where it
is there already; ``=DATA`` is the folder of the data where it is not beside the spec. Trees and GraphSAGE are
fitted on the same columns and the same folds of the snapshot's own table, with all or some of the training
verdicts (at least ten of each class, drawn anew for each of ``--draws``). Shape and number of trees are those
that did best on the held-out accounts, and so is the weight of the blend. The interval is a paired bootstrap
over known rings (else accounts), of the draw in the middle where there are several. ``lonely`` are held-out
accounts without a neighbour at the moment. Prints data, seed and hardware, then the table.

With ``--told`` GraphSAGE is fitted again with verdicts on neighbours among its inputs, masked at random
(`gnn.sage_verdicts`). Verdicts without times, which training never takes, count here as known from the start.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from sklearn.metrics import average_precision_score

from features import Queries, known_bad_of
from gnn.bundle import main_moment
from gnn.inputs import inputs
from gnn.sage import SageInputs, run_sage
from gnn.sage_fit import fit_sage
from gnn.sage_gain import WEIGHTS, Gain, gain_of, held_together
from gnn.sage_kernel import FANOUTS
from gnn.sage_verdicts import NEVER, Known
from gnn.stages import known_to
from gnn.targets import MIN_OF_A_CLASS, targets
from gnn.trees import ROUNDS, SHAPES, fit_trees, margins
from gnn.validation import Fold, folds
from graph_etl import Snapshot, Workspace, build, load_spec
from graph_etl.identifiers import HASH_KEY_VARIABLE
from rings import epochs_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from rings import Epoch

ROOT: Final = Path(__file__).resolve().parent.parent
# What is hashed here is public or drawn, so a key that everybody can read hides nothing that it should.
_KEY: Final = "bench-quality-key-for-public-data"


@dataclass(frozen=True, slots=True)
class Measured:
    """One draw of labels: held-out figures of trees, GraphSAGE and both."""

    verdicts: int
    trees: float
    alone: float
    gain: Gain
    lonely: float
    sage_s: float
    told: tuple[float, Gain, float] | None


def opened(spec_path: Path, data: Path | None, place: Path, seed: int) -> Snapshot:
    """The snapshot of a spec, built where it is not there yet."""
    spec = load_spec(spec_path)
    workspace = Workspace(place / spec.name)
    if not (workspace.path / "current.json").exists():
        build(spec, workspace, data_dir=data, seed=seed)
    return workspace.open_snapshot()


def thinned(fold: Fold, share: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Training accounts of a fold, some of them, with at least ten of each class."""
    rows = fold.train[fold.targets.label[fold.train] >= 0]
    if share >= 1.0:
        return rows
    label = fold.targets.label[rows]
    chosen = rng.permutation(len(rows))[: max(1, int(len(rows) * share))]
    for one in (0, 1):
        members = np.flatnonzero(label == one)
        lacking = MIN_OF_A_CLASS - int((label[chosen] == one).sum())
        if lacking > 0:
            free = np.setdiff1d(members, chosen)
            chosen = np.concatenate([chosen, rng.permutation(free)[:lacking]])
    return rows[np.sort(chosen)]


def known_of(snapshot: Snapshot, fold: Fold, rows: NDArray[np.int64]) -> Known:
    """Verdicts that a fold's GraphSAGE is told of; those known from the start only of accounts fitted on."""
    found = known_bad_of(snapshot, untimed=True)
    since = found.since.copy()
    from_start = since == -1
    from_start[rows] = False
    since[from_start] = NEVER
    return Known(known_to(snapshot, since, fold.cut_ms, fold.held_out), found.until)


def measure(
    snapshot: Snapshot,
    epochs: Sequence[Epoch],
    moment: str,
    share: float,
    draw: int,
    options: argparse.Namespace,
) -> Measured:
    """Fit both in each fold and judge the held-out accounts."""
    asked = Queries.for_accounts(snapshot, moment=moment)
    columns = inputs(snapshot, asked, epochs=epochs)
    final = targets(snapshot)
    rng = np.random.default_rng([options.seed, draw])
    shapes = SHAPES if snapshot.n_accounts < 20_000 or share < 1.0 else SHAPES[:1]
    table = {(shape, rounds): np.full(snapshot.n_accounts, np.nan) for shape in shapes for rounds in ROUNDS}
    sage = np.full(snapshot.n_accounts, np.nan)
    lonely = np.zeros(snapshot.n_accounts, np.bool_)
    told = np.full(snapshot.n_accounts, np.nan)
    verdicts, sage_s, told_s = [], 0.0, 0.0
    for fold in list(folds(snapshot))[-options.folds if options.folds else None :]:
        rows = thinned(fold, share, rng)
        label, weight = fold.targets.label[rows], fold.targets.fit_weight(rows)
        verdicts.append(len(rows))
        for shape in shapes:
            trees = fit_trees(
                columns[rows], label, weight, shape=shape, seed=options.seed, n_threads=options.threads
            )
            for rounds in ROUNDS:
                table[shape, rounds][fold.held_out] = margins(trees, columns[fold.held_out], rounds)
        began = time.perf_counter()
        taken = asked.take(rows)
        fit = partial(
            fit_sage,
            SageInputs.of(snapshot, taken),
            taken,
            label,
            weight,
            rows=columns[rows],
            group=held_together(snapshot, rows),
            members=options.members,
            seed=options.seed,
            n_threads=options.threads,
        )
        model = fit()
        held = asked.take(fold.held_out)
        around = SageInputs.of(snapshot, held)
        sage[fold.held_out], _ = run_sage(model, around, held, rows=columns[fold.held_out])
        sage_s += time.perf_counter() - began
        if options.told:
            began = time.perf_counter()
            given = known_of(snapshot, fold, rows)
            model = fit(known=given)
            told[fold.held_out], _ = run_sage(model, around, held, rows=columns[fold.held_out], known=given)
            told_s += time.perf_counter() - began
        sides = around.draw(held, FANOUTS, latest=True).hop1_side.reshape(len(held), -1)
        lonely[fold.held_out] = (sides < 0).all(1)
    judged = np.flatnonzero((final.label >= 0) & ~final.young & ~np.isnan(sage))
    label, weight = final.label[judged], final.weight[judged]

    def precision(margin: NDArray[np.float64], part: NDArray[np.bool_] | slice = slice(None)) -> float:
        if len(np.unique(label[part])) < 2:
            return float("nan")
        return float(average_precision_score(label[part], margin[part], sample_weight=weight[part]))

    margin = max((values[judged] for values in table.values()), key=precision)
    second = sage[judged]
    together = held_together(snapshot, judged)
    gain = gain_of(label, margin, second, weight, group=together, seed=options.seed)
    level = (second - second.mean()) / second.std() * margin.std() + margin.mean()
    both = (1.0 - gain.weight) * margin + gain.weight * level
    part = lonely[judged]
    return Measured(
        verdicts=int(np.mean(verdicts)),
        trees=precision(margin),
        alone=precision(second),
        gain=gain,
        lonely=precision(both, part) - precision(margin, part),
        sage_s=sage_s,
        told=(
            precision(told[judged]),
            gain_of(label, margin, told[judged], weight, group=together, seed=options.seed),
            told_s,
        )
        if options.told
        else None,
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("specs", nargs="*", default=[str(ROOT / "examples/tolokers/spec.yaml")])
    parser.add_argument("--share", nargs="+", type=float, default=[1.0, 0.1, 0.01])
    parser.add_argument("--moment", help="the main one of the spec if left out")
    parser.add_argument("--folds", type=int, default=0, help="only the last so many")
    parser.add_argument("--draws", type=int, default=3, help="of labels, where only some are used")
    parser.add_argument("--members", type=int, default=3)
    parser.add_argument("--told", action="store_true")
    parser.add_argument("--workspace", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    os.environ.setdefault(HASH_KEY_VARIABLE, _KEY)
    place = options.workspace or Path(tempfile.mkdtemp(prefix="ringwatch-sage-"))
    print = sys.stdout.write
    print(f"seed {options.seed}, {options.members} members, weights tried {WEIGHTS}\n")
    print(f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}\n\n")
    print("| set, moment | verdicts | trees AP | GraphSAGE alone | weight | gain | interval | lonely | s |\n")
    print("|---|---:|---:|---:|---:|---:|---|---:|---:|\n")
    for given in options.specs:
        path, _, data = str(given).partition("=")
        snapshot = opened(Path(path), Path(data) if data else None, place, options.seed)
        moment = options.moment or main_moment(snapshot.manifest["moments"])
        epochs = epochs_of(snapshot, (moment,), options.seed)
        name = snapshot.manifest["name"] + (" (simulated)" if snapshot.manifest["simulated"] else "")
        for share in options.share:
            draws = 1 if share >= 1.0 else options.draws
            found = [measure(snapshot, epochs, moment, share, draw, options) for draw in range(draws)]
            middle = sorted(found, key=lambda one: one.gain.gain)[len(found) // 2]
            gains = np.array([one.gain.gain for one in found])
            spread = f" ± {gains.std(ddof=1):.4f}" if draws > 1 else ""
            print(
                f"| {name}, {moment} | {middle.verdicts:,} ({share:.0%}) "
                f"| {np.mean([one.trees for one in found]):.4f} "
                f"| {np.mean([one.alone for one in found]):.4f} | {middle.gain.weight} "
                f"| {gains.mean():+.4f}{spread} | {middle.gain.low:+.4f} to {middle.gain.high:+.4f} "
                f"| {middle.lonely:+.4f} | {np.mean([one.sage_s for one in found]):.0f} |\n"
            )
            told = [one.told for one in found if one.told is not None]
            if middle.told is not None:
                gains = np.array([more.gain for _, more, _ in told])
                spread = f" ± {gains.std(ddof=1):.4f}" if draws > 1 else ""
                _, more, seconds = middle.told
                print(
                    f"| … told of verdicts | | | {np.mean([alone for alone, _, _ in told]):.4f} "
                    f"| {more.weight} | {gains.mean():+.4f}{spread} | {more.low:+.4f} to {more.high:+.4f} "
                    f"| | {seconds:.0f} |\n"
                )
            sys.stdout.flush()


if __name__ == "__main__":
    main()
