"""Questions to the feature kernel: which account, as of which position, with which edges of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from features.visibility import DAY_MS, HOUR_MS, NO_TIME
from graph_etl.errors import RingwatchError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from features.live import LiveGraph, Source
    from graph_etl import AttributeInfo, LiveEvent, Relation, Snapshot

EVENT: Final = "event"
"""The moment of an account at whatever it does after its sign-up; it is reached by doing, not by age."""
_UNIT_MS = {"s": 1000, "m": 60_000, "h": HOUR_MS, "d": DAY_MS}


class MomentError(RingwatchError):
    """A moment that nobody can read."""

    def __init__(self, moment: str) -> None:
        """Say what a moment may be."""
        super().__init__(
            f"moment must be 'signup', 'retrospective' or a duration such as 90s, 1h or 7d, got '{moment}'"
        )


def moment_ms(moment: str) -> int | None:
    """Age of an account at a moment.

    Args:
        moment: ``signup``, a duration after it (``1h``, ``7d``), ``retrospective`` or ``event``.

    Returns:
        Milliseconds after the first appearance; None for ``retrospective`` (all that is known) and ``event``.

    Raises:
        MomentError: If the text is none of these.
    """
    if moment in ("retrospective", EVENT):
        return None
    if moment == "signup":
        return 0
    if moment[-1:] in _UNIT_MS and moment[:-1].isdigit():
        return int(moment[:-1]) * _UNIT_MS[moment[-1]]
    raise MomentError(moment)


@dataclass(frozen=True, slots=True)
class Queries:
    """A batch of questions, one row each.

    Attributes:
        account: ``int64[Q]``, account index or -1 for one that the snapshot has not seen.
        horizon: ``int64[Q]``, entries with a position below it are visible.
        time_ms: ``int64[Q]``, the end of all time windows; ``NO_TIME`` where nothing is timed.
        first_seen_ms: ``int64[Q]``, first appearance of the account.
        attributes: ``float64[Q, n]``, NaN where unknown.
        ext_ptr: ``int64[Q + 1]``, each question's own edges lie at ``ext_ptr[q]:ext_ptr[q + 1]``.
        ext_relation: ``int32[X]``, index of the edge's relation.
        ext_outgoing: ``bool[X]``, True where the account is its source.
        ext_node: ``int64[X]``, the counterpart's node or -1 if the snapshot has not seen it.
        ext_value: ``float64[X]``.
    """

    account: NDArray[np.int64]
    horizon: NDArray[np.int64]
    time_ms: NDArray[np.int64]
    first_seen_ms: NDArray[np.int64]
    attributes: NDArray[np.float64]
    ext_ptr: NDArray[np.int64]
    ext_relation: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    ext_outgoing: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    ext_node: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    ext_value: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0, np.float64))

    def __len__(self) -> int:
        """Number of questions."""
        return len(self.account)

    @classmethod
    def for_accounts(
        cls,
        snapshot: Snapshot,
        accounts: NDArray[np.integer[Any]] | None = None,
        moment: str = "retrospective",
    ) -> Queries:
        """Ask about accounts of a snapshot at one moment of their life.

        Args:
            snapshot: The snapshot.
            accounts: ``int[Q]`` account indices; all accounts if None.
            moment: ``signup`` sees up to the row that brought the account in, ``7d`` what was known seven
                days after it, ``retrospective`` everything. Accounts without a time see everything.

        Returns:
            The questions, in the order of ``accounts``.

        Raises:
            MomentError: If the moment cannot be read.
        """
        picked = np.arange(snapshot.n_accounts) if accounts is None else np.asarray(accounts)
        first_seen_ms = np.asarray(snapshot.first_seen_ms)[picked].astype(np.int64)
        end_ms = last_time_ms(snapshot)
        horizon = np.full(len(picked), snapshot.end_horizon, dtype=np.int64)
        time_ms = np.full(len(picked), end_ms, dtype=np.int64)
        age_ms = moment_ms(moment)
        if age_ms is not None and snapshot.n_events:
            timed = first_seen_ms != NO_TIME
            asked_ms = np.minimum(first_seen_ms + age_ms, end_ms)
            if age_ms == 0:
                seen = np.asarray(snapshot.first_pos)[picked] + 1
            else:
                seen = np.searchsorted(np.asarray(snapshot.event_known_ms), asked_ms, side="right")
            horizon[timed] = seen[timed]
            time_ms[timed] = asked_ms[timed]
        return cls(
            account=picked.astype(np.int64),
            horizon=horizon,
            time_ms=time_ms,
            first_seen_ms=first_seen_ms,
            attributes=np.asarray(snapshot.attribute_values, dtype=np.float64)[picked].reshape(
                len(picked), len(snapshot.attributes)
            ),
            ext_ptr=np.zeros(len(picked) + 1, dtype=np.int64),
        )

    @classmethod
    def for_event(
        cls,
        snapshot: Snapshot,
        account_id: str,
        *,
        time_ms: int,
        identifiers: Sequence[tuple[str, str]] = (),
        interactions: Sequence[tuple[str, str, str, float]] = (),
        attributes: Mapping[str, Any] | None = None,
    ) -> Queries:
        """Ask about the account behind one event, the event's own edges included.

        Args:
            snapshot: The snapshot; all of it that was known before the event is visible.
            account_id: The account's id; it need not be known.
            time_ms: When the event happened, Unix milliseconds.
            identifiers: Pairs of kind and key, as `graph_etl.identifiers.entity_key` gives it.
            interactions: Tuples of type, counterpart kind (``account`` for an account), key, amount.
            attributes: Values by name; they go before what the snapshot knows.

        Returns:
            One question. Relations that the snapshot does not have are left out.
        """
        found = snapshot.account_index(account_id)
        relations = {relation.name: index for index, relation in enumerate(snapshot.relations)}
        known = np.full(len(snapshot.attributes), np.nan)
        seen_ms = NO_TIME
        if found is not None:
            known = np.array(snapshot.attribute_values[found], dtype=np.float64)
            seen_ms = int(snapshot.first_seen_ms[found])
        return cls._of_one(
            account=found,
            horizon=min(snapshot.horizon_at(time_ms), snapshot.end_horizon),
            time_ms=time_ms,
            seen_ms=seen_ms,
            values=_told(snapshot.attributes, attributes or {}, known),
            edges=_edges(snapshot, relations, identifiers, interactions),
        )

    @classmethod
    def for_events(cls, snapshot: Snapshot, positions: NDArray[np.integer[Any]]) -> Queries:
        """Ask about the accounts behind events of a snapshot, just after each of them.

        Args:
            snapshot: The snapshot.
            positions: ``int[Q]``, positions of events that an account sent, or of rows that brought one in.

        Returns:
            The questions, in the order of ``positions``. Each sees its event and everything before it, at the
            time at which the event happened.

        Raises:
            ValueError: If nobody is behind a position: it brought no account in and no edge starts there.
        """
        asked = np.asarray(positions, dtype=np.int64)
        account = actors(snapshot)[asked]
        nobody = asked[account < 0]
        if len(nobody):
            message = f"no account is behind {len(nobody):,} of the positions, {nobody[0]} the first of them"
            raise ValueError(message)
        time_ms = np.asarray(snapshot.event_time_ms)[asked].astype(np.int64)
        first_seen_ms = np.asarray(snapshot.first_seen_ms)[account].astype(np.int64)
        return cls(
            account=account,
            horizon=asked + 1,
            time_ms=time_ms,
            # A row that is listed late may name an account that has acted before.
            first_seen_ms=np.where(time_ms == NO_TIME, first_seen_ms, np.minimum(first_seen_ms, time_ms)),
            attributes=np.asarray(snapshot.attribute_values, dtype=np.float64)[account].reshape(
                len(asked), len(snapshot.attributes)
            ),
            ext_ptr=np.zeros(len(asked) + 1, dtype=np.int64),
        )

    @classmethod
    def for_live_event(cls, live: LiveGraph, event: LiveEvent) -> Queries:
        """Ask about the account behind an event that comes next, its own edges included.

        Args:
            live: The graph; all that was applied is visible, whenever the event happened.
            event: The event.

        Returns:
            One question. Relations that the graph does not have are left out.
        """
        found = live.account_index(event.account)
        known = np.full(len(live.attributes), np.nan)
        seen_ms = NO_TIME
        if found is not None:
            known = np.array(live.attribute_values(found), dtype=np.float64)
            seen_ms = live.first_seen_ms(found)
        return cls._of_one(
            account=found,
            horizon=live.end_horizon,
            time_ms=event.time_ms,
            seen_ms=seen_ms,
            values=_told(live.attributes, event.attributes, known),
            edges=_edges(live, live.relation_numbers, event.identifiers, event.interactions),
        )

    @classmethod
    def _of_one(
        cls,
        *,
        account: int | None,
        horizon: int,
        time_ms: int,
        seen_ms: int,
        values: NDArray[np.float64],
        edges: Sequence[tuple[int, int, float]],
    ) -> Queries:
        return cls(
            account=np.array([-1 if account is None else account], dtype=np.int64),
            horizon=np.array([horizon], dtype=np.int64),
            time_ms=np.array([time_ms], dtype=np.int64),
            first_seen_ms=np.array([time_ms if seen_ms == NO_TIME else min(seen_ms, time_ms)], np.int64),
            attributes=values.reshape(1, -1),
            ext_ptr=np.array([0, len(edges)], dtype=np.int64),
            ext_relation=np.array([edge[0] for edge in edges], dtype=np.int32),
            ext_outgoing=np.ones(len(edges), dtype=np.bool_),
            ext_node=np.array([edge[1] for edge in edges], dtype=np.int64),
            ext_value=np.array([edge[2] for edge in edges], dtype=np.float64),
        )

    def take(self, rows: NDArray[np.integer[Any]]) -> Queries:
        """Some of the questions, in the order given.

        Args:
            rows: ``int[R]`` row numbers.

        Returns:
            The chosen questions with their edges.
        """
        chosen = np.asarray(rows, dtype=np.int64)
        lengths = self.ext_ptr[chosen + 1] - self.ext_ptr[chosen]
        pointers = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        edges = (
            np.concatenate([np.arange(self.ext_ptr[q], self.ext_ptr[q + 1]) for q in chosen])
            if lengths.sum()
            else np.zeros(0, dtype=np.int64)
        ).astype(np.int64)
        return Queries(
            account=self.account[chosen],
            horizon=self.horizon[chosen],
            time_ms=self.time_ms[chosen],
            first_seen_ms=self.first_seen_ms[chosen],
            attributes=self.attributes[chosen],
            ext_ptr=pointers,
            ext_relation=self.ext_relation[edges],
            ext_outgoing=self.ext_outgoing[edges],
            ext_node=self.ext_node[edges],
            ext_value=self.ext_value[edges],
        )

    @classmethod
    def join(cls, parts: Sequence[Queries]) -> Queries:
        """Put batches one after the other.

        Args:
            parts: At least one batch.

        Returns:
            All their questions.
        """
        lengths = np.concatenate([np.diff(part.ext_ptr) for part in parts])
        return cls(
            **{
                name: np.concatenate([getattr(part, name) for part in parts])
                for name in cls.__slots__
                if name != "ext_ptr"
            },
            ext_ptr=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        )


def actors(snapshot: Snapshot) -> NDArray[np.int64]:
    """Who is behind each row of a snapshot.

    Args:
        snapshot: The snapshot.

    Returns:
        ``int64[M]``: the account that an edge of the row starts from, else the one that the row brought in;
        -1 where there is neither.
    """
    found = np.full(snapshot.n_events, -1, dtype=np.int64)
    first_pos = np.asarray(snapshot.first_pos)
    brought = first_pos < snapshot.n_events
    found[first_pos[brought]] = np.flatnonzero(brought)
    for relation in snapshot.relations:
        out = relation.out
        account = np.repeat(np.asarray(snapshot.node_account, dtype=np.int64), np.diff(out.indptr))
        sent = account >= 0
        found[np.asarray(out.pos)[sent]] = account[sent]
    return found


def last_time_ms(snapshot: Snapshot) -> int:
    """The last moment that a snapshot knows of.

    Args:
        snapshot: The snapshot.

    Returns:
        Unix milliseconds of the last event or first appearance; ``NO_TIME`` where nothing is timed.
    """
    latest = NO_TIME
    for values in (snapshot.event_known_ms, snapshot.first_seen_ms):
        if len(values):
            latest = max(latest, int(np.asarray(values).max()))
    return latest


def _edges(
    source: Source,
    relations: Mapping[str, int],
    identifiers: Sequence[tuple[str, str]],
    interactions: Sequence[tuple[str, str, str, float]],
) -> list[tuple[int, int, float]]:
    """Relation, counterpart's node (-1 if nobody has seen it) and value of each own edge."""
    edges: list[tuple[int, int, float]] = []
    for relation, key in ordered_uses(relations, identifiers):
        kind = source.relations[relation].name.removeprefix("used:")
        edges.append((relation, _node(source, kind, key), 1.0))
    for name, kind, key, amount in interactions:
        if name in relations:
            relation = relations[name]
            edges.append((relation, _node(source, kind, key), stated(source.relations[relation], amount)))
    return edges


