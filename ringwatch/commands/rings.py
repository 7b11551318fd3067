"""`ringwatch rings`: who acts together, ranked, each ring in plain words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ringwatch.console import Outcome, Screen
from ringwatch.options import JsonOption, Options, SeedOption, WorkspaceOption

if TYPE_CHECKING:
    from collections.abc import Callable

    from rings import RingsRun

TopOption = Annotated[int, typer.Option(metavar="N", min=0, help="Rings to show in words.")]
FullOption = Annotated[
    bool,
    typer.Option(
        "--full",
        help="Learn anew which pairs act together and what chance makes, also where the run before did.",
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("rings")(_rings)


def _rings(
    benign: Annotated[
        str | None,
        typer.Option(
            "--benign",
            metavar="RING",
            help="Find nothing: keep that this ring is a benign group, which stays out of the list until it "
            "changes.",
        ),
    ] = None,
    not_benign: Annotated[
        str | None,
        typer.Option("--not-benign", metavar="RING", help="Find nothing: take back that it is benign."),
    ] = None,
    reason: Annotated[
        str | None,
        typer.Option("--reason", metavar="TEXT", help="Why it is benign. Write no identifier into it."),
    ] = None,
    top: TopOption = 10,
    full: FullOption = False,
    workspace: WorkspaceOption = None,
    seed: SeedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find rings in the current snapshot, rank them with the current bundle's scores."""
    options = Options.of(workspace, seed, as_json)
    chosen = benign or not_benign
    if chosen is None and reason is None:
        find_rings(options, top=top, full=full)
        return
    if chosen is None or (benign and not_benign) or (reason and not benign):
        from graph_etl import WorkspaceError

        message = "give one of --benign RING and --not-benign RING, and --reason TEXT only with --benign"
        raise WorkspaceError(message)
    judge_ring(options, chosen, is_benign=benign is not None, reason=reason)


def judge_ring(options: Options, ring: str, *, is_benign: bool, reason: str | None = None) -> None:
    """Keep that a ring of the current run is a benign group, or take that back.

    Args:
        options: The common options.
        ring: Its id.
        is_benign: Whether it is one.
        reason: Why.

    Raises:
        RingUnknown: If the current run does not hold the ring.
        WorkspaceError: If there is no run, or nobody called the ring benign that is to be taken back.
    """
    from graph_etl import Workspace, WorkspaceError
    from rings import RingsRun
    from ringwatch.journals import benign_registry
    from scoring_service.rings.registry import confirmed_now

    place = Workspace(options.workspace)
    current = place.current()["rings"]
    if current is None:
        message = f"{place.path}: no rings yet; find them with `ringwatch rings`"
        raise WorkspaceError(message)
    run = RingsRun.open(place.path_of("rings", current))
    evidence = run.evidence(ring)
    members = run.members.filter(run.members["ring"] == ring)
    names = members["account_id"].to_list()
    with benign_registry(options.workspace) as registry:
        if is_benign:
            label = place.open_snapshot(run.manifest["snapshot"]).labels()
            bad = members.filter(label[members["account"].to_numpy()] == 1)["account_id"]
            registry.confirm(confirmed_now(ring, names, bad, evidence, source="analyst", reason=reason))
        elif not registry.withdraw(ring, names, "analyst"):
            message = f"nobody called ring {ring!r} benign, so there is nothing to take back"
            raise WorkspaceError(message)
    options.screen.say(
        f"ring {ring} of {len(names):,} accounts is benign: it stays out of the list until it changes"
        if is_benign
        else f"ring {ring} is no longer called benign"
    )
    options.screen.finish(
        Outcome(
            "rings",
            options.workspace,
            {"ring": ring, "benign": is_benign, "accounts": len(names)},
            next_command=options.next_command("rings"),
        )
    )


