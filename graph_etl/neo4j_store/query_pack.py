"""The investigators' queries: one ``.cypher`` file each, described by the comments at its head.

The head of a file says all that is known of its query; there is no second list::

    // The strongest links of an account                      the title, on the first line
    // About: accounts, 4                                     what it is about, its place among those
    // Use when: you ask whom an account acts with.
    // Param account (text): id of the account                must be given
    // Param limit (whole number, default 100): rows at most
    // Returns: table: one row another account                a graph or a table, and of what
    // Bound: `limit` rows of the first 5,000 links           why it stays fast beside a hub

A line that begins with ``//`` and three blanks goes on with the one before it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Final, Literal

from graph_etl.neo4j_store.connection import GraphStoreError, session
from graph_etl.neo4j_store.naming import literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neo4j import Driver

    from graph_etl.neo4j_store.connection import Target

SUBJECTS: Final = ("platform", "rings", "accounts", "identifiers")
"""What queries are about, in the order in which the guide shows it."""

TIMEOUT_S: Final = 30.0
"""How long the server may work on one query; a query of the pack takes less than two seconds beside a hub."""

_PARAMETER: Final = re.compile(r"(\w+) \((text|whole number|time)(?:, default ([^)]+))?\): (.+)")
_FIELDS: Final = ("About", "Use when", "Param", "Returns", "Bound")


@dataclass(frozen=True, slots=True)
class Parameter:
    """A value that a query asks for.

    Attributes:
        name: Without the dollar sign.
        type: ``text``, ``whole number`` or ``time``.
        required: Whether it must be given.
        default: What it is if not given: text, a number, or None for null.
        words: What it means.
    """

    name: str
    type: str
    required: bool
    default: str | int | None
    words: str

    def value(self, given: str) -> str | int | datetime | None:
        """Read a value from text.

        Args:
            given: The text; ``null`` for nothing where a parameter need not be given.

        Returns:
            The value as the driver takes it; a time without a zone is taken as UTC.

        Raises:
            GraphStoreError: If it is no such value.
        """
        if self.type == "text":
            return given
        if given == "null" and not self.required:
            return None
        try:
            if self.type == "whole number":
                number = int(given)
                if number >= 0:
                    return number
            else:
                moment = datetime.fromisoformat(given)
                return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        except ValueError:
            pass
        wanted = "a whole number from 0" if self.type == "whole number" else "a time such as 2026-03-01T12:00"
        message = f"parameter {self.name} takes {wanted}, not {given!r}"
        raise GraphStoreError(message)


@dataclass(frozen=True, slots=True)
class Query:
    """A query of the pack.

    Attributes:
        name: Name of its file, without the ending.
        title: What it shows.
        about: One of ``SUBJECTS``.
        place: Its place among those about the same.
        use_when: When an analyst uses it.
        parameters: What it asks for.
        shows: ``graph`` or ``table``: how Neo4j Browser should show it.
        returns: What it returns, in words.
        bound: Why it stays fast beside a hub: how much it looks at and returns at most.
        text: The whole file, comments first.
    """

    name: str
    title: str
    about: str
    place: int
    use_when: str
    parameters: tuple[Parameter, ...]
    shows: Literal["graph", "table"]
    returns: str
    bound: str
    text: str

    @property
    def cypher(self) -> str:
        """The query without the comments at its head."""
        lines = self.text.splitlines(keepends=True)
        return "".join(line for line in lines if not line.startswith("//"))

    def values(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Values for all parameters.

        Args:
            given: Values by name; text is read as the parameter's type.

        Returns:
            Values by name, defaults where nothing is given.

        Raises:
            GraphStoreError: If one is missing, unknown or of another type.
        """
        known = {parameter.name for parameter in self.parameters}
        unknown = sorted(given.keys() - known)
        if unknown:
            asked = f"asks for {', '.join(sorted(known))}" if known else "asks for nothing"
            message = f"query {self.name} has no parameter {unknown[0]}; it {asked}"
            raise GraphStoreError(message)
        missing = [one for one in self.parameters if one.required and one.name not in given]
        if missing:
            message = (
                f"query {self.name} needs {missing[0].name}, the {missing[0].words}:"
                f" --param {missing[0].name}=…"
            )
            raise GraphStoreError(message)
        values = {}
        for one in self.parameters:
            value = given.get(one.name, one.default)
            values[one.name] = one.value(value) if isinstance(value, str) else value
        return values

    def parameter_lines(self, given: Mapping[str, Any] | None = None) -> str:
        """The commands that set the parameters in Neo4j Browser.

        Args:
            given: Values by name; a parameter that is not given and has no default is set to empty text.

        Returns:
            One ``:param`` a line, each ended by a semicolon: so Browser takes several at once. The arrow
            matters: with a colon Browser would make a broken number of a whole one.
        """
        return "".join(f"{param_line(one, (given or {}).get(one.name))}\n" for one in self.parameters)


