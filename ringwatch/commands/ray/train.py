"""`ringwatch ray train`: the bundle of `ringwatch train`, its pieces spread over a Ray cluster."""

from functools import partial
from typing import Annotated

import typer

from ringwatch.commands.ray.options import AddressOption, StoreOption
from ringwatch.commands.train import (
    BudgetOption,
    CompileOption,
    ConfigOption,
    HalfOption,
    ModelOption,
    PlotOption,
    SplitOption,
    make_bundle,
)
from ringwatch.options import JsonOption, Options, SeedOption, WorkspaceOption


def add_to(app: typer.Typer) -> None:
    """Add the command to the group."""
    app.command("train")(_train)


def _train(
    address: AddressOption = None,
    store: StoreOption = None,
    workers: Annotated[
        int,
        typer.Option(
            metavar="N", min=1, help="Processes that fit GraphSAGE together; 1 gives `train`'s very bundle."
        ),
    ] = 1,
    threads: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Threads of one piece of work; by the number of accounts."),
    ] = None,
    checkpoint: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", min=0.0, help="Between checkpoints of GraphSAGE; 0: after each epoch."
        ),
    ] = 30.0,
    gpu: Annotated[bool, typer.Option("--gpu", help="Give each process that fits GraphSAGE a GPU.")] = False,
    bf16: HalfOption = True,
    compiled: CompileOption = False,
    split: SplitOption = None,
    model: ModelOption = "lightgbm",
    config: ConfigOption = None,
    budget: BudgetOption = None,
    plot: PlotOption = None,
    workspace: WorkspaceOption = None,
    seed: SeedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a bundle on a Ray cluster; a run that was killed goes on where it was."""
    from ray_jobs import SageSettings, train_over_ray

    by = partial(
        train_over_ray,
        address=address,
        store=store,
        n_threads=threads,
        sage=SageSettings(workers, gpu, bf16, compiled, checkpoint),
    )
    make_bundle(
        Options.of(workspace, seed, as_json),
        split=split,
        model=model,
        config=config,
        budget=budget,
        plot=plot,
        by=by,
        command="ray train",
    )
