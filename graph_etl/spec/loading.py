"""Read a spec's file; an error names the file, the line, the column and the nearest key."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from graph_etl.errors import SpecError
from graph_etl.spec.base import suggestion
from graph_etl.spec.models import Spec
from graph_etl.spec.positions import Document, Place, read_yaml

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


def load_spec(path: Path | str) -> Spec:
    """Read and check the spec of a data set.

    Args:
        path: Its YAML file.

    Returns:
        The spec.

    Raises:
        SpecError: If the file is missing, is no YAML, or says something that is not allowed.
    """
    path = Path(path)
    if path.is_dir():
        problem = f"is a folder; name the spec's file, for example {path / 'spec.yaml'}"
        raise SpecError(problem, path=path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        msg = "no such file; name the YAML file of a data set's spec"
        raise SpecError(msg, path=path) from None
    except UnicodeDecodeError as error:
        msg = f"not UTF-8 text (byte {error.start}); save it as UTF-8"
        raise SpecError(msg, path=path) from None
    except OSError as error:
        msg = f"cannot be read: {error.strerror}"
        raise SpecError(msg, path=path) from error
    return parse_spec(text, path)


def parse_spec(text: str, path: Path | str = "spec.yaml") -> Spec:
    """Check the text of a spec.

    Args:
        text: YAML.
        path: The file it stands for: shown in errors, and its folder is where relative paths start.

    Returns:
        The spec.

    Raises:
        SpecError: If it is no YAML or says something that is not allowed.
    """
    path = Path(path)
    document = read_yaml(text, path)
    if not isinstance(document.value, dict):
        problem = "expected keys such as `ringwatch: 1`, `name`, `sources` and `events`; see docs/spec.md"
        raise SpecError(problem, path=path, line=1, column=1)
    try:
        spec = Spec.model_validate(document.value)
    except ValidationError as error:
        raise _spec_error(document, error.errors(include_url=False)) from None
    spec._path = path
    return spec


def _spec_error(document: Document, errors: list[ErrorDetails]) -> SpecError:
    found = []
    for error in errors:
        place, of_key = _place(error)
        position = document.position(place, of_key=of_key)
        found.append((position, _problem(error, place)))
    found.sort()
    (line, column), problem = found[0]
    return SpecError(problem, path=document.path, line=line, column=column, more=len(found) - 1)


def _place(error: ErrorDetails) -> tuple[Place, bool]:
    context = error.get("ctx", {})
    place: Place = tuple(step for step in error["loc"] if step != "[key]")
    if "place" in context:
        return tuple(context["place"]), False
    if "key" in context:
        return (*place, context["key"]), True
    if error["type"] == "missing":
        return place[:-1], False
    return place, "[key]" in error["loc"] or error["input"] is None


def _problem(error: ErrorDetails, place: Place) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "unknown_key":
        return str(context["text"]).replace("{place}", spoken(place[:-1]) or "the spec")
    where = spoken(place) or "the spec"
    if "place" in context:
        return str(context["text"])
    if "text" in context:
        return f"{where}: {context['text']}"
    if kind == "missing":
        inside = spoken(tuple(error["loc"][:-1])) or "the spec"
        return f"'{error['loc'][-1]}' is missing in {inside}; add it"
    if kind == "literal_error":
        options = str(context["expected"]).replace("'", "").replace(" or ", ", ").split(", ")
        given = _shown(error["input"])
        return (
            f"{where}: expected {', '.join(options)}, got {given}; {_advice(error['input'], options)}".rstrip(
                "; "
            )
        )
    message = error["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
    message = message[0].lower() + message[1:]
    if kind in ("too_short", "string_too_short"):
        message = "expected at least one"
    if kind in ("model_type", "dict_type", "model_attributes_type"):
        message = "expected keys with values"
    if kind == "tuple_type":
        message = "expected a value or a list of them"
    if kind == "string_type":
        message = "expected text"
    return f"{where}: {message}" + ("" if "got " in message else f", got {_shown(error['input'])}")


def _advice(given: Any, options: list[str]) -> str:
    advice = suggestion(given, options) if isinstance(given, str) else ""
    return advice if advice.startswith("did you mean") else ""


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "keys with values"
    if isinstance(value, list):
        return "a list"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "...'"


def spoken(place: Place) -> str:
    """A place in the way that people write it, as ``accounts[0].identifiers``."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place).lstrip(".")