def param_line(parameter: Parameter, value: Any = None) -> str:
    """The command that sets one parameter in Neo4j Browser.

    Args:
        parameter: The parameter.
        value: Its value; None: the default, or empty text if it must be given.

    Returns:
        For example ``:param limit => 100;``.
    """
    shown = ("" if parameter.required else parameter.default) if value is None else value
    if isinstance(shown, str) and value is not None:
        shown = parameter.value(shown)
    text = f"datetime({literal(shown.isoformat())})" if isinstance(shown, datetime) else literal(shown)
    return f":param {parameter.name} => {text};"


@cache
def queries() -> tuple[Query, ...]:
    """The queries of the pack, in the order in which the guide shows them.

    Returns:
        The queries; no two have a name or a title in common.

    Raises:
        GraphStoreError: If the head of a file says too little.
    """
    files = resources.files("graph_etl.neo4j_store").joinpath("queries").iterdir()
    found = [
        _read(file.name.removesuffix(".cypher"), file.read_text(encoding="utf-8"))
        for file in files
        if file.name.endswith(".cypher")
    ]
    return tuple(sorted(found, key=lambda one: (SUBJECTS.index(one.about), one.place, one.name)))


def query(name: str) -> Query:
    """One query of the pack.

    Args:
        name: Its name.

    Returns:
        The query.

    Raises:
        GraphStoreError: If there is no such query.
    """
    for one in queries():
        if one.name == name:
            return one
    message = f"no query {name!r}; there are {', '.join(one.name for one in queries())}"
    raise GraphStoreError(message)


def parameters() -> tuple[Parameter, ...]:
    """All parameters of the pack, those that must be given first; the same name means the same everywhere."""
    found = {one.name: one for query in queries() for one in query.parameters}
    return tuple(sorted(found.values(), key=lambda one: (not one.required, one.name)))


def run_query(
    driver: Driver, target: Target, wanted: Query, given: Mapping[str, Any]
) -> tuple[list[str], list[list[Any]]]:
    """Run a query of the pack; nothing can be written by it.

    Args:
        driver: From :func:`~graph_etl.neo4j_store.connect`.
        target: The database.
        wanted: The query.
        given: Values of its parameters by name.

    Returns:
        Names of the columns, and the rows as the driver gives them.

    Raises:
        GraphStoreError: If the parameters do not fit.
    """
    import neo4j

    values = wanted.values(given)
    with session(driver, target, default_access_mode=neo4j.READ_ACCESS) as opened:
        answer = opened.run(neo4j.Query(wanted.text, timeout=TIMEOUT_S), values)
        columns = list(answer.keys())
        return columns, [list(record.values()) for record in answer]


def _read(name: str, text: str) -> Query:
    head = [line for line in text.splitlines() if line.startswith("//")]
    said: dict[str, list[str]] = {field: [] for field in _FIELDS}
    last: list[str] = []
    for line in head[1:]:
        if line.startswith("//   "):
            if not last:
                raise _unreadable(name, line)
            last[-1] += f" {line[5:].strip()}"
            continue
        field = next((one for one in _FIELDS if line.startswith(f"// {one}")), None)
        if field is None:
            raise _unreadable(name, line)
        last = said[field]
        last.append(line.removeprefix(f"// {field}").removeprefix(":").strip())
    for field in _FIELDS:
        if field != "Param" and len(said[field]) != 1:
            raise _unreadable(name, f"// {field}:")
    about, _, place = said["About"][0].partition(", ")
    shows, _, returns = said["Returns"][0].partition(": ")
    if about not in SUBJECTS or not place.isdecimal() or shows not in ("graph", "table") or not returns:
        raise _unreadable(name, f"// About: {said['About'][0]}, // Returns: {said['Returns'][0]}")
    return Query(
        name=name,
        title=head[0].removeprefix("//").strip(),
        about=about,
        place=int(place),
        use_when=said["Use when"][0],
        parameters=tuple(_parameter(name, one) for one in said["Param"]),
        shows="graph" if shows == "graph" else "table",
        returns=returns,
        bound=said["Bound"][0],
        text=text,
    )


def _parameter(query_name: str, line: str) -> Parameter:
    found = _PARAMETER.fullmatch(line)
    if found is None:
        raise _unreadable(query_name, f"// Param {line}")
    name, type_, default, words = found.groups()
    value: str | int | None = default
    if default == "null":
        value = None
    elif default is not None and type_ == "whole number":
        value = int(default)
    return Parameter(name, type_, default is None, value, words)


def _unreadable(name: str, line: str) -> GraphStoreError:
    return GraphStoreError(f"query {name}: the head of its file cannot be read at {line!r}")
