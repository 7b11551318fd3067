"""`ringwatch neo4j demo`: a real Neo4j on this machine, filled with the demo's game, until it is stopped."""

import os
import signal
import socket
from contextlib import suppress
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ringwatch.commands.demo import GAME, find_examples, walk
from ringwatch.console import Outcome, Screen
from ringwatch.options import JsonOption, Options, SeedOption, WorkspaceOption

if TYPE_CHECKING:
    from graph_etl.neo4j_store import Target

PASSWORD: Final = "ringwatch-demo"
"""Known to everybody: the server listens on this machine only, and the game in it is simulated."""

BOLT_PORT: Final = 7687
HTTP_PORT: Final = 7474
GUIDE_PORT: Final = 8474


def add_to(group: typer.Typer) -> None:
    """Add the command to the group."""
    group.command("demo")(_demo)


def _demo(
    stay: Annotated[bool, typer.Option(help="Stay up until Ctrl-C.")] = True,
    workspace: WorkspaceOption = None,
    seed: SeedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Start a real Neo4j here, fill it with the demo's game, say how to look at it, and stay up."""
    from graph_etl.neo4j_store import Target, connect
    from graph_etl.neo4j_store.browser import find_examples as find_values
    from graph_etl.neo4j_store.browser import serve_browser_files
    from ringwatch.local_neo4j import LocalNeo4j

    options = Options.of(workspace, seed, as_json)
    screen = options.screen
    game = replace(
        options,
        workspace=options.workspace / "demo" / GAME,
        screen=Screen(as_json=screen.as_json, is_part=True),
    )
    _make_game(options, game)
    folder = options.workspace / "demo" / "neo4j"
    # Whoever ends this ends Neo4j too, in good order.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    screen.note("starting Neo4j; the first time its archives are fetched")
    with LocalNeo4j(
        folder, password=PASSWORD, bolt_port=_free(BOLT_PORT), http_port=_free(HTTP_PORT)
    ) as server:
        target = Target(server.uri, password=PASSWORD)
        result = _fill(game, target)
        with connect(target) as driver:
            values = find_values(driver, target)
        with serve_browser_files(_free(GUIDE_PORT) or 0, values.given()) as files:
            _show(screen, server.browser, result)
            screen.heading("In Neo4j Browser: colours, and a guide with all queries")
            screen.say(files.style)
            screen.say(files.play)
            screen.finish(
                Outcome(
                    "neo4j demo",
                    options.workspace,
                    {"uri": server.uri, "browser": server.browser, "username": target.username, **result},
                    next_command=f"NEO4J_URI={server.uri} NEO4J_PASSWORD={PASSWORD} ringwatch neo4j queries",
                )
            )
            if stay:
                screen.say("Neo4j stays up until Ctrl-C; its data stays, the next demo starts at once.")
                with suppress(KeyboardInterrupt):
                    signal.pause()


def _free(port: int) -> int | None:
    """The port that everybody knows, None if something else listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return None
    return port


def _make_game(options: Options, game: Options) -> None:
    """Build, train and find rings, unless an earlier demo did."""
    from graph_etl import Workspace
    from ringwatch.settings import DEMO_HASH_KEY, settings

    if all(Workspace(game.workspace).current()[part] for part in ("snapshot", "bundle", "rings")):
        return
    if settings().hash_key is None:
        os.environ["RINGWATCH_HASH_KEY"] = DEMO_HASH_KEY
    walk(options, find_examples(None) / GAME / "spec.yaml", GAME)


def _fill(game: Options, target: "Target") -> dict[str, Any]:
    """Load and write back, check that all of it is there; return what was done and the first ring's id."""
    from graph_etl import Workspace
    from graph_etl.neo4j_store import GraphStoreError, load, verify, write_back
    from ringwatch.neo4j_results import gather_results
    from scoring_service import ServiceSettings
    from scoring_service.policy import load_policy

    place = Workspace(game.workspace)
    snapshot = place.open_snapshot()
    with game.screen.progress() as progress:
        loaded = load(snapshot, place, target, progress=progress)
        results = gather_results(place, snapshot, load_policy(ServiceSettings().policy), progress=progress)
        written = write_back(target, results, progress=progress)
        checked = verify(snapshot, target, progress=progress)
    if not checked.clean:
        message = f"{target.shown}: {checked.differences[0]}; `ringwatch neo4j load --repair` puts it right"
        raise GraphStoreError(message)
    return {
        "load": asdict(loaded),
        "write_back": asdict(written),
        "first_ring": results.rings.sort("rank")["ring"][0],
    }


def _show(screen: Screen, browser: str, result: dict[str, Any]) -> None:
    """Say where Neo4j Browser is and what to paste into it."""
    from graph_etl.neo4j_store.naming import literal

    held = sum(
        result["load"][part][how]
        for part in ("nodes", "relationships", "verdicts")
        for how in ("created", "updated", "untouched")
    )
    written = result["write_back"]
    screen.say(
        f"{held:,} nodes and relationships, checked against the snapshot; {written['accounts']:,} scores, "
        f"{written['rings']:,} rings, {written['links']:,} links"
    )
    screen.heading("Neo4j Browser (simulated data)")
    screen.say(f"{browser}   user neo4j   password {PASSWORD}", style="bold")
    ring = literal(result["first_ring"])
    for title, query in (
        (
            "the rings that matter most",
            "MATCH (r:Ring {superseded: false}) RETURN r.rank, r.id, r.size, r.score, r.words "
            "ORDER BY r.rank LIMIT 20",
        ),
        (
            "the first ring and what its members share",
            f"MATCH shown = (:Ring {{id: {ring}}})<-[:MEMBER_OF]-(:Account)-[:USED]->(i:Identifier) "
            "WHERE NOT i.hub RETURN shown LIMIT 250",
        ),
        (
            "hubs: what never links anybody, and why",
            "MATCH (i:Identifier) WHERE i.hub_reason IS NOT NULL RETURN i.kind, i.accounts, i.hub_reason "
            "ORDER BY i.accounts DESC LIMIT 20",
        ),
    ):
        screen.heading(f"Paste: {title}")
        screen.say(query)
