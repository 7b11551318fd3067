"""The style sheet, and the queries in the form in which Neo4j Browser imports saved ones."""

from __future__ import annotations

import io
import zipfile
from importlib import resources
from typing import TYPE_CHECKING, Final

from graph_etl.neo4j_store.browser.guide import guide_html
from graph_etl.neo4j_store.query_pack import queries

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FOLDER: Final = "Ringwatch"
"""Folder of the saved queries in Neo4j Browser."""

# Any moment, the same one: the same pack gives the same bytes.
_MOMENT: Final = (2026, 1, 1, 0, 0, 0)


def style_sheet() -> str:
    """The style sheet, for ``:style`` or for dropping onto Neo4j Browser's window."""
    package = resources.files("graph_etl.neo4j_store.browser")
    return package.joinpath("ringwatch.grass").read_text(encoding="utf-8")


def saved_queries() -> bytes:
    """The pack as Neo4j Browser imports saved queries: a zip of ``.cypher`` files in one folder.

    Browser 5 takes such a file when it is dropped onto its window: the folder in the archive becomes a folder
    of favourites, and the first line of a file, a comment, its name there.

    Returns:
        The archive; the same pack gives the same bytes.
    """
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, one in enumerate(queries(), start=1):
            entry = zipfile.ZipInfo(f"{FOLDER}/{number:02}-{one.name}.cypher", _MOMENT)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, one.text)
    return packed.getvalue()


def write_folder(folder: Path, examples: Mapping[str, str] | None = None) -> tuple[Path, ...]:
    """Write queries, guide, style sheet and saved queries into a folder; files of these names are replaced.

    Args:
        folder: Made if it is missing.
        examples: Values that the guide shows, by name of the parameter.

    Returns:
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    contents = {f"{one.name}.cypher": one.text.encode() for one in queries()}
    contents |= {name: content for name, (_, content) in browser_files(examples).items()}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return tuple(folder / name for name in contents)


def browser_files(
    examples: Mapping[str, str] | None = None, address: str | None = None
) -> dict[str, tuple[str, bytes]]:
    """What Neo4j Browser fetches, or takes when it is dropped onto its window.

    Args:
        examples: Values that the guide shows, by name of the parameter.
        address: Where they are served, for the guide.

    Returns:
        Type and content by name of the file.
    """
    return {
        "ringwatch.html": ("text/html; charset=utf-8", guide_html(examples, address).encode()),
        "ringwatch.grass": ("text/plain; charset=utf-8", style_sheet().encode()),
        "ringwatch-queries.zip": ("application/zip", saved_queries()),
    }
