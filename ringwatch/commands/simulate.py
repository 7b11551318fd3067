"""`ringwatch simulate`: a platform under attack, from a seed."""

from pathlib import Path
from typing import Annotated

import typer

from ringwatch.console import Outcome
from ringwatch.options import JsonOption, Options, SeedOption, WorkspaceOption


def add_to(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("simulate")(_simulate)


def _simulate(
    simulation: Annotated[
        Path, typer.Argument(metavar="SPEC", help="YAML such as examples/game_signups/simulation.yaml.")
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where to write; beside the YAML if left out.")
    ] = None,
    accounts: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Scale everything, rings too, to about so many accounts."),
    ] = None,
    workspace: WorkspaceOption = None,
    seed: SeedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Simulate a platform under attack; the same seed writes the same bytes. Nobody in it exists."""
    from graph_etl.simulate import load_simulation, simulate

    options = Options.of(workspace, seed, as_json)
    config = load_simulation(simulation)
    if accounts is not None:
        config = config.scaled(accounts=accounts)
    if seed is not None:
        config = config.model_copy(update={"seed": seed})
    platform = simulate(config)
    folder = simulation.parent if out is None else out
    written = platform.write(folder)
    summary = platform.summary()
    screen = options.screen
    screen.heading(f"{summary['name']} (simulated): {summary['start']} to {summary['end']}")
    screen.say(
        f"{summary['accounts']:,} accounts, {summary['bad_accounts']:,} bad, {summary['rings']:,} rings; "
        f"seed {summary['seed']}"
    )
    screen.table(["table", "rows"], list(summary["rows"].items()))
    spec = folder / "spec.yaml"
    follow = f"{spec}" if spec.exists() else f"{simulation.parent / 'spec.yaml'} --data {folder}"
    screen.finish(
        Outcome(
            "simulate",
            options.workspace,
            summary,
            wrote=tuple(written),
            next_command=options.next_command("build", follow),
        )
    )
