"""`ringwatch demo-live`: a game's events stream into a running service; a ring gathers and is stopped."""

import hashlib
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ringwatch.console import Outcome, Screen
from ringwatch.options import JsonOption, Options, SeedOption, WorkspaceOption

if TYPE_CHECKING:
    from graph_etl import Workspace
    from ringwatch.live import LiveService
    from ringwatch.live_game import LiveGame
    from ringwatch.live_stream import Tally

READY_WITHIN_S: Final = 120.0
SWAPPED_WITHIN_S: Final = 60.0
_LOOK_EVERY_S: Final = 0.5
_LINE_EVERY_S: Final = 5.0
_DRAWN_A_SECOND: Final = 4
# Shares of the sign-ups of the past that would have been challenged, and at which level.
_CHALLENGED, _CHALLENGED_HIGH = 0.03, 0.005
# The ring's accounts by order of arrival: the first ones look like anybody.
_ARRIVALS: Final = ((0, 3), (3, 6), (6, 12), (12, None))


def add_to(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("demo-live")(_demo_live)


def _demo_live(
    examples: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the examples, if not found by itself.")
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=1, help="How long two and a half days of the game may take.")
    ] = 75.0,
    connections: Annotated[int, typer.Option(min=1, max=64, help="Connections to the service.")] = 4,
    accounts: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Size of the game; that of the example if left out."),
    ] = None,
    workspace: WorkspaceOption = None,
    seed: SeedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Stream a simulated game into the service and watch it stop a ring. About 3 minutes."""
    from graph_etl.simulate import load_simulation
    from ringwatch.commands.demo import GAME, find_examples
    from ringwatch.live import LiveService
    from ringwatch.live_game import live_config, play
    from scoring_service.database import STATE_FILE

    options = Options.of(workspace, seed, as_json)
    folder = find_examples(examples) / GAME
    use_demo_key(options.screen)
    config = live_config(load_simulation(folder / "simulation.yaml"), accounts)
    game = play(config)
    say = options.screen.say
    options.screen.heading("A simulated game: its history is learned, its next two and a half days stream in")
    spec = folder / "spec.yaml"
    key = hashlib.sha256(config.model_dump_json().encode() + spec.read_bytes()).hexdigest()[:10]
    home = options.workspace / "demo" / f"live-{key}"
    here = _fresh_copy(_learned(replace(options, workspace=home / "base"), game, spec, home), home / "run")
    environment = {
        "RINGWATCH_POLICY": str(_write_policy(here)),
        "RINGWATCH_DATABASE_URL": f"sqlite:///{(here.workspace / STATE_FILE).resolve()}",
        # The game's clock, not this machine's: its days pass within seconds.
        "RINGWATCH_CLOCK": "events",
    }
    # The build reads the journal that the service writes, whatever store this machine uses otherwise.
    os.environ |= environment
    with LiveService(here.workspace, ready_within_s=READY_WITHIN_S) as service:
        say(f"the service answers at {service.url} after {service.started_in_s:.1f} s", style="dim")
        tally = _stream(options.screen, service, game, seconds=seconds, connections=connections)
        live = service.get("/v1/live")
        say()
        say("Rebuild with the journal, find rings again, while the service answers", style="bold")
        swap_s = _rebuild(here, service, home / "spec.yaml")
        ring = named_ring(service, game.ring)
    result = {
        **_figures(tally, game, live),
        "seconds_to_rebuild_and_swap": round(swap_s, 1),
        "ring": ring,
    }
    _show(options.screen, result)
    options.screen.finish(
        Outcome(
            "demo-live",
            options.workspace,
            result,
            wrote=(home,),
            next_command=here.next_command("serve"),
        )
    )


def use_demo_key(screen: Screen) -> None:
    """Hash with the demo's public key where no key is set, and say so."""
    from ringwatch.settings import DEMO_HASH_KEY, settings

    if settings().hash_key is None:
        screen.note(
            "RINGWATCH_HASH_KEY is not set: using the demo's public key, "
            "allowed only because the game is simulated"
        )
        os.environ["RINGWATCH_HASH_KEY"] = DEMO_HASH_KEY


def _learned(base: Options, game: "LiveGame", spec: Path, home: Path) -> Options:
    """Build, train and find rings on the history, unless an earlier run did; return the options."""
    from graph_etl import Workspace
    from ringwatch.commands.build import make_snapshot
    from ringwatch.commands.rings import find_rings
    from ringwatch.commands.train import make_bundle

    part = replace(base, screen=Screen(as_json=True, is_part=True))
    if not _is_whole(Workspace(base.workspace)):
        base.screen.say(f"learning from {game.history['signups'].height:,} accounts ...", style="dim")
        shutil.rmtree(home, ignore_errors=True)
        game.write_history(home)
        shutil.copy(spec, home / "spec.yaml")
        make_snapshot(part, home / "spec.yaml")
        make_bundle(part)
        find_rings(part)
    else:
        base.screen.say("history, models and rings are there from an earlier run", style="dim")
    return base


