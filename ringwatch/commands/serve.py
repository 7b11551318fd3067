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
    workspace: WorkspaceOption = None,
    seed: SeedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Serve the API and the console at / from the workspace's current snapshot, bundle and rings."""
    from typing import Any

    from scoring_service import ServiceSettings, serve

    options = Options.of(workspace, seed, as_json)
    given: dict[str, Any] = {"workspace": options.workspace}
    if host is not None:
        given["host"] = host
    if port is not None:
        given["port"] = port
    settings = ServiceSettings(**given)
    if settings.port and not as_json:
        options.screen.say(
            f"console: http://{settings.host}:{settings.port}/   API: /openapi.json   stop: Ctrl-C"
        )
    serve(settings)
