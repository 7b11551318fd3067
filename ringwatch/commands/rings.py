"""`ringwatch rings`: who acts together, ranked, each ring in plain words."""

from typing import Annotated, Any

import typer

from ringwatch.console import Outcome, Screen
from ringwatch.options import JsonOption, Options, SeedOption, WorkspaceOption


def add_to(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("rings")(_rings)


def _rings(
    top: Annotated[int, typer.Option(metavar="N", min=0, help="Rings to show in words.")] = 10,
    workspace: WorkspaceOption = None,
    seed: SeedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find rings in the current snapshot, rank them with the current bundle's scores."""
    find_rings(Options.of(workspace, seed, as_json), top=top)


def find_rings(options: Options, *, top: int = 10) -> None:
    """Find rings, write them and show the first ones.

    Args:
        options: The common options.
        top: Rings to show in words.
    """
    import rings
    from graph_etl import Workspace
    from ringwatch.scores import current_scores

    place = Workspace(options.workspace)
    snapshot = place.open_snapshot()
    scores = current_scores(place, snapshot)
    earlier = place.current()["rings"]
    previous = None if earlier is None else rings.RingsRun.open(place.path_of("rings", earlier))
    with options.screen.progress() as progress:
        run = rings.find(
            snapshot,
            None if scores.bundle is None else scores.score,
            previous=previous,
            seed=options.seed,
            bundle=scores.bundle,
            progress=lambda step: progress(step, 0, 1),
        )
        progress("writing rings", 0, 1)
        with place.new_folder("rings", run.id) as folder:
            run.write(folder)
        place.set_current("rings", run.id)
    table = run.table.sort("rank")
    note = " (simulated data)" if snapshot.manifest["simulated"] else ""
    options.screen.heading(
        f"{snapshot.manifest['name']}{note}: {len(table):,} rings of {len(run.members):,} accounts, "
        f"run {run.id}"
    )
    if scores.bundle is None:
        options.screen.note(
            "warning: no bundle yet, so rings are ranked by their links alone; `ringwatch train`"
        )
    first = table.head(top)
    show_rings(options.screen, first.to_dicts())
    follow = ("explain", str(first["ring"][0])) if len(first) else ("serve", "")
    result: dict[str, Any] = {
        "run": run.id,
        "snapshot": snapshot.id,
        "bundle": scores.bundle,
        "rings": len(table),
        "accounts_in_rings": len(run.members),
        "first": first.to_dicts(),
    }
    options.screen.finish(
        Outcome(
            "rings",
            options.workspace,
            result,
            wrote=(place.path_of("rings", run.id),),
            next_command=options.next_command(*follow),
        )
    )


def show_rings(screen: Screen, rows: list[dict[str, Any]]) -> None:
    """Show rings in words, the best rank first."""
    for row in rows:
        known = f", {row['n_known_bad']} known bad" if row["n_known_bad"] else ""
        screen.say(
            f"{row['rank']:>3}. {row['ring']}  score {row['score']:.3f}, {row['size']} accounts{known}"
        )
        screen.say(f"     {row['words']}")