def _is_whole(place: "Workspace") -> bool:
    """Tell whether snapshot, bundle and rings are there and this version can open them."""
    import gnn
    import rings
    from graph_etl import RingwatchError

    try:
        snapshot, current = place.open_snapshot(), place.current()
        if current["bundle"] is None or current["rings"] is None:
            return False
        gnn.Scorer(snapshot, gnn.Bundle.open(place.path_of("bundle", current["bundle"])))
        rings.RingsRun.open(place.path_of("rings", current["rings"]))
    except RingwatchError:
        return False
    return True


def _fresh_copy(base: Options, folder: Path) -> Options:
    """Copy the learned workspace, so that each run streams into an empty journal."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(base.workspace, folder)
    return replace(base, workspace=folder)


def _write_policy(here: Options) -> Path:
    """Write the default policy with thresholds that challenge few sign-ups: those that score highest.

    At sign-up little is known, so even a farm's account gets a small probability. How many challenges a
    platform can afford is its own choice; the demo's is a share of the sign-ups of its history.

    Returns:
        The policy's file.
    """
    import numpy as np
    import yaml

    import gnn
    from features import Queries
    from graph_etl import Workspace
    from scoring_service.policy.service import DEFAULT_POLICY

    place = Workspace(here.workspace)
    snapshot = place.open_snapshot()
    bundle = gnn.Bundle.open(place.path_of("bundle", str(place.current()["bundle"])))
    past = gnn.Scorer(snapshot, bundle).score(Queries.for_accounts(snapshot, moment="signup"), "signup")
    medium, high = (float(np.quantile(past.score, 1 - share)) for share in (_CHALLENGED, _CHALLENGED_HIGH))
    policy = yaml.safe_load(DEFAULT_POLICY.read_text(encoding="utf-8"))
    policy["name"] = "demo_live"
    policy["moments"]["signup"] = [
        {"level": "critical", "score": 0.9, "percentile": 100, "decision": "review"},
        {"level": "high", "score": high, "percentile": 100 * (1 - _CHALLENGED_HIGH), "decision": "challenge"},
        {"level": "medium", "score": medium, "percentile": 100 * (1 - _CHALLENGED), "decision": "challenge"},
        {"level": "low", "score": 0.0, "percentile": 0, "decision": "allow"},
    ]
    path = here.workspace / "policy.yaml"
    path.write_text(yaml.safe_dump(policy, sort_keys=False), encoding="utf-8")
    return path


def _stream(
    screen: Screen, service: "LiveService", game: "LiveGame", *, seconds: float, connections: int
) -> "Tally":
    """Send what happens; show how it goes until all is sent."""
    from rich.console import Console
    from rich.live import Live

    from ringwatch.live_stream import Stream
    from ringwatch.live_view import line_of, view_of

    stream = Stream(service.port, game.happenings, seconds=seconds, connections=connections)
    screen.say(
        f"{len(game.happenings):,} events of {game.cut:%d %B} to {game.end:%d %B %Y} in about {seconds:.0f} "
        f"s over {connections} connections; a ring of {len(game.ring)} accounts gathers among them",
        style="dim",
    )
    terminal = Console(file=sys.stderr)
    stream.start()
    said_at = time.monotonic()
    try:
        with Live(console=terminal, refresh_per_second=_DRAWN_A_SECOND, transient=True) as drawn:
            while stream.is_running:
                live = service.get("/v1/live")
                if terminal.is_terminal:
                    drawn.update(view_of(stream.tally, live, elapsed_s=stream.elapsed_s, seconds=seconds))
                elif time.monotonic() - said_at >= _LINE_EVERY_S:
                    said_at = time.monotonic()
                    screen.note(line_of(stream.tally, live))
                time.sleep(_LOOK_EVERY_S)
    finally:
        stream.stop()
    stream.finish()
    return stream.tally


def _rebuild(here: Options, service: "LiveService", spec: Path) -> float:
    """Build from files and journal, find rings, wait until the service answers from them.

    Returns:
        How long it took, seconds.
    """
    from graph_etl import Workspace
    from ringwatch.commands.build import make_snapshot
    from ringwatch.commands.rings import find_rings
    from ringwatch.live import DemoError

    started = time.monotonic()
    part = replace(here, screen=Screen(as_json=True, is_part=True))
    make_snapshot(part, spec)
    find_rings(part)
    wanted = Workspace(here.workspace).current()["rings"]
    while time.monotonic() - started < SWAPPED_WITHIN_S:
        if service.get("/readyz")["rings"] == wanted:
            return time.monotonic() - started
        time.sleep(_LOOK_EVERY_S)
    message = f"the service did not take up the rings run {wanted} within {SWAPPED_WITHIN_S:.0f} s"
    raise DemoError(message)


def named_ring(service: "LiveService", members: Sequence[str]) -> dict[str, Any] | None:
    """Ask `/v1/rings` for the ring that holds most of some accounts.

    Args:
        service: The running service.
        members: Accounts.

    Returns:
        The ring's summary with `members_in_it`, how many of the accounts it holds; None if they are in none.
    """
    found: Counter[str] = Counter()
    summaries: dict[str, dict[str, Any]] = {}
    for account in members:
        for ring in service.get(f"/v1/rings?account={account}")["rings"]:
            found[ring["id"]] += 1
            summaries[ring["id"]] = ring
    if not found:
        return None
    ring_id, count = found.most_common(1)[0]
    return {**summaries[ring_id], "members_in_it": count, "of": len(members)}


def _figures(tally: "Tally", game: "LiveGame", live: Mapping[str, Any]) -> dict[str, Any]:
    """Count decisions by who signed up; all of it simulated."""
    from ringwatch.live_stream import quantile

    rows = []
    for first, end in _ARRIVALS:
        accounts = game.ring[first:end]
        if accounts:
            rows.append(
                _share(f"the ring's accounts {first + 1} to {first + len(accounts)}", accounts, tally)
            )
    ring = set(game.ring)
    others = [name for name in tally.sign_ups if name in game.bad and name not in ring]
    honest = [name for name in tally.sign_ups if name not in game.bad]
    if others:
        rows.append(_share("other bad accounts", others, tally))
    rows.append(_share("honest accounts", honest, tally))
    risk_ms = sorted(1000 * took_s for took_s in tally.risk_s)
    codes = Counter(
        one.code
        for name in game.ring
        if (one := tally.sign_ups.get(name)) is not None and one.decision != "allow" and one.code is not None
    )
    return {
        "simulated": True,
        "events": dict(tally.counts),
        "decisions": dict(tally.decisions),
        "by_arrival": rows,
        "reasons_on_the_ring": dict(codes.most_common()),
        "not_accepted": tally.not_accepted,
        "degraded": dict(tally.degraded),
        "p50_ms": quantile(risk_ms, 0.5),
        "p99_ms": quantile(risk_ms, 0.99),
        "journal_rows": live["last_seq"],
    }


def _share(who: str, accounts: Sequence[str], tally: "Tally") -> dict[str, Any]:
    decided = Counter(tally.sign_ups[name].decision for name in accounts)
    return {
        "who": who,
        "sign_ups": len(accounts),
        "challenged": decided["challenge"],
        "reviewed": decided["review"],
        "denied": decided["deny"],
        "stopped_share": (len(accounts) - decided["allow"]) / len(accounts) if accounts else None,
    }


def _show(screen: Screen, result: Mapping[str, Any]) -> None:
    """Show who was stopped, how fast answers came, and the ring as `/v1/rings` names it."""
    screen.heading("Who was stopped at sign-up (simulated)")
    screen.table(
        ["who", "sign-ups", "challenged", "reviewed", "denied", "share"],
        [
            [
                row["who"],
                row["sign_ups"],
                row["challenged"],
                row["reviewed"],
                row["denied"],
                row["stopped_share"],
            ]
            for row in result["by_arrival"]
        ],
    )
    events = ", ".join(f"{count:,} {kind}" for kind, count in sorted(result["events"].items()))
    screen.say(f"{events}; {result['journal_rows']:,} rows in the journal, {result['not_accepted']} not kept")
    screen.say(
        f"answers of /v1/risk: p50 {result['p50_ms']:.1f} ms, "
        f"p99 {result['p99_ms']:.1f} ms, as clients saw them"
    )
    ring = result["ring"]
    screen.heading("What /v1/rings says of the ring now")
    if ring is None:
        screen.say("nothing: its accounts are in no ring")
        return
    screen.say(
        f"{ring['rank']:>3}. {ring['id']}  score {ring['score']:.3f}, {ring['size']} accounts, "
        f"{ring['members_in_it']} of the {ring['of']} that gathered"
    )
    screen.say(f"     {ring['words']}")
