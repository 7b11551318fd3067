"""`ringwatch train`: snapshot in, bundle out, its metrics beside the baselines."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer

from ringwatch.console import Outcome, Screen
from ringwatch.options import JsonOption, Options, SeedOption, WorkspaceOption

SHOWN: Final = (
    ("average_precision", "average precision"),
    ("auroc", "AUROC"),
    ("recall_at_k", "recall at K"),
)
SUPERVISION: Final = {
    "supervised": "verdicts of both kinds: scores are calibrated probabilities",
    "positive_unlabelled": "only bad accounts are known: learned as positive-unlabelled",
    "label_free": "too few bad verdicts to learn from (10 needed): rarity gives the score, uncalibrated",
}


def add_to(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("train")(_train)


def _train(
    split: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Train on this given split, not on the fold table.")
    ] = None,
    workspace: WorkspaceOption = None,
    seed: SeedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a bundle on the current snapshot and make it the current one."""
    make_bundle(Options.of(workspace, seed, as_json), split=split)


def make_bundle(options: Options, *, split: int | None = None) -> None:
    """Train a bundle and show its metrics.

    Args:
        options: The common options.
        split: Number of a given split; the fold table if None.
    """
    from graph_etl import Workspace

    place = Workspace(options.workspace)
    snapshot = place.open_snapshot()
    import gnn

    with options.screen.progress() as progress:
        bundle = gnn.train(snapshot, place, seed=options.seed, split=split, progress=progress)
    manifest = bundle.manifest
    note = " (simulated data)" if manifest["simulated"] else ""
    options.screen.heading(f"{manifest['name']}{note}: bundle {bundle.version}")
    options.screen.say(SUPERVISION.get(manifest["supervision"], manifest["supervision"]))
    show_metrics(options.screen, manifest)
    result = {
        key: manifest.get(key)
        for key in ("version", "snapshot", "name", "simulated", "supervision", "calibrated", "moments")
    }
    result |= {"metrics": manifest["metrics"], "baselines": manifest["baselines"]}
    options.screen.finish(
        Outcome(
            "train",
            options.workspace,
            result,
            wrote=(bundle.path,),
            next_command=options.next_command("rings"),
        )
    )


def show_metrics(screen: Screen, manifest: Mapping[str, Any]) -> None:
    """Show a bundle's held-out figures beside the baselines, with 95 % intervals."""
    for moment in manifest["moments"]:
        figures = manifest["metrics"].get(moment)
        if not figures:
            screen.say(f"{moment}: too few verdicts of both kinds to judge")
            continue
        rows = [["Ringwatch", *(_figure(figures, name) for name, _ in SHOWN)]]
        sage = figures.get("graph_sage")
        if sage is not None:
            rows.append(["GraphSAGE alone", *_figures({"average_precision": sage["alone"]})])
        for name, baseline in manifest["baselines"].get(moment, {}).items():
            rows.append([name, *_figures(baseline)])
        screen.table(
            ["held out", *(title for _, title in SHOWN)],
            rows,
            title=(
                f"At {moment}: {figures['accounts']:,} judged accounts, {figures['bad']:,} bad, "
                f"folds by {figures['folds']}; calibration error {figures['calibration_error']:.3f}"
            ),
        )


def _figures(figures: Mapping[str, Any]) -> list[str]:
    return [_figure(figures, name) for name, _ in SHOWN]


def _figure(figures: Mapping[str, Any], name: str) -> str:
    """Return `0.912 (0.905–0.919)`, without the interval where there is none."""
    figure = figures.get(name)
    if figure is None:
        return ""
    if "low" not in figure:
        return f"{figure['value']:.3f}"
    return f"{figure['value']:.3f} ({figure['low']:.3f}–{figure['high']:.3f})"
