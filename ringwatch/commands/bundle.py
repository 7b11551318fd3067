"""`ringwatch bundle`: which model is in use, and how two of them differ."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ringwatch.commands.train import SHOWN
from ringwatch.console import Outcome
from ringwatch.options import JsonOption, Options, SeedOption, WorkspaceOption

if TYPE_CHECKING:
    from graph_etl import Workspace

FIRST = 100
"""Accounts at the top that `compare` looks at: about what a team can review in a day."""


def add_to(app: typer.Typer) -> None:
    """Add the commands to the application."""
    group = typer.Typer(help="List, switch and compare bundles.", no_args_is_help=True, rich_markup_mode=None)
    group.command("list")(_list)
    group.command("promote")(_promote)
    group.command("rollback")(_rollback)
    group.command("compare")(_compare)
    group.command("shadow")(_shadow)
    app.add_typer(group, name="bundle")


def _list(workspace: WorkspaceOption = None, seed: SeedOption = None, as_json: JsonOption = False) -> None:
    """List the bundles, the newest first."""
    from graph_etl import Workspace

    options = Options.of(workspace, seed, as_json)
    place = Workspace(options.workspace)
    uses = place.current()
    found = [_summary(place, version, uses) for version in _versions(place)]
    options.screen.table(
        ["bundle", "use", "snapshot", "moment", "average precision", "supervision"],
        [
            [
                b["version"],
                "current" if b["current"] else "shadow" if b["shadow"] else "",
                b["snapshot"],
                b["moment"],
                b["average_precision"],
                b["supervision"],
            ]
            for b in found
        ],
    )
    follow = None if found else options.next_command("train")
    result = {"current": uses["bundle"], "shadow": uses["shadow"], "bundles": found}
    options.screen.finish(Outcome("bundle list", options.workspace, result, next_command=follow))


def _promote(
    version: Annotated[str, typer.Argument(metavar="VERSION", help="The bundle to use from now on.")],
    workspace: WorkspaceOption = None,
    seed: SeedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a bundle the current one."""
    from graph_etl import Workspace

    options = Options.of(workspace, seed, as_json)
    place = Workspace(options.workspace)
    before = place.current()["bundle"]
    place.publish({"bundle": version})
    _tell_switch(options, "bundle promote", version, before)


def _rollback(
    workspace: WorkspaceOption = None, seed: SeedOption = None, as_json: JsonOption = False
) -> None:
    """Go back to the bundle that was in use before the current one; again: to the one before that."""
    from graph_etl import Workspace

    options = Options.of(workspace, seed, as_json)
    place = Workspace(options.workspace)
    before = place.current()["bundle"]
    _tell_switch(options, "bundle rollback", place.rollback("bundle"), before)


