"""`ringwatch ray tune`: searches for choices that do better than the defaults, and writes them as a file."""

from pathlib import Path
from typing import Annotated

import typer

from ringwatch.commands.ray.options import AddressOption, StoreOption
from ringwatch.console import Outcome
from ringwatch.options import JsonOption, Options, SeedOption, WorkspaceOption


def add_to(app: typer.Typer) -> None:
    """Add the command to the group."""
    app.command("tune")(_tune)


def _tune(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Written as YAML, for `train --config FILE`.")],
    trials: Annotated[
        int, typer.Option(metavar="N", min=1, help="Trials; the defaults are the first of them.")
    ] = 30,
    address: AddressOption = None,
    store: StoreOption = None,
    workspace: WorkspaceOption = None,
    seed: SeedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Search over models and families of inputs (Optuna, ASHA); a study that was killed goes on."""
    from graph_etl import Workspace
    from ray_jobs.tuning import LEAST_GAIN, tune_over_ray

    options = Options.of(workspace, seed, as_json)
    place = Workspace(options.workspace)
    snapshot = place.open_snapshot()
    with options.screen.progress() as progress:
        study = tune_over_ray(
            snapshot,
            place,
            trials=trials,
            address=address,
            store=store,
            seed=options.seed,
            progress=progress,
        )
    found = study.choices
    study.choices.write(
        file, f"{study.precision:.4f} on held-out accounts of {snapshot.id}, defaults {study.defaults:.4f}"
    )
    options.screen.table(
        ["held out", "average precision"],
        [["defaults", f"{study.defaults:.4f}"], ["best", f"{study.precision:.4f}"]],
        title=f"{study.trials} trials, {study.stopped} of them given up early",
    )
    left_out = f", without {', '.join(found.without)}" if found.without else ""
    options.screen.say(f"{found.model}{left_out}")
    if found == type(found)():
        options.screen.note(f"nothing gained {LEAST_GAIN} over the defaults: the file holds the defaults")
    else:
        options.screen.note("the best of many trials flatters itself; judge it on accounts that no trial saw")
    options.screen.finish(
        Outcome(
            "ray tune",
            options.workspace,
            {
                "model": found.model,
                "without": list(found.without),
                "average_precision": study.precision,
                "defaults": study.defaults,
                "trials": study.trials,
                "stopped": study.stopped,
                "file": str(file),
            },
            wrote=(file,),
            next_command=options.next_command("train", f"--config {file}"),
        )
    )
