"""Where the rows of a spec come from."""

from __future__ import annotations

from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from graph_etl.spec.base import Column, Columns, SpecPart, Text, Texts, reject

FORMATS = {
    ".csv": "csv",
    ".csv.gz": "csv",
    ".tsv": "csv",
    ".tsv.gz": "csv",
    ".parquet": "parquet",
    ".jsonl": "jsonl",
    ".jsonl.gz": "jsonl",
    ".ndjson": "jsonl",
    ".ndjson.gz": "jsonl",
    ".npz": "npz",
}
"""Format by the ending of a file's name."""

DATABASE_SCHEMES = ("neo4j", "neo4j+s", "neo4j+ssc", "bolt", "bolt+s", "bolt+ssc")
"""Schemes of the addresses of databases; what starts with one and a colon is no file."""

ENVIRONMENT = "neo4j:"
"""The address that stands for the one in the environment."""

ROW = "row"
"""The column that every source has: the row's number in its file or answer, from 0."""

Format = Literal["csv", "parquet", "jsonl", "npz", "neo4j"]


class Source(SpecPart):
    """Where rows come from.

    Attributes:
        path: Paths or globs, relative to the data's folder; or the address of one Neo4j.
        format: Format of the files; by default that of their endings, ``neo4j`` for an address.
        delimiter: Between the fields of a CSV file; by default a comma, a tab for ``.tsv``.
        nulls: Texts that mean "no value".
        arrays: NPZ only: column, or prefix of columns for a 2-D array, to array.
        sparse: NPZ only: name of a sparse matrix, "" for one that stands alone in its file.
        cypher: Neo4j only: the query whose answer holds the rows.
    """

    path: Columns = Field(min_length=1)
    format: Format | None = None
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    nulls: Texts = ("",)
    arrays: dict[Column, Column] | None = None
    sparse: str | None = None
    cypher: Text | None = Field(default=None, min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _path_alone(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("cypher") is not None and "path" not in data:
            return data | {"path": ENVIRONMENT}
        return {"path": data} if isinstance(data, str | list) else data

    @model_serializer(mode="wrap")
    def _without_absent_query(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Specs without databases keep the hash that they had before there were any."""
        words: dict[str, Any] = handler(self)
        return {key: value for key, value in words.items() if key != "cypher" or value is not None}

    @model_validator(mode="after")
    def _one_format(self) -> Source:
        formats = {self.format_of(path) for path in self.path}
        if None in formats:
            path = next(path for path in self.path if self.format_of(path) is None)
            text = (
                "cannot tell the format of '{path}' from its ending; add format: csv, parquet, jsonl or npz"
            )
            reject(text, key="path", path=path)
        for path in self.path:
            if (_scheme(path) is not None) != (self.format_of(path) == "neo4j"):
                text = "format neo4j needs the address of a database, for example neo4j://localhost:7687"
                reject(text, key="path")
        if len(formats) > 1:
            names = ", ".join(sorted(str(name) for name in formats))
            text = "one source has one format, got {names}; make a source of each"
            reject(text, key="path", names=names)
        only = self.format_name
        if only == "npz" and (self.arrays is None) == (self.sparse is None):
            text = "an npz file needs either arrays (column: array) or sparse (name of a matrix)"
            reject(text, key="path")
        if only != "npz":
            for key in ("arrays", "sparse"):
                if getattr(self, key) is not None:
                    reject("{key} is for npz files only, these are {only}", key=key, only=only)
        if only != "csv" and self.delimiter is not None:
            reject("delimiter is for csv files only, these are {only}", key="delimiter", only=only)
        if only == "neo4j":
            self._check_address()
        elif self.cypher is not None:
            reject("cypher is for a Neo4j only, these files are {only}", key="cypher", only=only)
        return self

    def _check_address(self) -> None:
        if self.cypher is None:
            text = "a Neo4j needs cypher: the query whose answer holds the rows"
            reject(text, key="path")
        if len(self.path) > 1:
            reject("one source is the answer of one Neo4j; make a source of each", key="path")
        parts = urlsplit(self.path[0])
        # The text of the address is not shown: it may hold a password.
        if "@" in parts.netloc:
            text = "the address holds a user or a password; set NEO4J_USERNAME and NEO4J_PASSWORD instead"
            reject(text, key="path")
        if self.path[0] != ENVIRONMENT and (not parts.netloc or "/" in parts.path.strip("/")):
            text = "expected an address such as neo4j://localhost:7687/database, or neo4j: for NEO4J_URI"
            reject(text, key="path")

    def format_of(self, path: str) -> str | None:
        """The format of one of the paths, None if it cannot be told."""
        if self.format is not None:
            return self.format
        if _scheme(path) is not None:
            return "neo4j"
        # A glob may leave the end open: *.csv* finds plain and compressed files.
        name = path.lower().rstrip("*?")
        endings = [ending for ending in FORMATS if name.endswith(ending)]
        return FORMATS[max(endings, key=len)] if endings else None

    @property
    def format_name(self) -> str:
        """The format of all files of the source, or ``neo4j``."""
        return str(self.format_of(self.path[0]))


def _scheme(path: str) -> str | None:
    """The scheme of a database's address; None for the path of a file."""
    scheme, colon, _ = path.partition(":")
    return scheme if colon and scheme.lower() in DATABASE_SCHEMES else None
