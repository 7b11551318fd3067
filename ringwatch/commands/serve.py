"""`ringwatch serve`: the API and the console, until stopped."""

from typing import Annotated

import typer

from ringwatch.options import JsonOption, Options, SeedOption, WorkspaceOption


def add_to(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("serve")(_serve)


def _serve(
    host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Address to listen on  [default: 127.0.0.1]")
    ] = None,
    port: Annotated[
        int | None, typer.Option(metavar="N", min=0, max=65535, help="Port; 0 picks one  [default: 8000]")
    ] = None,
    follow: Annotated[
        bool,
        typer.Option("--follow", help="Read what another process writes to the journal, write nothing."),
    ] = False,
    workspace: WorkspaceOption = None,
    seed: SeedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Serve the API and the console at / from the workspace; swaps in newer snapshots, bundles and rings."""
    from typing import Any

    from scoring_service import ServiceSettings, serve

    options = Options.of(workspace, seed, as_json)
    given: dict[str, Any] = {"workspace": options.workspace}
    if host is not None:
        given["host"] = host
    if port is not None:
        given["port"] = port
    if follow:
        given["follow"] = True

    def say(url: str) -> None:
        if not as_json:
            options.screen.say(f"console: {url}/   API: /openapi.json   stop: Ctrl-C")

    serve(ServiceSettings(**given), on_listening=say)
