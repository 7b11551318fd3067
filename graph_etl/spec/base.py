"""What all parts of a spec share: frozen, no unknown keys, text that YAML does not reinterpret."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, model_validator
from pydantic_core import PydanticCustomError

if TYPE_CHECKING:
    from collections.abc import Iterable

_MS_PER_UNIT = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_DURATION = re.compile(r"(\d{1,6})([smhdw])")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that a typist most probably meant.

    Args:
        word: What was written.
        known: What could have been written.

    Returns:
        The nearest, or None if nothing is near.
    """
    options = {option.lower(): option for option in known}
    found = difflib.get_close_matches(word.lower(), options, n=1, cutoff=0.6)
    return options[found[0]] if found else None


def suggestion(word: str, known: Iterable[str], what: str = "known") -> str:
    """Advice for a word that is not known.

    Args:
        word: What was written.
        known: What could have been written.
        what: What the list of the known words is called.

    Returns:
        ``did you mean 'x'?`` or, if nothing is near, the list of what is known.
    """
    options = list(known)
    near = nearest(word, options)
    if near is not None:
        return f"did you mean '{near}'?"
    return f"{what}: {', '.join(options)}" if options else f"{what}: none"


def duration_ms(text: str) -> int:
    """Read a duration.

    Args:
        text: A whole number and a unit: ``90s``, ``5m``, ``1h``, ``7d``, ``2w``.

    Returns:
        Milliseconds.

    Raises:
        ValueError: If it is no duration.
    """
    found = _DURATION.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None:
        msg = f"expected a duration such as 90s, 5m, 1h or 7d, got {text!r}"
        raise ValueError(msg)
    return int(found[1]) * _MS_PER_UNIT[found[2]]


def reject(template: str, /, **values: Any) -> NoReturn:
    """Refuse a value, from inside a validator.

    Args:
        template: The message, as of :meth:`str.format`.
        **values: What the message mentions; ``key`` names the key at fault, ``place`` the place at fault.

    Raises:
        PydanticCustomError: Always.
    """
    error_type = "unknown_key" if "{{place}}" in template else "spec"
    # pydantic wants a literal so that messages can be catalogued; ours are built from the values.
    raise PydanticCustomError(error_type, "{text}", {"text": template.format(**values), **values})


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


def _filled(value: str) -> str:
    if not value.strip():
        reject("expected text, got nothing")
    return value


def _name(value: str) -> str:
    if _NAME.fullmatch(value) is None:
        reject(
            "expected a name of small letters, digits and _, as email_domain, got '{value}'",
            value=value,
        )
    return value


def _one_or_more(value: Any) -> Any:
    return [value] if isinstance(value, str | int | float) else value


Text = Annotated[str, BeforeValidator(_text)]
"""Text as written; a number or a flag counts as the text that writes it."""

Column = Annotated[str, BeforeValidator(_text), AfterValidator(_filled)]
"""Name of a column."""

Name = Annotated[str, AfterValidator(_name)]
"""Name of a kind, a source or the data set."""

Columns = Annotated[tuple[Column, ...], BeforeValidator(_one_or_more)]
"""One name of a column or several."""

Texts = Annotated[tuple[Text, ...], BeforeValidator(_one_or_more)]
"""One text or several."""

DurationMs = Annotated[
    int, BeforeValidator(lambda value: value if isinstance(value, int) else duration_ms(value))
]
"""A duration, written ``7d``, in milliseconds."""


class SpecPart(BaseModel):
    """A part of a spec: frozen, and an unknown key is an error with the nearest known key."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _only_known_keys(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        known = [field.alias or name for name, field in cls.model_fields.items() if not field.exclude]
        for key in data:
            if key not in known:
                advice = suggestion(str(key), known, "known keys")
                reject("unknown key '{key}' in {{place}}; {advice}", key=str(key), advice=advice)
        return data