def find_rings(
    options: Options,
    *,
    top: int = 10,
    full: bool = False,
    by: Callable[..., RingsRun] | None = None,
    command: str = "rings",
) -> None:
    """Find rings, write them and show the first ones.

    Args:
        options: The common options.
        top: Rings to show in words.
        full: Build on no earlier run.
        by: What finds them, as `rings.find` does; that itself if None.
        command: Name of the command, for its outcome.
    """
    import rings
    from graph_etl import Workspace
    from rings.yardstick import why_anew
    from ringwatch.journals import benign_groups
    from ringwatch.scores import current_scores

    place = Workspace(options.workspace)
    snapshot = place.open_snapshot()
    scores = current_scores(place, snapshot)
    earlier = place.current()["rings"]
    previous = None if earlier is None else rings.RingsRun.open(place.path_of("rings", earlier))
    why = "asked for" if full else "there is no run before"
    if previous is not None and not full:
        why = why_anew(snapshot, previous.manifest, {"seed": options.seed}) or ""
    base = previous if not why else None
    with options.screen.progress() as progress:
        run = (by or rings.find)(
            snapshot,
            None if scores.bundle is None else scores.score,
            previous=previous,
            seed=options.seed,
            bundle=scores.bundle,
            benign=benign_groups(options.workspace),
            base=base,
            progress=progress,
        )
        progress("writing rings", 0, 1)
        with place.new_folder("rings", run.id) as folder:
            run.write(folder)
        place.set_current("rings", run.id)
    from rings.benign import CHANGED, CONFIRMED

    ranked = run.table.sort("rank")
    table = ranked.filter(ranked["status"] != CONFIRMED)
    silent = ranked.filter(ranked["status"] == CONFIRMED)
    note = " (simulated data)" if snapshot.manifest["simulated"] else ""
    options.screen.heading(
        f"{snapshot.manifest['name']}{note}: {len(table):,} rings of {len(run.members):,} accounts, "
        f"run {run.id}"
    )
    if scores.bundle is None:
        options.screen.note(
            "warning: no bundle yet, so rings are ranked by their links alone; `ringwatch train`"
        )
    if base is not None:
        options.screen.note(
            f"builds on run {run.manifest['base']['run']}: {_listed(run.manifest['taken_over'])} taken over; "
            f"{run.manifest['counts']['untouched']:,} rings that nothing touched are as they were "
            "(`--full` finds all anew)"
        )
    if len(silent):
        options.screen.note(
            f"{len(silent):,} more are benign as people confirmed and have not changed since: "
            f"{', '.join(silent['ring'].head(top))}"
        )
    first = table.head(top)
    show_rings(options.screen, first.to_dicts())
    follow = ("explain", str(first["ring"][0])) if len(first) else ("serve", "")
    result: dict[str, Any] = {
        "run": run.id,
        "snapshot": snapshot.id,
        "bundle": scores.bundle,
        "rings": len(ranked),
        "base": run.manifest["base"]["run"],
        "why_full": why or None,
        "taken_over": run.manifest["taken_over"],
        "untouched": run.manifest["counts"]["untouched"],
        "changed": run.manifest["changed"],
        "benign_confirmed": silent["ring"].to_list(),
        "benign_changed": table.filter(table["status"] == CHANGED)["ring"].to_list(),
        "accounts_in_rings": len(run.members),
        "first": first.to_dicts(),
    }
    options.screen.finish(
        Outcome(
            command,
            options.workspace,
            result,
            wrote=(place.path_of("rings", run.id),),
            next_command=options.next_command(*follow),
        )
    )


def _listed(things: list[str]) -> str:
    """Things in words; of what pairs are weighed by links alone nothing may be taken over."""
    return " and ".join(things) or "nothing"


def show_rings(screen: Screen, rows: list[dict[str, Any]]) -> None:
    """Show rings in words, the best rank first."""
    for row in rows:
        known = f", {row['n_known_bad']} known bad" if row["n_known_bad"] else ""
        screen.say(
            f"{row['rank']:>3}. {row['ring']}  score {row['score']:.3f}, {row['size']} accounts{known}"
        )
        screen.say(f"     {row['words']}")
