"""Words for kinds, relations and numbers in messages."""

from __future__ import annotations


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
