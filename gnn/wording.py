"""Words for kinds, relations and numbers in messages."""

from __future__ import annotations

from typing import Final

# Nobody reads more digits; what is nearer to 0 or 1 is told by the bound.
_DIGITS: Final = 4


def spoken(name: str) -> str:
    """A name of the schema as it is said."""
    return name.replace("_", " ")


def with_article(kind: str) -> str:
    """A kind with its article, as in *an ip*."""
    return f"{'an' if kind[:1].lower() in 'aeiou' else 'a'} {spoken(kind)}"


def how_many(number: int, noun: str) -> str:
    """A number of things, as in *2 accounts*."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def side_in_words(label: str) -> str:
    """One way through a relation, as in *gift sent*, or a kind that is used, as in *device*."""
    if label.startswith("used:"):
        return spoken(label.removeprefix("used:"))
    return f"{spoken(label[:-1])} {'sent' if label.endswith('>') else 'received'}"


def score_in_words(score: float, digits: int = 2) -> str:
    """A score with as many digits as tell it from 0 and 1.

    Args:
        score: In [0, 1].
        digits: At least so many; at most 4.

    Returns:
        Text such as *0.93*, *0.998*, *over 0.9999* or *under 0.0001*.

    Example:
        >>> [score_in_words(score) for score in (0.93, 0.9982, 0.99998, 0.004, 1e-7)]
        ['0.93', '0.998', 'over 0.9999', '0.004', 'under 0.0001']
    """
    for more in range(digits, _DIGITS + 1):
        text = f"{score:.{more}f}"
        if 0.0 < float(text) < 1.0:
            return text
    least = 10.0**-_DIGITS
    return f"under {least:.{_DIGITS}f}" if score < 0.5 else f"over {1.0 - least:.{_DIGITS}f}"


def change_in_words(before: float, after: float) -> str:
    """Two scores, with as many digits as tell them from 0, from 1 and from each other.

    Args:
        before: In [0, 1].
        after: In [0, 1].

    Returns:
        Text such as *0.93 → 0.31*, *over 0.9999 → 0.998* or *still 0.93*.

    Example:
        >>> [change_in_words(0.93, after) for after in (0.31, 0.9302, 0.926)]
        ['0.93 → 0.31', 'still 0.93', '0.930 → 0.926']
    """
    if score_in_words(before, 3) != score_in_words(after, 3):
        for digits in range(2, _DIGITS + 1):
            one, other = score_in_words(before, digits), score_in_words(after, digits)
            if one != other:
                return f"{one} → {other}"
    return f"still {score_in_words(after)}"
