"""`ringwatch ray demo`: the demo's way over a Ray cluster of two nodes on this machine."""

import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from ringwatch.commands.demo import check_names, find_examples, walk
from ringwatch.commands.train import show_metrics
from ringwatch.console import Outcome
from ringwatch.options import JsonOption, Options, SeedOption, WorkspaceOption


def add_to(app: typer.Typer) -> None:
    """Add the command to the group."""
    app.command("demo")(_demo)


def _demo(
    examples: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the examples, if not found by itself.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this example; both if left out.")
    ] = None,
    workers: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=1,
            max=2,
            help="Processes that fit GraphSAGE together, one a node; 2 differ from `demo` within noise.",
        ),
    ] = 1,
    workspace: WorkspaceOption = None,
    seed: SeedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Build, train, find rings and score two examples over a cluster of two nodes that starts here."""
    from gnn import Bundle
    from graph_etl import Workspace
    from ray_jobs import SageSettings, rings_over_ray, score_here, score_over_ray, train_over_ray
    from ray_jobs.cluster import connected, dashboard_of, two_nodes
    from ringwatch.settings import DEMO_HASH_KEY, settings
    from ringwatch.tables import score_table, write_table

    options = Options.of(workspace, seed, as_json)
    screen = options.screen
    chosen = check_names(only)
    folder = find_examples(examples)
    if settings().hash_key is None:
        screen.note(
            "RINGWATCH_HASH_KEY is not set: using the demo's public key, "
            "allowed only because the game is simulated"
        )
        os.environ["RINGWATCH_HASH_KEY"] = DEMO_HASH_KEY
    results = []
    with two_nodes() as address, connected(address) as ray:
        dashboard = dashboard_of(ray)
        nodes = [node for node in ray.nodes() if node["Alive"]]
        screen.say(f"Ray: {len(nodes)} nodes at {address}, dashboard {dashboard}", style="bold")
        for name in chosen:
            here = replace(options, workspace=options.workspace / "ray")
            train = partial(train_over_ray, address=address, sage=SageSettings(workers))
            find = partial(rings_over_ray, address=address)
            spec = folder / name / "spec.yaml"
            walked = walk(here, spec, name, build=_build, train=train, find=find)
            place = Workspace(walked["workspace"])
            snapshot = place.open_snapshot()
            file = place.path / "scores.parquet"
            with screen.progress() as progress:
                scored = score_table(place, snapshot, by=partial(score_over_ray, progress=progress))
            write_table(scored, file)
            alone = score_table(place, snapshot, by=score_here)
            same = "bit for bit those of one process" if scored.equals(alone) else "NOT those of one process"
            screen.say(f"{len(scored):,} scores over both nodes, {same}: {file}")
            screen.say(f"GraphSAGE was fitted by {workers} process(es), rings by tasks of both nodes")
            results.append(walked | {"scores": str(file), "scores_equal": scored.equals(alone)})
        for one in results:
            place = Workspace(one["workspace"])
            manifest = Bundle.open(place.path_of("bundle", one["bundle"])).manifest
            same = "the table" if workers == 1 else "within noise the table"
            screen.heading(f"{one['name']}: {same} of `make demo`, from two nodes")
            show_metrics(screen, manifest)
        screen.say(f"dashboard while it ran: {dashboard}")
    screen.finish(
        Outcome(
            "ray demo",
            options.workspace,
            {"dashboard": dashboard, "nodes": len(nodes), "walks": results},
            wrote=tuple(Path(one["scores"]) for one in results),
            next_command="ringwatch ray --help",
        )
    )


def _build(options: Options, spec: Path) -> None:
    from graph_etl import Workspace
    from graph_etl.spec import load_spec
    from ray_jobs import etl_over_ray
    from ringwatch.commands.build import show_report

    with options.screen.progress() as progress:
        report = etl_over_ray(
            load_spec(spec), Workspace(options.workspace), seed=options.seed, progress=progress
        )
    show_report(options, "ray etl", report, most_hubs=3)
