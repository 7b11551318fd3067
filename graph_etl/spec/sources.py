"""Where the rows of a spec come from."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from graph_etl.spec.base import Column, Columns, SpecPart, Texts, reject

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

ROW = "row"
"""The column that every source has: the row's number in its file, from 0."""

Format = Literal["csv", "parquet", "jsonl", "npz"]


class Source(SpecPart):
    """Where rows come from.

    Attributes:
        path: Paths or globs, relative to the data's folder.
        format: Format of the files; by default that of their endings.
        delimiter: Between the fields of a CSV file; by default a comma, a tab for ``.tsv``.
        nulls: Texts that mean "no value".
        arrays: NPZ only: column, or prefix of columns for a 2-D array, to array.
        sparse: NPZ only: name of a sparse matrix, "" for one that stands alone in its file.
    """

    path: Columns = Field(min_length=1)
    format: Format | None = None
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    nulls: Texts = ("",)
    arrays: dict[Column, Column] | None = None
    sparse: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _path_alone(cls, data: Any) -> Any:
        return {"path": data} if isinstance(data, str | list) else data

    @model_validator(mode="after")
    def _one_format(self) -> Source:
        formats = {self.format_of(path) for path in self.path}
        if None in formats:
            path = next(path for path in self.path if self.format_of(path) is None)
            text = (
                "cannot tell the format of '{path}' from its ending; add format: csv, parquet, jsonl or npz"
            )
            reject(text, key="path", path=path)
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
        return self

    def format_of(self, path: str) -> str | None:
        """The format of one of the paths, None if it cannot be told."""
        if self.format is not None:
            return self.format
        # A glob may leave the end open: *.csv* finds plain and compressed files.
        name = path.lower().rstrip("*?")
        endings = [ending for ending in FORMATS if name.endswith(ending)]
        return FORMATS[max(endings, key=len)] if endings else None

    @property
    def format_name(self) -> str:
        """The format of all files of the source."""
        return str(self.format_of(self.path[0]))
