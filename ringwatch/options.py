"""The options that every command has."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from ringwatch.console import Screen

WorkspaceOption = Annotated[
    Path | None,
    typer.Option(
        "--workspace",
        "-w",
        metavar="DIR",
        help="Folder of snapshots, bundles and rings  [env: RINGWATCH_WORKSPACE; default: .ringwatch]",
        show_default=False,
    ),
]
SeedOption = Annotated[
    int | None,
    typer.Option(
        "--seed",
        metavar="N",
        help="Same seed, same result  [env: RINGWATCH_SEED; default: 0]",
        show_default=False,
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object (docs/cli.md) instead of text.")
]


@dataclass(frozen=True, slots=True)
class Options:
    """The common options of one call, with the environment's settings where none were given.

    Attributes:
        workspace: Folder that holds snapshots, bundles and rings.
        seed: Seed of everything random.
        screen: Where results and progress go.
    """

    workspace: Path
    seed: int
    screen: Screen

    @classmethod
    def of(cls, workspace: Path | None, seed: int | None, as_json: bool) -> "Options":
        """Fill what was not given on the command line from the settings."""
        from ringwatch.settings import settings

        defaults = settings()
        return cls(
            workspace=defaults.workspace if workspace is None else workspace,
            seed=defaults.seed if seed is None else seed,
            screen=Screen(as_json=as_json),
        )

    def next_command(self, command: str, arguments: str = "") -> str:
        """Return the words that run `command` on the same workspace."""
        from ringwatch.settings import DEFAULT_WORKSPACE

        words = ["ringwatch", command, *([arguments] if arguments else [])]
        if self.workspace != DEFAULT_WORKSPACE:
            words.append(f"--workspace {self.workspace}")
        return " ".join(words)
