"""What a training may be told to do otherwise, as a file: which trees, which families of inputs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, cast

import yaml

from gnn.inputs import input_specs
from gnn.trees import Model, check_model
from graph_etl.errors import RingwatchError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from features import Source

STAGES: Final = ("contact", "graph_sage")
"""What can be left out beside families of inputs."""


class ChoicesError(RingwatchError):
    """A file of choices that cannot be read, or that names what is not there."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What `gnn.train` takes.

    Attributes:
        model: Which trees.
        without: Families of inputs, and stages, that are left out, sorted.
    """

    model: Model = "lightgbm"
    without: tuple[str, ...] = ()

    @classmethod
    def read(cls, file: Path, source: Source) -> Choices:
        """Read them from YAML.

        Args:
            file: With ``model`` and ``without``, each of them as it is by default if it is not there.
            source: Gives the families that there are.

        Returns:
            The choices.

        Raises:
            ChoicesError: If the file is not there, is no mapping, or names what is not there.
            TreesError: If there is no such model, or its library is not installed.
        """
        try:
            told = yaml.safe_load(file.read_text()) or {}
        except OSError as error:
            message = f"{file}: cannot be read ({error.strerror}); `ringwatch ray tune` writes one"
            raise ChoicesError(message) from None
        except yaml.YAMLError as error:
            message = f"{file}: no YAML ({' '.join(str(error).split())[:120]})"
            raise ChoicesError(message) from None
        return cls._of(told, families(source), str(file))

    @classmethod
    def _of(cls, told: Any, known: tuple[str, ...], where: str) -> Choices:
        if not isinstance(told, dict) or not told.keys() <= {"model", "without"}:
            message = f"{where}: takes `model` and `without`, got {sorted(map(str, told))}"
            raise ChoicesError(message)
        without = told.get("without") or []
        if not isinstance(without, list):
            message = f"{where}: `without` is a list of families, got {without!r}"
            raise ChoicesError(message)
        unknown = sorted({str(one) for one in without} - {*known, *STAGES})
        if unknown:
            message = (
                f"{where}: no family {', '.join(unknown)}; there are {', '.join(known)},"
                f" and the stages {', '.join(STAGES)}"
            )
            raise ChoicesError(message)
        model = str(told.get("model", "lightgbm"))
        check_model(model)
        return cls(cast("Model", model), tuple(sorted(str(one) for one in without)))

    def write(self, file: Path, note: str) -> None:
        """Write them as YAML.

        Args:
            file: Where to.
            note: A comment at the top, one line.
        """
        told: Mapping[str, Any] = asdict(self) | {"without": list(self.without)}
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"# {note}\n{yaml.safe_dump(dict(told), sort_keys=True)}")


def families(source: Source) -> tuple[str, ...]:
    """Families of inputs that a snapshot has, in order.

    Args:
        source: Gives the schema.

    Returns:
        Their names.
    """
    return tuple(dict.fromkeys(spec.family for spec in input_specs(source, with_contact=False)))
