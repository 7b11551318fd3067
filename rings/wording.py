"""Plain English for counts, times and kinds: singular and plural, units, names of things."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_UNITS: Final = ((1000, "second"), (60_000, "minute"), (3_600_000, "hour"), (86_400_000, "day"))
# A unit is used up to this many of it: 119 minutes, then 2 hours.
_MOST: Final = {"second": 119, "minute": 119, "hour": 47}
_SMALL: Final = ("no", "one", "two", "three", "four", "five")
_CAPITALS: Final = {"ip": "IP", "id": "ID", "imei": "IMEI", "iban": "IBAN", "sms": "SMS", "url": "URL"}
_SHOWN: Final = 8


# Kinds are few, and their names stand in every sentence.
@lru_cache(maxsize=1024)
def noun(kind: str) -> str:
    """A kind's name as it stands in a sentence.

    Args:
        kind: The name in the spec.

    Returns:
        Underscores as spaces, usual abbreviations in capitals.

    Example:
        >>> noun("ip"), noun("email_domain")
        ('IP', 'email domain')
    """
    return " ".join(_CAPITALS.get(word, word) for word in kind.replace("_", " ").split(" "))


@lru_cache(maxsize=1024)
def plural(word: str) -> str:
    """The plural of a noun.

    Args:
        word: In the singular.

    Returns:
        In the plural.

    Example:
        >>> plural("counterparty"), plural("address"), plural("device"), plural("IP")
        ('counterparties', 'addresses', 'devices', 'IPs')
    """
    if word.endswith("y") and word[-2:-1] not in "aeiou":
        return word[:-1] + "ies"
    if word.endswith(("s", "x", "ch", "sh")):
        return word + "es"
    return word + "s"


def number(count: int) -> str:
    """A number with its thousands apart.

    Args:
        count: The number.

    Returns:
        Its text.
    """
    return f"{count:,}"


def counted(count: int, kind: str) -> str:
    """A number of things.

    Args:
        count: How many.
        kind: Their kind, as in the spec.

    Returns:
        The number with the noun in the right number.

    Example:
        >>> counted(1, "device"), counted(1200, "account")
        ('1 device', '1,200 accounts')
    """
    return f"{number(count)} {noun(kind) if count == 1 else plural(noun(kind))}"


def small(count: int) -> str:
    """A small number as a word.

    Args:
        count: The number.

    Returns:
        A word up to five, digits above.
    """
    return _SMALL[count] if 0 <= count < len(_SMALL) else number(count)


def span(duration_ms: int) -> tuple[int, str]:
    """A duration in its natural unit, rounded up so that "within" stays true.

    Args:
        duration_ms: Milliseconds.

    Returns:
        How many of which unit, the unit in the right number.

    Example:
        >>> span(41 * 60_000), span(10_000_000), span(0)
        ((41, 'minutes'), (3, 'hours'), (1, 'second'))
    """
    for unit_ms, name in _UNITS:
        amount = max(1, math.ceil(duration_ms / unit_ms))
        if amount <= _MOST.get(name, amount):
            return amount, name if amount == 1 else name + "s"
    raise AssertionError


def article(word: str) -> str:
    """The word with its indefinite article.

    Args:
        word: A noun.

    Returns:
        With ``a`` or ``an`` before it.
    """
    vowel = word[:1] in "aeio" or word.startswith(("IP", "IM", "IB", "ID", "SM"))
    return f"{'an' if vowel else 'a'} {word}"


def shown_key(key: str, *, public: bool) -> str:
    """A key as people see it.

    Args:
        key: The key of a node.
        public: Whether the key is the value itself rather than its hash.

    Returns:
        A public key as it is, a hashed one shortened.
    """
    return key if public or len(key) <= _SHOWN else f"{key[:_SHOWN]}…"


def listed(words: Sequence[str]) -> str:
    """Words as a list in a sentence.

    Args:
        words: At least one.

    Returns:
        With commas and ``and``.
    """
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
