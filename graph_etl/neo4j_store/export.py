"""A snapshot as files for ``neo4j-admin database import``: the way into an empty database for huge graphs."""

from __future__ import annotations

import os
import re
import shutil
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl
import polars.selectors as cs

from graph_etl.neo4j_store.connection import GraphStoreError
from graph_etl.neo4j_store.fields import fields_of
from graph_etl.neo4j_store.naming import HAS_VERDICT
from graph_etl.neo4j_store.schema import FORMAT, STATE, contents_of
from graph_etl.neo4j_store.tables import ROWS_AT_ONCE, GraphTables
from graph_etl.progress import silent
from graph_etl.workspace import fresh_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from graph_etl.snapshot import Snapshot

SCRIPT: Final = "import.sh"
"""The file of an export that holds its command."""

_TIME_FORMAT: Final = "%Y-%m-%dT%H:%M:%S%.3fZ"
_TIME_BYTES: Final = 27  # with quotes and a comma
_NUMBER_BYTES: Final = 24  # the longest float, and a comma
_TYPES: Final = {
    pl.String: "string",
    pl.Int64: "long",
    pl.Float64: "double",
    pl.Boolean: "boolean",
}
"""Type of a property, as the header of an import names it."""

_ROOM: Final = 1.1
"""Room that is asked for on the disk, as a share of what the files are expected to take at most."""


