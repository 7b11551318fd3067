"""`ringwatch demo`: the whole way on real and on simulated data, then live answers over HTTP."""

import json
import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ringwatch.console import Outcome, Screen
from ringwatch.options import JsonOption, Options, SeedOption, WorkspaceOption

if TYPE_CHECKING:
    from collections.abc import Callable

    from rings import RingsRun
    from ringwatch.commands.train import Trainer

REAL: Final = "hop_sybil"
GAME: Final = "game_signups"
REQUESTS: Final = ("household", "farm", "ban_evader")
TOP_RINGS: Final = 3
READY_WITHIN_S: Final = 120.0


def add_to(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("demo")(_demo)


def _demo(
    examples: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the examples, if not found by itself.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help=f"Only {REAL} or only {GAME}; both if left out.")
    ] = None,
    service: Annotated[bool, typer.Option(help="Start the service and ask it.")] = True,
    workspace: WorkspaceOption = None,
    seed: SeedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Build, train and find rings on two examples, then ask the running service. About five minutes."""
    from ringwatch.settings import DEMO_HASH_KEY, settings

    options = Options.of(workspace, seed, as_json)
    chosen = check_names(only)
    folder = find_examples(examples)
    if settings().hash_key is None:
        options.screen.note(
            "RINGWATCH_HASH_KEY is not set: using the demo's public key, "
            "allowed only because the game is simulated"
        )
        os.environ["RINGWATCH_HASH_KEY"] = DEMO_HASH_KEY
    results = [walk(options, folder / name / "spec.yaml", name) for name in chosen]
    answers = None
    if service and GAME in chosen:
        answers = _ask_service(options, folder / GAME / "requests")
    options.screen.heading("Go on")
    if GAME in chosen:
        options.screen.say(
            "make serve                    keeps the API and the console up: http://127.0.0.1:8000/"
        )
    options.screen.say("ringwatch build your/spec.yaml  maps your own files; docs/spec.md says how")
    options.screen.finish(
        Outcome(
            "demo",
            options.workspace,
            {"walks": results, "answers": answers},
            next_command="make serve" if GAME in chosen else None,
        )
    )


def check_names(only: list[str] | None) -> tuple[str, ...]:
    """Return the examples to walk through.

    Args:
        only: Names that were asked for; both if None.

    Returns:
        The names, in the order of the demo.

    Raises:
        DemoError: If there is no such example in the demo.
    """
    from ringwatch.live import DemoError

    known = (REAL, GAME)
    for name in only or ():
        if name not in known:
            message = f"--only {name}: the demo walks through {' and '.join(known)}"
            raise DemoError(message)
    return tuple(name for name in known if not only or name in only)


def find_examples(given: Path | None) -> Path:
    """Return the folder of the examples: the one given, the current folder's, or the one beside the packages.

    Args:
        given: The folder asked for.

    Returns:
        The folder.

    Raises:
        DemoError: If no example is there.
    """
    from ringwatch.live import DemoError

    places = (
        [Path("examples"), Path(__file__).resolve().parents[2] / "examples"] if given is None else [given]
    )
    for place in places:
        if (place / GAME / "spec.yaml").is_file():
            return place
    message = (
        f"{places[0]}: no examples there; run the demo in a checkout of the project, "
        "or name their folder with --examples DIR"
    )
    raise DemoError(message)


def walk(
    options: Options,
    spec: Path,
    name: str,
    *,
    build: "Callable[[Options, Path], None] | None" = None,
    train: "Trainer | None" = None,
    find: "Callable[..., RingsRun] | None" = None,
) -> dict[str, Any]:
    """Build, train, find rings; show counts, metrics, three rings in words, one account with reasons.

    Args:
        options: The common options of the demo.
        spec: The example's spec.
        name: Name of the example; its workspace is `demo/NAME` in that of the options.
        build: Makes and shows the snapshot; as `ringwatch build` does if None.
        train: Trains the bundle; `gnn.train` if None.
        find: Finds rings as `rings.find` does, told the workspace too; that itself if None.

    Returns:
        What was made, with its metrics.
    """
    import gnn
    import rings
    from graph_etl import Workspace
    from ringwatch.commands.build import make_snapshot
    from ringwatch.commands.explain import explain_top_account
    from ringwatch.commands.rings import find_rings
    from ringwatch.commands.train import make_bundle

    screen = options.screen
    here = replace(
        options,
        workspace=options.workspace / "demo" / name,
        screen=Screen(as_json=screen.as_json, is_part=True),
    )
    screen.say()
    screen.say("─" * 100, style="dim")
    if build is None:
        make_snapshot(here, spec, most_hubs=3)
    else:
        build(here, spec)
    make_bundle(here, by=train)
    by = None if find is None else partial(find, workspace=Workspace(here.workspace))
    find_rings(here, top=TOP_RINGS, by=by)
    place = Workspace(here.workspace)
    snapshot = place.open_snapshot()
    current = place.current()
    bundle = gnn.Bundle.open(place.path_of("bundle", str(current["bundle"])))
    run = rings.RingsRun.open(place.path_of("rings", str(current["rings"])))
    account = explain_top_account(here, snapshot, bundle, run)
    return {
        "name": name,
        "workspace": str(here.workspace),
        "snapshot": snapshot.id,
        "content_hash": snapshot.manifest["content_hash"],
        "counts": snapshot.manifest["counts"],
        "bundle": bundle.version,
        "metrics": bundle.manifest["metrics"],
        "baselines": bundle.manifest["baselines"],
        "rings": run.id,
        "first_rings": run.table.sort("rank").head(TOP_RINGS).to_dicts(),
        "account": account,
    }


def _ask_service(options: Options, requests: Path) -> dict[str, Any]:
    """Start the service on the game, ask as curl would, show the answers, stop it."""
    from ringwatch.live import LiveService

    screen = options.screen
    screen.say()
    screen.say("─" * 100, style="dim")
    screen.say("Live: the service on the game (simulated data)", style="bold")
    answers: dict[str, Any] = {}
    with LiveService(options.workspace / "demo" / GAME, ready_within_s=READY_WITHIN_S) as service:
        for name in REQUESTS:
            body = (requests / f"{name}.json").read_text(encoding="utf-8")
            screen.heading(f"A sign-up: {name.replace('_', ' ')}")
            screen.say(
                f"$ curl -s {service.url}/v1/risk -H 'content-type: application/json' "
                f"-d @{requests / name}.json",
                style="dim",
            )
            answers[name] = service.post("/v1/risk", json.loads(body))
            _show_answer(screen, answers[name])
        screen.heading("The rings that matter most")
        screen.say(f"$ curl -s '{service.url}/v1/rings?limit={TOP_RINGS}'", style="dim")
        answers["rings"] = service.get(f"/v1/rings?limit={TOP_RINGS}")
        for ring in answers["rings"]["rings"]:
            screen.say(f"{ring['rank']:>3}. {ring['id']}  score {ring['score']:.3f}, {ring['size']} accounts")
            screen.say(f"     {ring['words']}")
    return answers


def _show_answer(screen: Screen, answer: dict[str, Any]) -> None:
    """Show the parts of an answer that a person looks at first."""
    score = "unknown" if answer["score"] is None else f"{answer['score']:.3f}"
    screen.say(
        f"{answer['decision']} (risk {answer['risk_level']}), score {score}, by {answer['policy']['rule']}"
    )
    ring = answer["ring"]
    if ring is not None:
        screen.say(f"  ring {ring['id']}: rank {ring['rank']}, {ring['size']} accounts, {ring['membership']}")
    for reason in answer["reasons"][:3]:
        screen.say(f"  {reason['code']}: {reason['message']}")
    kept = "kept" if answer["accepted"] else "not kept: there is no journal yet"
    screen.say(f"  event {kept}; warnings: {', '.join(w['code'] for w in answer['warnings']) or 'none'}")