def _shadow(
    version: Annotated[
        str | None, typer.Argument(metavar="[VERSION]", help="The bundle to score beside the current one.")
    ] = None,
    off: Annotated[bool, typer.Option("--off", help="Score beside the current one no longer.")] = False,
    workspace: WorkspaceOption = None,
    seed: SeedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score with a second bundle too: compared and logged, never answered."""
    from graph_etl import Workspace

    options = Options.of(workspace, seed, as_json)
    place = Workspace(options.workspace)
    if (version is None) != off:
        message = "name the bundle to run in the shadow, or end it with --off, not both"
        raise typer.BadParameter(message)
    uses = place.current()
    if version is not None and version == uses["bundle"]:
        raise _no_bundle(place, f"bundle {version} is the current one and cannot be its own shadow")
    place.publish({"shadow": version})
    options.screen.say("no bundle runs in the shadow" if off else f"bundle {version} runs in the shadow")
    options.screen.finish(
        Outcome("bundle shadow", options.workspace, {"shadow": version, "before": uses["shadow"]})
    )


def _compare(
    one: Annotated[str, typer.Argument(metavar="VERSION", help="A bundle.")],
    other: Annotated[
        str | None, typer.Argument(metavar="[OTHER]", help="Another; the current one if left out.")
    ] = None,
    workspace: WorkspaceOption = None,
    seed: SeedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare two bundles: held-out figures, and how far their scores of the same accounts lie apart."""
    import polars as pl

    import gnn
    from graph_etl import Workspace

    options = Options.of(workspace, seed, as_json)
    place = Workspace(options.workspace)
    second = other or place.current()["bundle"]
    if second is None:
        raise _no_bundle(place, "no bundle is in use to compare with")
    left, right = (gnn.Bundle.open(place.path_of("bundle", version)) for version in (one, second))
    both = left.scores.select("account_id", "score").join(
        right.scores.select("account_id", other_score="score"), on="account_id"
    )
    moved = both.select((pl.col("score") - pl.col("other_score")).abs().alias("moved"))["moved"]
    first = min(FIRST, len(both))
    tops = [
        set(both.sort([column, "account_id"], descending=[True, False])["account_id"].head(first))
        for column in ("score", "other_score")
    ]
    result: dict[str, Any] = {
        "bundles": [one, second],
        "metrics": {bundle.version: bundle.manifest["metrics"] for bundle in (left, right)},
        "accounts_in_both": len(both),
        "moved_more_than_0_1": int((moved > 0.1).sum()),
        "largest_move": float(moved.max() or 0.0),  # type: ignore[arg-type]
        "first": first,
        "first_in_both": len(tops[0] & tops[1]),
    }
    rows = [
        [
            moment,
            title,
            *(_value(bundle.manifest["metrics"].get(moment, {}), name) for bundle in (left, right)),
        ]
        for moment in left.moments
        for name, title in SHOWN
    ]
    screen = options.screen
    screen.table(["moment", "held out", one, second], rows)
    screen.say(
        f"{len(both):,} accounts in both; {result['moved_more_than_0_1']:,} moved by more than 0.1, "
        f"the farthest by {result['largest_move']:.3f}; "
        f"{result['first_in_both']} of the first {first} are the same"
    )
    screen.finish(
        Outcome(
            "bundle compare",
            options.workspace,
            result,
            next_command=options.next_command("bundle promote", one),
        )
    )


def _tell_switch(options: Options, command: str, version: str, before: str | None) -> None:
    """Say which bundle is in use now."""
    options.screen.say(f"bundle {version} is in use; before it: {before or 'none'}")
    options.screen.finish(
        Outcome(
            command,
            options.workspace,
            {"current": version, "before": before},
            next_command=options.next_command("rings"),
        )
    )


def _versions(place: "Workspace") -> list[str]:
    """Return the versions of the bundles, the newest first."""
    manifests = place.bundles.glob("[!.]*/manifest.json")
    return [
        path.parent.name
        for path in sorted(manifests, key=lambda path: (-path.stat().st_mtime_ns, path.parent.name))
    ]


def _summary(place: "Workspace", version: str, uses: dict[str, str | None]) -> dict[str, Any]:
    """Return what `list` shows of a bundle: the figures of its last moment."""
    manifest = json.loads((place.path_of("bundle", version) / "manifest.json").read_text(encoding="utf-8"))
    moment = manifest["moments"][-1]
    return {
        "version": version,
        "current": version == uses["bundle"],
        "shadow": version == uses["shadow"],
        "snapshot": manifest["snapshot"],
        "supervision": manifest["supervision"],
        "moment": moment,
        "average_precision": _value(manifest["metrics"].get(moment, {}), "average_precision"),
    }


def _value(figures: dict[str, Any], name: str) -> float | None:
    figure = figures.get(name)
    return None if figure is None else float(figure["value"])


def _no_bundle(place: "Workspace", problem: str) -> Exception:
    """Return the error that there is no bundle to go to."""
    from graph_etl import WorkspaceError

    return WorkspaceError(f"{place.path}: {problem}; `ringwatch bundle list` shows what there is")
