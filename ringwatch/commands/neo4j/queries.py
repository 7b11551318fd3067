"""`ringwatch neo4j queries`: the investigators' queries, to read, to run, to take into Neo4j Browser."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ringwatch.commands.neo4j.options import (
    DatabaseOption,
    PasswordOption,
    UriOption,
    UsernameOption,
    target_of,
)
from ringwatch.console import Outcome
from ringwatch.options import JsonOption, Options, SeedOption, WorkspaceOption

if TYPE_CHECKING:
    from graph_etl.neo4j_store import Query, Target


def add_to(group: typer.Typer) -> None:
    """Add the command to the group."""
    group.command("queries")(_queries)


def _queries(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Show this query; all in a list if left out.")
    ] = None,
    run: Annotated[
        bool, typer.Option("--run", help="Run the query, reading only, and print a table.")
    ] = False,
    param: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE", help="A value that the query asks for; may be given several times."
        ),
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write all queries, and guide, style sheet and saved queries for Neo4j Browser.",
        ),
    ] = None,
    serve: Annotated[
        int | None,
        typer.Option(
            metavar="PORT",
            min=0,
            max=65535,
            help="Serve guide and style sheet to Neo4j Browser until stopped; 0 picks a port.",
        ),
    ] = None,
    uri: UriOption = None,
    username: UsernameOption = None,
    password: PasswordOption = None,
    database: DatabaseOption = None,
    workspace: WorkspaceOption = None,
    seed: SeedOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the investigators' queries; show, run or export them, or serve the guide of Neo4j Browser."""
    from graph_etl.neo4j_store import GraphStoreError, query

    options = Options.of(workspace, seed, as_json)
    given = _given(param or [])
    asked = [
        what
        for what, one in (("--run", run or None), ("--export", export), ("--serve", serve))
        if one is not None
    ]
    if len(asked) > 1:
        message = f"{asked[0]} and {asked[1]} do not go together; choose one"
        raise GraphStoreError(message)
    if name is None and (run or given):
        message = (
            "name the query: `ringwatch neo4j queries NAME --run`; without a name the command lists them"
        )
        raise GraphStoreError(message)
    if name is not None and (export is not None or serve is not None):
        message = f"{asked[0]} takes all queries; leave {name!r} out"
        raise GraphStoreError(message)
    if export is not None:
        _export(options, export)
    elif serve is not None:
        _serve(options, serve, target_of(uri, username, password, database))
    elif name is None:
        _list(options)
    elif run:
        _run(options, query(name), given, target_of(uri, username, password, database))
    else:
        _show(options, query(name), given)


def _given(pairs: list[str]) -> dict[str, str]:
    from graph_etl.neo4j_store import GraphStoreError

    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            message = f"--param takes NAME=VALUE, not {pair!r}"
            raise GraphStoreError(message)
        found[name] = value
    return found


def _list(options: Options) -> None:
    from graph_etl.neo4j_store import queries

    found = queries()
    options.screen.table(
        ("query", "asks for", "what it shows: when you use it"),
        [
            (one.name, ", ".join(parameter.name for parameter in one.parameters if parameter.required), line)
            for one in found
            for line in (f"{one.title.rstrip('?')}: {one.use_when}",)
        ],
    )
    options.screen.finish(
        Outcome(
            "neo4j queries",
            options.workspace,
            {"queries": [_described(one) for one in found]},
            next_command=options.next_command("neo4j queries", f"{found[0].name} --run"),
        )
    )


def _show(options: Options, wanted: "Query", given: dict[str, str]) -> None:
    for parameter in wanted.parameters:
        if parameter.required:
            given.setdefault(parameter.name, "")
    values = wanted.values(given)
    lines = wanted.parameter_lines(values)
    options.screen.say(lines + wanted.text.rstrip("\n"))
    options.screen.finish(
        Outcome(
            "neo4j queries",
            options.workspace,
            {**_described(wanted), "param_lines": lines.splitlines(), "cypher": wanted.text},
        )
    )


def _described(one: "Query") -> dict[str, Any]:
    return {
        "query": one.name,
        "title": one.title,
        "about": one.about,
        "use_when": one.use_when,
        "parameters": [
            {
                "name": parameter.name,
                "type": parameter.type,
                "required": parameter.required,
                "default": parameter.default,
                "words": parameter.words,
            }
            for parameter in one.parameters
        ],
        "shows": one.shows,
        "returns": one.returns,
        "bound": one.bound,
    }


def _run(options: Options, wanted: "Query", given: dict[str, str], target: "Target") -> None:
    from graph_etl.neo4j_store import connect, run_query
    from ringwatch.neo4j_values import plain, shown

    wanted.values(given)
    with connect(target) as driver:
        columns, rows = run_query(driver, target, wanted, given)
    if rows and wanted.shows == "graph":
        for row in rows:
            for column, value in zip(columns, row, strict=True):
                options.screen.say(f"{column}: {shown(value)}")
            options.screen.say()
    elif rows:
        options.screen.table(columns, [[shown(value) for value in row] for row in rows])
    else:
        options.screen.note("nothing found")
    options.screen.finish(
        Outcome(
            "neo4j queries",
            options.workspace,
            {
                "query": wanted.name,
                "columns": columns,
                "rows": [[plain(value) for value in row] for row in rows],
            },
        )
    )


def _export(options: Options, folder: Path) -> None:
    from graph_etl.neo4j_store import queries
    from graph_etl.neo4j_store.browser import write_folder

    wrote = write_folder(folder)
    options.screen.say(
        "drop ringwatch.grass and ringwatch-queries.zip onto Neo4j Browser: its style, its favourites"
    )
    options.screen.finish(
        Outcome(
            "neo4j queries",
            options.workspace,
            {"queries": len(queries()), "files": [path.name for path in wrote]},
            wrote=(folder,),
            next_command=options.next_command("neo4j queries", "--serve 8474"),
        )
    )


def _serve(options: Options, port: int, target: "Target") -> None:
    import time
    from urllib.parse import urlsplit

    from graph_etl.neo4j_store import connect
    from graph_etl.neo4j_store.browser import find_examples, serve_browser_files

    with connect(target) as driver:
        examples = find_examples(driver, target)
    with serve_browser_files(port, examples.given(), urlsplit(target.uri).hostname) as files:
        options.screen.say("in Neo4j Browser, one after the other:")
        options.screen.say(f"  {files.style}")
        options.screen.say(f"  {files.play}")
        options.screen.note("serving until stopped with Ctrl-C")
        while True:
            time.sleep(3600)
