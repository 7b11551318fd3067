"""`ringwatch refresh`: the journal becomes a new snapshot, bundle and rings run, put to use if they hold."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ringwatch.console import Outcome, Steps
from ringwatch.options import JsonOption, Options, SeedOption, WorkspaceOption

if TYPE_CHECKING:
    from graph_etl import Workspace
    from scoring_service.policy import Policy

EXIT_HELD_BACK: Final = 3
"""The gate did not hold: nothing changed."""


def add_to(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("refresh")(_refresh)


def _refresh(
    spec: Annotated[
        Path | None,
        typer.Argument(
            metavar="[SPEC]", help="Read all files anew; without it the journal is added to the snapshot."
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the files are, if not beside the spec.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Publish whatever the gate says.")] = False,
    quality_loss: Annotated[
        float, typer.Option(metavar="AP", min=0, max=1, help="Average precision that may be lost.")
    ] = 0.02,
    drift: Annotated[
        float, typer.Option(metavar="PSI", min=0, help="Greatest population stability index of the scores.")
    ] = 0.25,
    workspace: WorkspaceOption = None,
    seed: SeedOption = None,
    as_json: JsonOption = False,
) -> int:
    """Build, train, find rings and compare; publish all three at once if the gate holds."""
    from graph_etl import Workspace
    from graph_etl.spec import load_spec
    from ringwatch.gate import Limits
    from ringwatch.journals import open_journal
    from ringwatch.refreshing import refresh
    from scoring_service import ServiceSettings
    from scoring_service.policy import load_policy

    options = Options.of(workspace, seed, as_json)
    place = Workspace(options.workspace)
    screen = options.screen
    policy = load_policy(ServiceSettings().policy)
    with open_journal(options.workspace) as journal, screen.progress() as progress:
        done = refresh(
            place,
            place.open_snapshot().spec if spec is None else load_spec(spec),
            journal,
            policy,
            append=spec is None,
            data_dir=data,
            limits=Limits(quality_loss=quality_loss, drift=drift),
            force=force,
            seed=options.seed,
            progress=progress,
        )
    failed = [check for check in done.checks if not check.passed]
    screen.table(
        ["check", "holds", "in use", "new", "limit", ""],
        [[c.name, c.passed, c.old, c.new, c.limit, c.about] for c in done.checks],
    )
    took = ", ".join(f"{step} {seconds:.0f} s" for step, seconds in done.seconds.items() if seconds)
    verdict = "published" if done.published else f"held back by {len(failed)} of {len(done.checks)} checks"
    screen.say(
        f"refresh: snapshot {done.snapshot} (journal up to row {done.last_seq:,}), bundle {done.bundle}, "
        f"rings {done.rings}: {verdict}; {took or 'all done before'}",
        style="bold",
    )
    # Told first what is in use: a Neo4j that hangs may take minutes to be given up.
    shown = None
    if done.published:
        with screen.progress() as progress:
            shown = _show_in_neo4j(place, done.snapshot, policy, progress)
    if shown is not None and shown["problem"] is None:
        screen.say(
            f"neo4j: {shown['target']} shows it: {shown['loaded']:,} nodes, relationships and verdicts, "
            f"{shown['written_back']:,} scores, rings and links changed"
        )
    elif shown is not None:
        screen.note(
            f"warning: Neo4j does not show what is in use now: {shown['problem']}; the next refresh "
            "catches up, or `ringwatch neo4j load` and then `ringwatch neo4j write-back`"
        )
    follow = None if done.published else options.next_command("bundle compare", done.bundle)
    result = {
        "snapshot": done.snapshot,
        "bundle": done.bundle,
        "rings": done.rings,
        "last_seq": done.last_seq,
        "published": done.published,
        "checks": [check.as_dict() for check in done.checks],
        "seconds": done.seconds,
        "neo4j": shown,
    }
    screen.finish(Outcome("refresh", options.workspace, result, next_command=follow))
    return 0 if done.published else EXIT_HELD_BACK


def _show_in_neo4j(
    place: "Workspace", snapshot_id: str, policy: "Policy", progress: Steps
) -> dict[str, Any] | None:
    """Load and write back what was published, if a Neo4j is configured; one that is away fails nothing.

    Args:
        place: The workspace.
        snapshot_id: The snapshot that is in use now.
        policy: Turns scores into risk levels.
        progress: Told what is being done.

    Returns:
        Where to, how much changed there, and the problem if there was one; None without a Neo4j.
    """
    from graph_etl.errors import RingwatchError
    from graph_etl.neo4j_store import load, write_back
    from ringwatch.commands.neo4j.options import target_of
    from ringwatch.neo4j_results import gather_results
    from ringwatch.settings import Neo4jSettings

    if not Neo4jSettings().uri:
        return None
    shown: dict[str, Any] = {"target": None, "loaded": 0, "written_back": 0, "problem": None}
    try:
        target = target_of()
        shown["target"] = target.shown
        snapshot = place.open_snapshot(snapshot_id)
        shown["loaded"] = load(snapshot, place, target, progress=progress).changed
        results = gather_results(place, snapshot, policy, progress=progress)
        shown["written_back"] = write_back(target, results, progress=progress).changed
    except RingwatchError as error:
        shown["problem"] = str(error)
    return shown
