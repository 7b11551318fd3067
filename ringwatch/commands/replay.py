"""`ringwatch replay`: what was answered, computed again bit by bit; or tried with another bundle."""

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ringwatch.console import Outcome
from ringwatch.options import JsonOption, Options, SeedOption, WorkspaceOption

if TYPE_CHECKING:
    from graph_etl import Workspace
    from scoring_service.journal import Journal

EXIT_DIFFERENT: Final = 3
"""An answer came out otherwise than it was recorded."""

_SHOWN_ERASED: Final = 10


def add_to(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("replay")(_replay)


def _replay(
    after: Annotated[
        int, typer.Option("--after", metavar="SEQ", min=0, help="Only rows of the journal above this one.")
    ] = 0,
    until: Annotated[
        int | None, typer.Option("--until", metavar="SEQ", min=1, help="Only rows up to this one.")
    ] = None,
    bundle: Annotated[
        str | None,
        typer.Option("--bundle", metavar="VERSION", help="Score with this bundle instead, and compare."),
    ] = None,
    workspace: WorkspaceOption = None,
    seed: SeedOption = None,
    as_json: JsonOption = False,
) -> int:
    """Compute what was answered again, from snapshots and journal, and compare bit by bit."""
    from graph_etl import Workspace
    from ringwatch.journals import open_journal

    options = Options.of(workspace, seed, as_json)
    place = Workspace(options.workspace)
    with open_journal(options.workspace) as journal:
        if bundle is not None:
            return _try(options, place, journal, bundle, after, until)
        return _compare(options, place, journal, after, until)


def _compare(options: Options, place: "Workspace", journal: "Journal", after: int, until: int | None) -> int:
    from scoring_service.replay import replay

    screen = options.screen
    with screen.progress() as progress:
        found = replay(
            place,
            journal,
            after_seq=after,
            until_seq=until,
            progress=lambda done, total: progress("replaying", done, total),
        )
    screen.say(
        f"{found.rows:,} rows, {found.compared:,} answers computed again: {found.equal:,} equal bit by bit, "
        f"{found.different:,} different",
        style="bold",
    )
    for difference in found.differences:
        why = " (something it saw was erased since)" if difference.after_erasure else ""
        screen.say(
            f"  row {difference.seq}: {difference.what} was {difference.recorded!r}, "
            f"is {difference.replayed!r}{why}"
        )
    if found.erased:
        first = ", ".join(str(seq) for seq in found.erased[:_SHOWN_ERASED])
        more = "" if len(found.erased) <= _SHOWN_ERASED else ", ..."
        screen.say(f"{len(found.erased):,} rows are erased: {first}{more}")
    for count, what in (
        (found.different_after_erasure, "differ because something they saw was erased"),
        (found.without_features, "were compared by score alone: retention dropped their features"),
        (found.not_scored, "had no model's score"),
        (found.gone, "cannot be computed again: their snapshot or bundle is gone"),
        (found.context, "events were taken in without an answer"),
    ):
        if count:
            screen.say(f"{count:,} {what}")
    result: dict[str, Any] = {
        "rows": found.rows,
        "compared": found.compared,
        "equal": found.equal,
        "different": found.different,
        "different_after_erasure": found.different_after_erasure,
        "without_features": found.without_features,
        "not_scored": found.not_scored,
        "gone": found.gone,
        "context": found.context,
        "erased": found.erased,
        "differences": [
            {
                "seq": one.seq,
                "what": one.what,
                "recorded": one.recorded,
                "replayed": one.replayed,
                "after_erasure": one.after_erasure,
            }
            for one in found.differences
        ],
    }
    screen.finish(Outcome("replay", options.workspace, result))
    return 0 if found.is_exact else EXIT_DIFFERENT


def _try(
    options: Options, place: "Workspace", journal: "Journal", version: str, after: int, until: int | None
) -> int:
    import numpy as np

    from ringwatch.gate import stability_index
    from scoring_service.replay import try_bundle

    screen = options.screen
    with screen.progress() as progress:
        trial = try_bundle(
            place,
            journal,
            version,
            after_seq=after,
            until_seq=until,
            progress=lambda done, total: progress(f"scoring with {version}", done, total),
        )
    result: dict[str, Any] = {"bundle": version, "answers": len(trial.seq)}
    if len(trial.seq):
        moved = np.abs(trial.tried - trial.recorded)
        farthest = np.argsort(-moved, kind="stable")[:5]
        result |= {
            "mean_recorded": float(trial.recorded.mean()),
            "mean_tried": float(trial.tried.mean()),
            "stability_index": stability_index(trial.recorded, trial.tried),
            "moved_more_than_0_1": int((moved > 0.1).sum()),
            "farthest": [
                {
                    "seq": int(trial.seq[at]),
                    "recorded": float(trial.recorded[at]),
                    "tried": float(trial.tried[at]),
                }
                for at in farthest
            ],
        }
        screen.say(
            f"{len(trial.seq):,} answers scored with {version}: mean {result['mean_tried']:.3f} instead of "
            f"{result['mean_recorded']:.3f}, stability index {result['stability_index']:.3f}, "
            f"{result['moved_more_than_0_1']:,} moved by more than 0.1",
            style="bold",
        )
        screen.table(
            ["row", "recorded", "with the other bundle"],
            [[one["seq"], one["recorded"], one["tried"]] for one in result["farthest"]],
            title="Those that moved farthest",
        )
    else:
        screen.say("no answers with a score in these rows")
    screen.finish(
        Outcome(
            "replay", options.workspace, result, next_command=options.next_command("bundle promote", version)
        )
    )
    return 0