# What Neo4j takes as a name; it stands in a script that somebody runs.
_DATABASE: Final = re.compile(r"[A-Za-z][A-Za-z0-9.-]{2,62}")


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What an export wrote.

    Attributes:
        folder: Where to.
        files: How many.
        n_bytes: How large they are together.
        nodes: How many it holds: accounts, identifiers, entities, verdicts and the state.
        relationships: How many it holds: what was used, interactions, and whose the verdicts are.
        command: What imports them, to be run in ``folder`` on the machine of the stopped server.
        seconds: How long it took.
    """

    folder: Path
    files: int
    n_bytes: int
    nodes: int
    relationships: int
    command: str
    seconds: float


def expected_bytes(snapshot: Snapshot) -> int:
    """How large the files of an export are at most, about.

    Args:
        snapshot: The snapshot.

    Returns:
        Bytes.
    """
    tables = GraphTables(snapshot)
    ids = 2 * (len(str(snapshot.n_nodes)) + 1)
    total = 0
    for ordinal, kind in enumerate(snapshot.kinds):
        n_nodes = int((np.asarray(snapshot.node_kind) == ordinal).sum())
        sample = tables.nodes_of_kind(ordinal)[:: max(1, n_nodes // 1_000)]
        keys = tables.nodes(ordinal, sample)["key"].str.len_bytes().sum() / max(len(sample), 1)
        times = 2 * _TIME_BYTES + len(snapshot.attributes) * _NUMBER_BYTES if ordinal == 0 else 0
        readable = 2 if kind.identifier and kind.public else 1
        total += int(n_nodes * (ids + readable * (keys + 3) + times + len(kind.name) + _NUMBER_BYTES))
    total += sum(
        relation.edges * (ids + 2 * _TIME_BYTES + 4 + _NUMBER_BYTES * (relation.value == "amount"))
        for relation in snapshot.relations
    )
    return total + len(snapshot.verdicts) * (ids + 160)


def export(
    snapshot: Snapshot,
    folder: Path,
    *,
    database: str = "neo4j",
    progress: Callable[[str, int, int], None] | None = None,
) -> ExportReport:
    """Write the files and the command that import a snapshot into an empty database.

    The folder appears under its name when it is whole; an export that is killed leaves none. An imported
    database lacks only constraints and indexes, which a load creates when it finds the database up to date.

    Args:
        snapshot: The snapshot.
        folder: Where to; missing or empty.
        database: Name of the database that the command imports into.
        progress: Told of each step, what is done and of how much.

    Returns:
        What was written.

    Raises:
        GraphStoreError: If the folder holds something, cannot be written, the disk has no room, or no
            database can have the name.
    """
    started = time.monotonic()
    if _DATABASE.fullmatch(database) is None:
        message = f"{database!r} is no name of a database: letters, digits, dots and dashes, 3 to 63 of them"
        raise GraphStoreError(message)
    target = folder.absolute()
    try:
        _make_way(target)
        _check_room(snapshot, target)
        with fresh_folder(target) as partial:
            written = _Export(snapshot, partial, progress or silent)
            written.write(database)
    except OSError as error:
        message = f"{folder}: cannot be written ({error.strerror or error}); name another folder"
        raise GraphStoreError(message) from None
    return ExportReport(
        folder=folder,
        files=sum(1 for _ in target.iterdir()),
        n_bytes=sum(path.stat().st_size for path in target.iterdir()),
        nodes=written.rows["nodes"],
        relationships=written.rows["relationships"],
        command=written.command(database),
        seconds=time.monotonic() - started,
    )


def _make_way(folder: Path) -> None:
    """Refuse a folder that holds something; remove what killed exports left beside it."""
    if folder.exists():
        if not folder.is_dir() or any(folder.iterdir()):
            message = f"{folder}: holds something already; name a new folder, or delete this one"
            raise GraphStoreError(message)
        folder.rmdir()
    start, end = f".{folder.name}.", ".partial"
    for left in folder.parent.iterdir() if folder.parent.is_dir() else ():
        number = left.name.removeprefix(start).removesuffix(end)
        if left.name == f"{start}{number}{end}" and number.isdigit() and not _is_alive(int(number)):
            shutil.rmtree(left)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _check_room(snapshot: Snapshot, folder: Path) -> None:
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free, wanted = shutil.disk_usage(existing).free, int(expected_bytes(snapshot) * _ROOM)
    if free < wanted:
        message = (
            f"{folder}: needs up to {wanted / 1e6 + 1:,.0f} MB, {existing} has {free / 1e6:,.0f} MB free;"
            " name a folder on another disk"
        )
        raise GraphStoreError(message)


@dataclass(slots=True)
class _Export:
    """The writing of one folder."""

    snapshot: Snapshot
    folder: Path
    tell: Callable[[str, int, int], None]
    rows: dict[str, int] = field(default_factory=dict)
    inputs: list[str] = field(default_factory=list)
    multiline: bool = False

    def write(self, database: str) -> None:
        tables = GraphTables(self.snapshot)
        for ordinal, label in enumerate(tables.labels):
            which = tables.nodes_of_kind(ordinal)
            parts = (
                _as_imported(tables.nodes(ordinal, which[first : first + ROWS_AT_ONCE]), key=label.key)
                for first in range(0, len(which), ROWS_AT_ONCE)
            )
            self._table("nodes", label.pattern[1:], f"nodes-{label.label}", parts, len(which))
        for number, table in enumerate(tables.relationship_tables):
            unused = () if table.relation.value == "amount" else ("amount",)
            parts = (_as_imported(part.drop(unused)) for part in tables.relationships(table))
            # The number keeps what accounts used apart: it has one type, whatever its kind.
            name = f"relationships-{number}-{table.type}"
            self._table("relationships", table.type, name, parts, table.relation.edges)
        self._verdicts(tables)
        self._table("nodes", "RingwatchState", "state", [self._state(tables)], 1)
        script = self.folder / SCRIPT
        script.write_text(self._script(database), encoding="utf-8")
        script.chmod(0o755)

    def command(self, database: str) -> str:
        """The command, one argument a line."""
        words = [f"neo4j-admin database import full {database}", "--id-type=integer"]
        if self.multiline:
            words.append("--multiline-fields=true")
        return " \\\n  ".join([*words, *self.inputs])

    def _verdicts(self, tables: GraphTables) -> None:
        # Their ids come after those of the nodes: all ids of an import are one space.
        ids = pl.int_range(pl.len(), dtype=pl.Int64) + self.snapshot.n_nodes
        verdicts = tables.verdicts().with_columns(node=ids).drop("account").rename({"id": "key"})
        accounts = self.snapshot.verdicts["account"].to_numpy()
        given = pl.DataFrame(
            {"start": np.asarray(self.snapshot.account_node)[accounts], "end": verdicts["node"]}
        )
        parts = [_as_imported(verdicts, key="id")] if len(verdicts) else []
        self._table("nodes", "Verdict", "nodes-Verdict", parts, len(verdicts))
        parts = [_as_imported(given)] if len(verdicts) else []
        self._table("relationships", HAS_VERDICT, f"relationships-{HAS_VERDICT}", parts, len(verdicts))

    def _state(self, tables: GraphTables) -> pl.DataFrame:
        """The node that says what the database holds, as a load leaves it."""
        manifest = self.snapshot.manifest
        lists = contents_of(tables)
        return pl.DataFrame(
            {
                ":ID": [self.snapshot.n_nodes + len(self.snapshot.verdicts)],
                "name:string": [STATE],
                "format:long": [FORMAT],
                "data:string": [manifest["name"]],
                "key_fingerprint:string": pl.Series([manifest["key_fingerprint"]], dtype=pl.String),
                "snapshot:string": [self.snapshot.id],
                "journal_seq:long": [self.snapshot.last_seq],
                **{f"{name}:string[]": [";".join(values) or None] for name, values in lists.items()},
            }
        )

    def _table(self, option: str, labels: str, name: str, parts: Iterable[pl.DataFrame], total: int) -> None:
        """Write one table; nothing is written of one without rows."""
        done = 0
        for part in parts:
            with (self.folder / f"{name}.csv").open("ab") as stream:
                if not done:
                    stream.write(",".join(part.columns).encode() + b"\n")
                part.write_csv(
                    stream,
                    include_header=False,
                    datetime_format=_TIME_FORMAT,
                    # All texts are quoted: an import takes a bare carriage return for the end of a row.
                    quote_style="non_numeric" if option == "nodes" else "necessary",
                )
            done += len(part)
            self.multiline |= _has_lines(part)
            self.tell(f"{option} {labels}", done, max(done, total))
        if done:
            self.inputs.append(f"--{option}={labels}={name}.csv")
        self.rows[option] = self.rows.get(option, 0) + done

    def _script(self, database: str) -> str:
        """The command as a program, with what comes before and after it."""
        manifest = self.snapshot.manifest
        command = self.command(database)
        return f"""#!/bin/sh
