"""`ringwatch train`: snapshot in, bundle out, its metrics beside the baselines."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from ringwatch.console import Outcome, Screen
from ringwatch.options import JsonOption, Options, SeedOption, WorkspaceOption

if TYPE_CHECKING:
    from gnn import Bundle
    from graph_etl import Snapshot

Trainer = Callable[..., "Bundle"]
# As in `gnn.trees`, which is not imported for `--help`.
ModelName = Literal["lightgbm", "xgboost", "extra_trees", "random_forest"]

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


def _time(minutes: float | None) -> float | None:
    if minutes is not None and not minutes > 0:
        message = f"{minutes:g} is no time to train in; give minutes above 0, or leave it out"
        raise typer.BadParameter(message)
    return minutes


def _drawing(file: Path | None) -> Path | None:
    if file is not None and file.suffix.lower() != ".svg":
        message = f"{file}: drawings are written as .svg"
        raise typer.BadParameter(message)
    return file


SplitOption = Annotated[
    int | None, typer.Option(metavar="N", min=0, help="Train on this given split, not on the fold table.")
]
ModelOption = Annotated[
    ModelName, typer.Option(help="Which trees to grow; xgboost needs the extra of that name.")
]
BudgetOption = Annotated[
    float | None,
    typer.Option(
        metavar="MINUTES",
        callback=_time,
        help="Try less where time runs out; there is always a bundle, and what was left out is told.",
    ),
]
PlotOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE.svg", callback=_drawing, help="Draw held-out scores against what came true."),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Model and families of inputs, as `ringwatch ray tune` writes them (YAML)."
    ),
]
HalfOption = Annotated[
    bool, typer.Option("--bf16/--no-bf16", help="On a GPU, products in bfloat16; sums stay as they are.")
]
CompileOption = Annotated[
    bool, typer.Option("--compile", help="On a GPU, compile the network (torch.compile).")
]


def _train(
    split: SplitOption = None,
    model: ModelOption = "lightgbm",
    config: ConfigOption = None,
    budget: BudgetOption = None,
    plot: PlotOption = None,
    gpu: Annotated[bool, typer.Option("--gpu", help="Fit GraphSAGE on a GPU.")] = False,
    bf16: HalfOption = True,
    compiled: CompileOption = False,
    backend: Annotated[
        Literal["pyg", "dgl"],
        typer.Option(help="What GraphSAGE is fitted on: PyTorch Geometric, or DGL (extra dgl, no GPU)."),
    ] = "pyg",
    workspace: WorkspaceOption = None,
    seed: SeedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a bundle on the current snapshot and make it the current one."""
    options = Options.of(workspace, seed, as_json)
    by: Trainer | None = None
    if backend == "dgl":
        if gpu:
            message = "DGL runs on the processor here; leave out --gpu, or --backend dgl"
            raise typer.BadParameter(message)
        from gnn import train
        from gnn.dgl_network import check_dgl
        from gnn.spread import Here

        check_dgl()  # before minutes of work
        by = partial(train, spread=Here(backend="dgl"))
    if gpu:
        from gnn import train
        from gnn.sage_workers import Alone, Processor
        from gnn.spread import Here

        processor = Processor(gpu=True, half=bf16, compiled=compiled)
        _ = processor.device  # before minutes of work
        by = partial(train, spread=Here(workers=Alone(processor)))
    make_bundle(options, split=split, model=model, config=config, budget=budget, plot=plot, by=by)


def make_bundle(
    options: Options,
    *,
    split: int | None = None,
    model: ModelName = "lightgbm",
    config: Path | None = None,
    budget: float | None = None,
    plot: Path | None = None,
    by: Trainer | None = None,
    command: str = "train",
) -> None:
    """Train a bundle and show its metrics.

    Args:
        options: The common options.
        split: Number of a given split; the fold table if None.
        model: Which trees to grow.
        config: File with a model and families of inputs; its model instead if it is given.
        budget: Minutes; as many as it takes if None.
        plot: Where a reliability diagram goes; nowhere if None.
        by: What trains, with the arguments of `gnn.train`; that if None.
        command: Whose outcome is told.
    """
    from graph_etl import Workspace

    place = Workspace(options.workspace)
    snapshot = place.open_snapshot()
    import gnn
    from gnn.choices import Choices
    from gnn.trees import check_model

    check_model(model)  # before minutes of work
    choices = Choices(model) if config is None else Choices.read(config, snapshot)
    with options.screen.progress() as progress:
        bundle = (by or gnn.train)(
            snapshot,
            place,
            seed=options.seed,
            split=split,
            model=choices.model,
            without=choices.without,
            budget_s=None if budget is None else 60.0 * budget,
            progress=progress,
        )
    manifest = bundle.manifest
    note = " (simulated data)" if manifest["simulated"] else ""
    options.screen.heading(f"{manifest['name']}{note}: bundle {bundle.version}")
    options.screen.say(SUPERVISION.get(manifest["supervision"], manifest["supervision"]))
    show_metrics(options.screen, manifest)
    left_out = manifest.get("left_out", [])
    if left_out:
        options.screen.note(f"warning: left out for lack of time: {', '.join(left_out)}")
    wrote = [bundle.path]
    if plot is not None:
        wrote += _draw(options.screen, snapshot, bundle, plot)
    result = {
        key: manifest.get(key)
        for key in ("version", "snapshot", "name", "simulated", "supervision", "calibrated", "moments")
    }
    result |= {"metrics": manifest["metrics"], "baselines": manifest["baselines"]}
    result |= {"model": choices.model, "left_out": left_out}
    options.screen.finish(
        Outcome(
            command,
            options.workspace,
            result,
            wrote=wrote,
            next_command=options.next_command("rings"),
        )
    )


def _draw(screen: Screen, snapshot: "Snapshot", bundle: "Bundle", file: Path) -> list[Path]:
    """Draw the reliability diagram of the main moment, if any held-out account has a verdict."""
    import numpy as np

    from gnn.reliability import reliability, reliability_svg
    from gnn.targets import targets

    label = targets(snapshot).label
    score = bundle.scores["oof_score"].cast(float).fill_null(float("nan")).to_numpy()
    judged = (label >= 0) & ~np.isnan(score)
    if not bundle.calibrated or not judged.any():
        screen.note(
            "warning: nothing drawn: without held-out verdicts of both kinds no score is a probability"
        )
        return []
    found = reliability(label[judged], score[judged])
    title = f"{bundle.manifest['name']}: held-out scores at {bundle.main_moment}"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(reliability_svg(found, title))
    return [file]


def show_metrics(screen: Screen, manifest: Mapping[str, Any]) -> None:
    """Show a bundle's held-out figures beside the baselines, with 95 % intervals."""
    for moment in manifest["moments"]:
        figures = manifest["metrics"].get(moment)
        if not figures:
            screen.say(f"{moment}: too few verdicts of both kinds to judge")
            continue
        rows = [["Ringwatch", *(_figure(figures, name) for name, _ in SHOWN)]]
        sage = figures.get("graph_sage")
        if sage is not None and sage["alone"] is not None:
            # Stopped early, it was tried on some accounts only: not comparable with the figures of all.
            tried = (sage["interval"] or {}).get("accounts", figures["accounts"])
            note = "" if tried >= figures["accounts"] else f", on {tried:,} of them"
            rows.append([f"GraphSAGE alone{note}", *_figures({"average_precision": sage["alone"]})])
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
