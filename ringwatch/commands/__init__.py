"""The commands, one module each; every module adds what it offers to the application."""

__all__ = ["COMMANDS"]

from collections.abc import Callable
from typing import Final

import typer

from ringwatch.commands import (
    build,
    bundle,
    demo,
    demo_live,
    evaluate,
    explain,
    export,
    forget,
    hash_identifier,
    keys,
    neo4j,
    ray,
    refresh,
    replay,
    rings,
    serve,
    similar,
    simulate,
    train,
)

COMMANDS: Final[tuple[Callable[[typer.Typer], None], ...]] = (
    build.add_to,
    train.add_to,
    rings.add_to,
    serve.add_to,
    replay.add_to,
    refresh.add_to,
    forget.add_to,
    bundle.add_to,
    neo4j.add_to,
    ray.add_to,
    export.add_to,
    evaluate.add_to,
    explain.add_to,
    similar.add_to,
    hash_identifier.add_to,
    simulate.add_to,
    keys.add_to,
    demo.add_to,
    demo_live.add_to,
)
