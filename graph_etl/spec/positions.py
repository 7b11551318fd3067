"""YAML read as plain text values, with the line and column of each.

No value is reinterpreted: ``on``, ``no``, ``007`` and ``2024-01-01`` stay the texts that they are, so that
columns and labels can bear such names. Only an empty value, ``null`` and ``~`` mean "nothing".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from graph_etl.errors import SpecError

if TYPE_CHECKING:
    from pathlib import Path

Place = tuple[str | int, ...]

# A spec is a page or two; more than this is an alias bomb or the wrong file.
_MOST_NODES = 50_000
_DEEPEST = 20


@dataclass(slots=True)
class Document:
    """A YAML file as plain values.

    Attributes:
        path: The file, as shown in errors.
        value: Mappings, lists, texts and None.
        keys: Line and column (from 1) of the key at a place.
        values: Line and column of the value at a place.
    """

    path: Path
    value: Any = None
    keys: dict[Place, tuple[int, int]] = field(default_factory=dict)
    values: dict[Place, tuple[int, int]] = field(default_factory=dict)

    def position(self, place: Place, *, of_key: bool = False) -> tuple[int, int]:
        """Where a place stands in the file; for one that is not there, the nearest around it."""
        if of_key and place in self.keys:
            return self.keys[place]
        while place:
            if place in self.values:
                return self.values[place]
            place = place[:-1]
        return self.values.get((), (1, 1))


def read_yaml(text: str, path: Path) -> Document:
    """Read YAML text.

    Args:
        text: The text.
        path: Its file, for errors.

    Returns:
        The values with their positions.

    Raises:
        SpecError: If it is no YAML, has a key twice, or is absurdly large.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (None, None) if mark is None else (mark.line + 1, mark.column + 1)
        problem = f"not valid YAML: {error.problem or error.context}; check indentation, quotes and brackets"
        raise SpecError(problem, path=path, line=line, column=column) from error
    except yaml.YAMLError as error:
        problem = f"not valid YAML: {' '.join(str(error).split())}"
        raise SpecError(problem, path=path) from error
    document = Document(path)
    if root is not None:
        document.value = _Walk(document).value_of(root, ())
    return document


class _Walk:
    def __init__(self, document: Document) -> None:
        self.document = document
        self.n_nodes = 0

    def value_of(self, node: yaml.Node, place: Place) -> Any:
        position = (node.start_mark.line + 1, node.start_mark.column + 1)
        self.n_nodes += 1
        if self.n_nodes > _MOST_NODES or len(place) > _DEEPEST:
            msg = "too large or too deep for a spec"
            raise SpecError(msg, path=self.document.path, line=position[0], column=1)
        self.document.values.setdefault(place, position)
        if isinstance(node, yaml.ScalarNode):
            plain = node.style is None
            return None if plain and node.value in ("", "~", "null", "Null", "NULL") else node.value
        if isinstance(node, yaml.SequenceNode):
            return [self.value_of(item, (*place, at)) for at, item in enumerate(node.value)]
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line, column = key_node.start_mark.line + 1, key_node.start_mark.column + 1
            if not isinstance(key_node, yaml.ScalarNode):
                problem = "expected a plain key"
                raise SpecError(problem, path=self.document.path, line=line, column=column)
            key = str(key_node.value)
            if key in found:
                problem = f"key '{key}' stands here twice; keep one"
                raise SpecError(problem, path=self.document.path, line=line, column=column)
            self.document.keys.setdefault((*place, key), (line, column))
            found[key] = self.value_of(value_node, (*place, key))
        return found
