"""Opening a file by its format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graph_etl.file_formats.csv_lines import open_csv
from graph_etl.file_formats.json_lines import open_jsonl
from graph_etl.file_formats.npz import open_npz
from graph_etl.file_formats.parquet import open_parquet
from graph_etl.file_formats.table import Place

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from graph_etl.file_formats.table import Table
    from graph_etl.spec import Source


def open_table(source_name: str, source: Source, path: Path, needed: Sequence[str] = ()) -> Table:
    """Open a file.

    Args:
        source_name: Name of its source, for errors.
        source: The source.
        path: The file.
        needed: Columns that will be asked for; JSON Lines are searched until all of them are found.

    Returns:
        The opened file.

    Raises:
        DataError: If it is empty, is not of its format or cannot be read.
    """
    place = Place(source_name, path)
    try:
        if path.stat().st_size == 0:
            msg = f"the file is empty; expected {source.format_name}"
            raise place.error(msg)
        match source.format_name:
            case "csv":
                tabbed = ".tsv" in [suffix.lower() for suffix in path.suffixes]
                return open_csv(place, source.delimiter or ("\t" if tabbed else ","))
            case "jsonl":
                return open_jsonl(place, needed)
            case "parquet":
                return open_parquet(place)
            case _:
                return open_npz(place, source)
    except OSError as error:
        msg = f"cannot be read: {error.strerror or error}"
        raise place.error(msg) from error