def stated(relation: Relation, amount: float) -> float:
    """What an interaction adds: where edges only stand for themselves, an amount says nothing.

    Args:
        relation: Its relation.
        amount: As it was told.

    Returns:
        The value of the edge.
    """
    return 1.0 if relation.value == "one" else float(amount)


def ordered_uses(
    relations: Mapping[str, int], identifiers: Sequence[tuple[str, str]]
) -> list[tuple[int, str]]:
    """Uses of one event in the order in which the snapshot keeps them: by kind, then by key.

    Args:
        relations: Number of each relation by its name.
        identifiers: Kind and key.

    Returns:
        Relation and key of those that have a relation.
    """
    found = ((relations.get(f"used:{kind}", -1), key) for kind, key in identifiers)
    return sorted(use for use in found if use[0] >= 0)


def _node(source: Source, kind: str, key: str) -> int:
    found = source.node_index(kind, key)
    return -1 if found is None else int(found)


def _told(
    attributes: Sequence[AttributeInfo], told: Mapping[str, Any], known: NDArray[np.float64]
) -> NDArray[np.float64]:
    """What is known of an account, overwritten by what an event tells of it."""
    if told:
        for index, attribute in enumerate(attributes):
            value = told.get(attribute.name)
            if value is not None:
                known[index] = attribute_value(attribute, value)
    return known


def attribute_value(attribute: AttributeInfo, value: Any) -> float:
    """An attribute as the features take it.

    Args:
        attribute: Its name, type and categories.
        value: As it was told.

    Returns:
        A number, the index of a category, 0 or 1 for a flag; NaN if it cannot be read.
    """
    if attribute.type == "category":
        text = str(value)
        return float(attribute.categories.index(text)) if text in attribute.categories else float("nan")
    if attribute.type == "flag":
        return float(str(value).strip().lower() in {"1", "true", "yes", "t", "y"})
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")
