"""`ringwatch neo4j`: the graph, its scores and rings in Neo4j, one module a command."""

__all__ = ["add_to"]

import typer

from ringwatch.commands.neo4j import demo, export, follow, load, queries, verify, write_back


def add_to(app: typer.Typer) -> None:
    """Add the commands to the application."""
    group = typer.Typer(
        help="The graph, its scores and rings in Neo4j, for investigators.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    load.add_to(group)
    verify.add_to(group)
    write_back.add_to(group)
    follow.add_to(group)
    export.add_to(group)
    queries.add_to(group)
    demo.add_to(group)
    app.add_typer(group, name="neo4j")
