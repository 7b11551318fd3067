"""Read a simulation's YAML file; an error names the file, the line and what was expected."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from graph_etl.errors import SpecError
from graph_etl.simulate.config import SimulationConfig
from graph_etl.spec.base import suggestion
from graph_etl.spec.positions import Place, read_yaml


def load_simulation(path: Path | str) -> SimulationConfig:
    """Read and validate a simulation's configuration.

    Args:
        path: A YAML file, such as ``examples/game_signups/simulation.yaml``.

    Returns:
        The validated configuration.

    Raises:
        SpecError: If the file is missing, is no YAML or has a wrong key or value.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        problem = f"cannot be read ({error}); name a simulation's YAML file"
        raise SpecError(problem, path=path) from None
    document = read_yaml(text, path)
    if not isinstance(document.value, dict):
        problem = "expected keys such as `simulation: 1` and `accounts: 5000`"
        raise SpecError(problem, path=path, line=1, column=1)
    try:
        return SimulationConfig.model_validate(document.value)
    except ValidationError as error:
        errors = error.errors(include_url=False)
    # An unknown key is often the misspelt one that is missing, and says more.
    first = min(errors, key=lambda one: one["type"] != "extra_forbidden")
    place = _without_tags(first["loc"], document.value)
    line, column = document.position(place, of_key=first["type"] == "extra_forbidden")
    raise SpecError(_problem(first, place), path=path, line=line, column=column, more=len(errors) - 1)


def _without_tags(location: tuple[int | str, ...], document: Any) -> Place:
    """Drop the tactic's name that pydantic puts into the location of an attack."""
    kept: list[int | str] = []
    value = document
    for step in location:
        if isinstance(value, dict) and value.get("tactic") == step:
            continue
        kept.append(step)
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            value = None
    return tuple(kept)


def _known_keys(place: Place) -> list[str]:
    """Return the keys that the part of the configuration at ``place`` allows."""
    schema = SimulationConfig.model_json_schema()
    parts: list[dict[str, Any]] = [schema]
    for step in place:
        inner = [
            part.get("items", {}) if isinstance(step, int) else part.get("properties", {}).get(step, {})
            for part in parts
        ]
        options = [option for part in inner for option in part.get("oneOf", [part])]
        parts = [schema["$defs"][o["$ref"].rsplit("/", 1)[1]] if "$ref" in o else o for o in options]
    return sorted({key for part in parts for key in part.get("properties", {})})


def _spoken(place: Place) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place).lstrip(".")


def _problem(error: ErrorDetails, place: Place) -> str:
    if error["type"] == "extra_forbidden":
        advice = suggestion(str(place[-1]), _known_keys(place[:-1]), "known keys")
        return f"unknown key '{place[-1]}' in {_spoken(place[:-1]) or 'the file'}; {advice}"
    if error["type"] == "missing":
        return f"{_spoken(place)} is missing; add it"
    message = error["msg"].removeprefix("Value error, ")
    if not place:
        return message
    given = error["input"]
    shown = "" if isinstance(given, dict | list) or "got " in message else f", got {given!r}"
    return f"{_spoken(place)}: {message}{shown}"
