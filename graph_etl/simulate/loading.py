"""Read a simulation's YAML file; an error names the file, the line and what was expected."""

import difflib
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from graph_etl.errors import RingwatchError
from graph_etl.simulate.config import SimulationConfig

Location = tuple[int | str, ...]


class SimulationConfigError(RingwatchError):
    """The simulation's file cannot be used; the message says where and what to change."""

    def __init__(self, path: Path, line: int | None, column: int | None, problem: str) -> None:
        place = str(path) if line is None else f"{path}:{line}:{column}"
        super().__init__(f"{place}: {problem}")
        self.path = path
        self.line = line
        self.column = column


def load_simulation(path: Path | str) -> SimulationConfig:
    """Read and validate a simulation's configuration.

    Args:
        path: A YAML file, such as ``examples/game_signups/simulation.yaml``.

    Returns:
        The validated configuration.

    Raises:
        SimulationConfigError: If the file is missing, is no YAML or has a wrong key or value.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        problem = f"cannot be read ({error}); name a simulation's YAML file"
        raise SimulationConfigError(path, None, None, problem) from error
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        document = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line, column = (None, None) if mark is None else (mark.line + 1, mark.column + 1)
        raise SimulationConfigError(path, line, column, f"is no YAML: {error.problem}") from error
    if root is None or not isinstance(document, dict):
        raise SimulationConfigError(path, 1, 1, "expected keys such as `simulation: 1` and `accounts: 5000`")
    try:
        return SimulationConfig.model_validate(document)
    except ValidationError as error:
        # An unknown key is often the misspelt one that is missing, and says more.
        first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
        location = _without_tags(first["loc"], document)
        mark = _mark(root, location, key_itself=first["type"] == "extra_forbidden")
        problem = _problem(first, location)
        raise SimulationConfigError(path, mark.line + 1, mark.column + 1, problem) from error


def _without_tags(location: Location, document: Any) -> Location:
    """Drop the tactic's name that pydantic puts into the location of an attack."""
    kept: list[int | str] = []
    value = document
    for step in location:
        if isinstance(value, dict) and isinstance(step, str) and value.get("tactic") == step:
            continue
        kept.append(step)
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            value = None
    return tuple(kept)


def _mark(root: yaml.Node, location: Location, *, key_itself: bool) -> yaml.Mark:
    """Return the place in the file of the deepest node of ``location`` that exists."""
    node = root
    mark = root.start_mark
    for depth, step in enumerate(location):
        last = depth == len(location) - 1
        if isinstance(node, yaml.MappingNode):
            found = [(key, value) for key, value in node.value if key.value == step]
            if not found:
                break
            key, node = found[0]
            mark = key.start_mark if last and key_itself else node.start_mark
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            mark = node.start_mark
        else:
            break
    return mark


def _known_keys(location: Location) -> list[str]:
    """Return the keys that the part of the configuration at ``location`` allows."""
    schema = SimulationConfig.model_json_schema()
    options = [schema]
    for step in location:
        found: list[dict[str, Any]] = []
        for option in options:
            inner = (
                option.get("items", {}) if isinstance(step, int) else option.get("properties", {}).get(step)
            )
            for candidate in (inner or {}).get("oneOf", [inner or {}]):
                reference = candidate.get("$ref", "")
                found.append(schema["$defs"][reference.rsplit("/", 1)[1]] if reference else candidate)
        options = found
    return sorted({key for option in options for key in option.get("properties", {})})


def _problem(error: ErrorDetails, location: Location) -> str:
    where = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in location).lstrip(".")
    if error["type"] == "extra_forbidden":
        parent = "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in location[:-1]).lstrip(".")
        known = _known_keys(location[:-1])
        near = difflib.get_close_matches(str(location[-1]), known, n=1)
        advice = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(known)}"
        return f"unknown key '{location[-1]}' in {parent or 'the file'}; {advice}"
    if error["type"] == "missing":
        return f"{where} is missing; add it"
    message = error["msg"].removeprefix("Value error, ")
    if not where:
        return message
    given = error["input"]
    return f"{where}: {message}" + ("" if isinstance(given, dict | list) else f", got {given!r}")
