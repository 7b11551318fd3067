"""What things are called in Neo4j: labels, relationship types and keys; no database is needed to know it.

=====================  =====================================================  =================
node                   labels                                                 key
=====================  =====================================================  =================
account                ``Account``                                            ``id``
identifier             the kind in capitals (``Device``), ``Identifier``      ``hash``
other entity           the kind in capitals (``Wallet``), ``Entity``          ``key``
=====================  =====================================================  =================

What accounts used is ``USED``; each type of interaction has a relationship type of its own.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from graph_etl.spec.models import ACCOUNT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graph_etl.snapshot import KindInfo, Relation, Snapshot

USED: Final = "USED"
HAS_VERDICT: Final = "HAS_VERDICT"
RESERVED_LABELS: Final = frozenset(
    {
        "Account",
        "Identifier",
        "Entity",
        "Ring",
        "RingStaged",
        "Verdict",
        "RingwatchState",
        "RingwatchCheckpoint",
    }
)
RESERVED_TYPES: Final = frozenset({USED, HAS_VERDICT, "MEMBER_OF", "LINKED_TO", "SUCCEEDED_BY", "NOT_LINKED"})
_USED_PREFIX: Final = "used:"


class NodeLabel(NamedTuple):
    """How nodes of one kind are labelled.

    Attributes:
        kind: Name of the kind in the spec.
        label: The label of the kind alone, which holds the uniqueness constraint.
        also: The label that it shares with other kinds; None for accounts.
        key: The property that names a node of this label.
        public: Whether keys are values that may be read.
    """

    kind: str
    label: str
    also: str | None
    key: str
    public: bool

    @property
    def pattern(self) -> str:
        """Both labels, as they stand in a pattern: ``:Device:Identifier``."""
        return f":{self.label}" + ("" if self.also is None else f":{self.also}")


def node_labels(kinds: Sequence[KindInfo]) -> tuple[NodeLabel, ...]:
    """Label the kinds of a snapshot.

    Args:
        kinds: The kinds, accounts first.

    Returns:
        One label a kind, in the same order, no two alike.
    """
    taken = {label.lower() for label in RESERVED_LABELS}
    found = []
    for kind in kinds:
        if kind.name == ACCOUNT:
            found.append(NodeLabel(ACCOUNT, "Account", None, "id", True))
            continue
        words = [word for word in re.split(r"[^0-9A-Za-z]+", kind.name) if word]
        label = "".join(word[:1].upper() + word[1:] for word in words)
        label = _free(label if label[:1].isalpha() else f"Kind{label}", taken, "")
        also, key = ("Identifier", "hash") if kind.identifier else ("Entity", "key")
        found.append(NodeLabel(kind.name, label, also, key, kind.public))
    return tuple(found)


def relationship_types(relations: Sequence[Relation]) -> dict[str, str]:
    """Name the relationship types of a snapshot.

    Args:
        relations: Its relations.

    Returns:
        Type by name of the relation: ``USED`` for what accounts used, else the type of the interaction in
        capitals, no two alike.
    """
    taken = {kind.lower() for kind in RESERVED_TYPES}
    found = {}
    for relation in relations:
        if relation.used:
            found[relation.name] = USED
            continue
        name = re.sub(r"[^0-9A-Z]+", "_", relation.name.upper()).strip("_")
        found[relation.name] = _free(name if name[:1].isalpha() else f"TYPE_{name}", taken, "_")
    return found


def _free(name: str, taken: set[str], joint: str) -> str:
    # Names of constraints know no capitals, so two that differ in nothing else are alike.
    free, number = name, 2
    while free.lower() in taken:
        free, number = f"{name}{joint}{number}", number + 1
    taken.add(free.lower())
    return free


def used_kind(relation: Relation) -> str | None:
    """The kind that a relation says was used; None for interactions."""
    return relation.name.removeprefix(_USED_PREFIX) if relation.used else None


def labels_of(snapshot: Snapshot) -> tuple[NodeLabel, ...]:
    """The labels of a snapshot's kinds; see :func:`node_labels`."""
    return node_labels(snapshot.kinds)


def types_of(snapshot: Snapshot) -> dict[str, str]:
    """The relationship types of a snapshot's relations; see :func:`relationship_types`."""
    return relationship_types(snapshot.relations)


def attribute_properties(snapshot: Snapshot) -> dict[str, str]:
    """The properties of an account that hold the attributes of a snapshot.

    Args:
        snapshot: The snapshot.

    Returns:
        Property by attribute, ``attr_`` before it; no two alike, none that Ringwatch sets itself.
    """
    taken: set[str] = set()
    return {
        attribute.name: _free(f"attr_{re.sub(r'[^0-9A-Za-z]+', '_', attribute.name)}", taken, "_")
        for attribute in snapshot.attributes
    }


def literal(value: str | int | float | bool | None) -> str:
    """A value as Cypher text, for queries that are pasted into Neo4j Browser.

    Args:
        value: Text, number, truth or nothing.

    Returns:
        Its literal; text is quoted and escaped, so that it cannot end the query.
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
    # Neo4j reads \uXXXX anywhere in a query before it parses it; a backslash that was doubled stays doubled.
    return f"'{escaped}'"
