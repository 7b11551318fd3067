"""docs/features.md, written from the registry: what every input of a score says.

    python -m gnn.inputs_page FILE

Inputs depend on what a spec declares. The page lists those of a platform of four accounts that has one of
everything, with its names put back into placeholders, so that it holds for every spec.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from features import view_of
from features.registry import profile_names
from gnn.inputs import input_specs
from gnn.spectral import FAMILY, WIDTH
from graph_etl import Workspace, build, load_spec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from features import FeatureSpec
    from graph_etl import Snapshot

_HEAD: Final = """\
# Inputs of a score

Written by `make docs-features` from the registry (`gnn.inputs.input_specs`) that the kernel, the reasons and
`without=` read too; a test says when it is out of date. How they become a score: [scores.md](scores.md).

A name in capitals stands for what a spec declares: `ATTRIBUTE` for each attribute of an account; `SIDE` for
each way in which an account takes part in something (`used:device`, `gift>` sent, `gift<` received); `PLACE`
for each part of an account's behaviour: an attribute (a category has eight, by hash), and for each side how
many counterparts and how common they are; `NUMBER` for the numbers from 0 to {last}.
"log" is the natural logarithm of one more than the number. An input without a value is NaN, which trees treat
as a value of its own.

*live*: exact from the rows that are visible at the question. *epoch*: as of the last epoch that is not later
than it.
"""
_FAMILIES: Final[dict[str, str]] = {
    "attribute": "What the account told of itself.",
    "account": "Its age, and how much there is of it.",
    "profile": "How much of each side, and how common its counterparts are.",
    "identifier": "How popular, how new and how busy the things are that it touches.",
    "burst": "Who appeared close in time, and how alike they behave.",
    "direct": "Behaviour of accounts that it dealt with.",
    "shared": "Behaviour of accounts that it shares something with; rarer things weigh more, hubs nothing.",
    "link": "Its weighted links (rarity, closeness in time, likeness) added up: [rings.md](rings.md).",
    "community": "The community that its links put it into, found without verdicts: kept only where held-out "
    "accounts gain.",
    "rhythm": "The pace of its last 64 events; on data with times alone.",
    "around": "Behaviour two steps away; kept or left out together with `community`.",
    "spectral": "Where it stands among accounts that deal with each other: leading singular vectors of the "
    "graph of direct interactions, at the end of the snapshot; an input only where held-out accounts gain.",
    "contact": "Known bad accounts on the same rare thing: always a reason, an input only where held-out "
    "accounts gain.",
    "reputation": "How many of the latest accounts on what it touches are known to be bad, however common "
    "that is: an input where `contact` is one.",
}
_SPEC: Final = """\
ringwatch: 1
name: placeholders
title: One of everything.
sources:
  accounts: {path: accounts.csv}
  uses: {path: uses.csv}
  letters: {path: letters.csv}
kinds:
  thing: {identifier: true, public: true}
accounts:
  - source: accounts
    id: account
    time: at
    attributes: {trait: number}
events:
  - source: uses
    type: use
    from: {account: account}
    to: {thing: thing}
    time: at
  - {source: letters, type: letter, from: {account: writer}, to: {account: reader}, time: at}
"""
_FILES: Final = {
    "accounts.csv": "account,at,trait\n"
    + "".join(f"{name},2026-01-0{day}T00:00:00Z,{day}\n" for day, name in enumerate("abcd", 1)),
    "letters.csv": "writer,reader,at\na,b,2026-01-05T00:00:00Z\n",
    "uses.csv": "account,thing,at\n"
    + "".join(f"{name},t,2026-01-0{day}T00:00:01Z\n" for day, name in enumerate("abcd", 1)),
}


def inputs_page(snapshot: Snapshot) -> str:
    """The page.

    Args:
        snapshot: Gives the schema; what it declares becomes placeholders.

    Returns:
        Markdown: a table for each family, in the order of the columns.

    Raises:
        KeyError: If a family has no sentence here.
    """
    rows: dict[str, dict[str, str]] = {}
    for spec in input_specs(snapshot, with_contact=True):
        name, words = _placeholders(spec, snapshot)
        marks = ", verdicts of others" if spec.uses_verdicts else ""
        rows.setdefault(spec.family, {})[name] = f"| `{name}` | {spec.source}{marks} | {words} |"
    parts = [_HEAD.format(last=WIDTH - 1)]
    for family, lines in rows.items():
        table = "\n".join(["| input | read | says |", "|---|---|---|", *lines.values()])
        parts.append(f"## `{family}`\n\n{_FAMILIES[family]}\n\n{table}\n")
    return "\n".join(parts)


def _placeholders(spec: FeatureSpec, snapshot: Snapshot) -> tuple[str, str]:
    """Name and words of an input, what the spec declares put back into placeholders."""
    view = view_of(snapshot)
    if spec.family == "attribute":
        return "attribute.ATTRIBUTE", spec.description.removesuffix(spec.group) + "ATTRIBUTE"
    if spec.family == FAMILY:
        number = spec.name.removeprefix(f"{FAMILY}.")
        return f"{FAMILY}.NUMBER", spec.description.replace(f" {number} ", " NUMBER ")
    for side in view.sides:
        if spec.group == side.label and spec.family in ("profile", "identifier"):
            return spec.name.replace(side.label, "SIDE"), spec.description.replace(side.label, "SIDE")
    for place in profile_names(snapshot, view):
        if spec.name.endswith(f".{place}"):
            return spec.name.removesuffix(place) + "PLACE", spec.description.replace(place, "PLACE")
    return spec.name, spec.description


def page_of_everything() -> str:
    """The page, from a platform that is built for it.

    Returns:
        Markdown.
    """
    with TemporaryDirectory() as folder:
        place = Path(folder)
        for name, text in _FILES.items():
            (place / name).write_text(text)
        (place / "spec.yaml").write_text(_SPEC)
        workspace = Workspace(place / "workspace")
        report = build(load_spec(place / "spec.yaml"), workspace)
        return inputs_page(workspace.open_snapshot(report.snapshot_id))


def main(arguments: Sequence[str]) -> int:
    """Write the page to the file named; returns the exit code."""
    if len(arguments) != 1:
        sys.stderr.write("name the file to write: python -m gnn.inputs_page docs/features.md\n")
        return 2
    Path(arguments[0]).write_text(page_of_everything())
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
