"""`ringwatch ray`: the heavy steps over a Ray cluster, one module a command."""

__all__ = ["add_to"]

import typer

from ringwatch.commands.ray import demo, embed, etl, rings, score, submit, train, tune


def add_to(app: typer.Typer) -> None:
    """Add the commands to the application."""
    group = typer.Typer(
        help="The same steps over a Ray cluster, or over one that is started on this machine.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    etl.add_to(group)
    train.add_to(group)
    rings.add_to(group)
    tune.add_to(group)
    embed.add_to(group)
    score.add_to(group)
    submit.add_to(group)
    demo.add_to(group)
    app.add_typer(group, name="ray")