# Imports snapshot {self.snapshot.id} of {manifest["name"]} into the empty Neo4j database {database}.
#
# Run it on the machine of the Neo4j server, as the user that the server runs as, while the server is stopped.
# A database that was started before has files, even if it is empty: add --overwrite-destination=true, which
# deletes whatever it holds. Then start the server, and from where the workspace is:
#   ringwatch neo4j load      creates constraints and indexes; nothing else is left to do
#   ringwatch neo4j verify    compares what is there with the snapshot
set -eu
cd "$(dirname "$0")"
{command} \\
  "$@"
"""


def _as_imported(table: pl.DataFrame, key: str | None = None) -> pl.DataFrame:
    """A table with the columns that an import knows, named and typed in their headers."""
    columns = []
    for column, id_column in (("node", ":ID"), ("start", ":START_ID"), ("end", ":END_ID")):
        if column in table.columns:
            columns.append(pl.col(column).alias(id_column))
    if key is not None:
        columns.append(pl.col("key").alias(f"{key}:string"))
    for one in fields_of(table.schema):
        if one.is_time:
            columns.append(pl.col(one.column).cast(pl.Datetime("ms")).alias(f"{one.name}:datetime"))
        else:
            columns.append(pl.col(one.column).alias(f"{one.name}:{_TYPES[type(one.type)]}"))
    return table.select(columns)


def _has_lines(table: pl.DataFrame) -> bool:
    """Whether a text of a table has more than one line."""
    texts = table.select(cs.string())
    if not texts.width:
        return False
    return bool(texts.select(pl.any_horizontal(pl.all().str.contains(r"[\r\n]").any())).item())
