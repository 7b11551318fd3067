"""What rows of the journal change in a graph that holds a snapshot and the rows before them.

What a build makes of the rows is made here too, for the accounts that are known now. Three things wait for
the next load: hubs, types of interactions that the snapshot does not have, and events that a file tells of as
well.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import polars as pl

from graph_etl.journal import LiveErasure, LiveEvent, LiveVerdict
from graph_etl.journal_staging import events_of
from graph_etl.neo4j_store import live_statements as cypher
from graph_etl.neo4j_store.naming import USED, attribute_properties, labels_of, types_of
from graph_etl.neo4j_store.tables import named_verdicts
from graph_etl.nodes import ACCOUNT
from graph_etl.plan import plan_of
from graph_etl.snapshot import NO_TIME, node_hashes
from graph_etl.snapshot_writer import VERDICT_SCHEMA
from graph_etl.spec import JOURNAL

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from graph_etl.journal import JournalReader, JournalRow
    from graph_etl.journal_staging import JournalEvent
    from graph_etl.snapshot import Relation, Snapshot

    Known = Callable[[Collection[str]], set[str]]
    """Tells which of some accounts are in the database."""

_ROWS_AT_ONCE: Final = 10_000


class Statement(NamedTuple):
    """Something to run in the transaction.

    Attributes:
        cypher: The query.
        rows: Its parameter ``rows``; other parameters in ``also``.
        also: Further parameters.
    """

    cypher: str
    rows: list[Any]
    also: dict[str, Any]


@dataclass(slots=True)
class _AccountChange:
    came_ms: int | None
    last_ms: int | None
    seq: int
    brought_ms: int | None = None
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class _PairChange:
    first_ms: int | None
    last_ms: int | None
    count: int = 0
    amounts: list[float] = field(default_factory=list)
    seq: int = 0


@dataclass(slots=True)
class _Changes:
    accounts: dict[str, _AccountChange] = field(default_factory=dict)
    nodes: dict[int, dict[str, int]] = field(default_factory=dict)
    touches: dict[int, dict[tuple[str, str], int]] = field(default_factory=dict)
    pairs: dict[tuple[str, int, int], dict[tuple[str, str], _PairChange]] = field(default_factory=dict)


class LiveChanges:
    """Turns rows of the journal into statements, in order.

    It remembers which accounts rows of sources of accounts brought in since the snapshot, and the verdicts
    since then: a few hundred bytes for each.

    Args:
        snapshot: The snapshot below.
        tombstone: What the journal puts in the place of an account that was forgotten; None: its key.
    """

    def __init__(self, snapshot: Snapshot, tombstone: Callable[[str], str] | None = None) -> None:
        self._snapshot = snapshot
        self._plan = plan_of(snapshot.spec)
        self._labels = labels_of(snapshot)
        self._relations: dict[str, Relation] = {relation.name: relation for relation in snapshot.relations}
        self._types = types_of(snapshot)
        of_files = [mapping for mapping in self._plan.events if mapping.source != JOURNAL]
        listing = {mapping.type for mapping in of_files if mapping.lists_accounts}
        constants = {mapping.type for mapping in of_files if isinstance(mapping.type, str)}
        # Types that come from columns may be any that no mapping names.
        lists_others = any(not isinstance(one, str) for one in listing)
        spec = snapshot.spec
        self._adds_unknown = spec.unknown_accounts == "add" or not spec.accounts
        self._listing_types = {
            at
            for at, name in enumerate(snapshot.event_types)
            if name in listing or (lists_others and name not in constants)
        }
        self._properties = attribute_properties(snapshot)
        self._flags = {attribute.name for attribute in snapshot.attributes if attribute.type == "flag"}
        self._tombstone = tombstone
        self._listed: set[str] = set()
        self._verdicts: dict[str, list[tuple[Any, ...]]] = {}

    @property
    def types(self) -> set[str]:
        """Types of relationships that events make."""
        return set(self._types.values())

    def remember(self, journal: JournalReader, after_seq: int, until_seq: int) -> None:
        """Take in rows that the database holds already.

        Args:
            journal: The journal.
            after_seq: Last row that the snapshot holds.
            until_seq: Last row that the database holds.
        """
        while after_seq < until_seq:
            rows = list(journal.rows(after_seq, min(_ROWS_AT_ONCE, until_seq - after_seq)))
            if not rows:
                return
            self._listed.update(event.src[1] for event in events_of(self._plan, rows) if event.lists_account)
            self._remember_verdicts(rows)
            after_seq = rows[-1].seq

    def _remember_verdicts(self, rows: Iterable[JournalRow]) -> set[str]:
        found = set()
        for row in rows:
            if isinstance(row.content, LiveVerdict):
                said = row.content
                label = -1 if said.label is None else said.label
                # As live scoring saw it: known when it was received.
                told = (label, row.received_ms, said.reason, said.source, said.abuse_type, label < 0)
                self._verdicts.setdefault(said.account, []).append(told)
                found.add(said.account)
        return found

    def take(self, rows: Sequence[JournalRow], known: Known) -> list[Statement]:
        """What rows without erasures change.

        Args:
            rows: The rows next due.
            known: Tells which of some accounts are in the database.

        Returns:
            What to run, in order, in one transaction.
        """
        events = events_of(self._plan, [row for row in rows if isinstance(row.content, LiveEvent)])
        judged = self._remember_verdicts(rows)
        ends = {end for event in events for end in (event.src, event.dst) if end is not None}
        named = {key for kind, key in ends if kind == ACCOUNT}
        there = known(named | judged)
        changes = self._changes(events, there)
        # A verdict on an account that nobody knew counts from when the account appears.
        appeared = changes.accounts.keys() - there
        judged = {one for one in judged if one in there or one in changes.accounts}
        judged |= {one for one in appeared if one in self._verdicts}
        return [*self._written(changes), *self._written_verdicts(sorted(judged), rows[-1].seq)]

    def forget(
        self, rows: Sequence[JournalRow], known: Known, marked: Callable[[], list[str]]
    ) -> list[Statement]:
        """What erasures change.

        Args:
            rows: Rows that are all erasures.
            known: Tells which of some accounts are in the database.
            marked: Accounts in the database that the journal brought or changed.

        Returns:
            What to run, in order, in one transaction.
        """
        asked = {row.content.account for row in rows if isinstance(row.content, LiveErasure)}
        gone = known(asked)
        if self._tombstone is not None:
            keys = self._snapshot.account_ids
            ids = (key for at in range(0, len(keys), _ROWS_AT_ONCE) for key in keys[at : at + _ROWS_AT_ONCE])
            gone |= {one for one in (*ids, *marked()) if self._tombstone(one) in asked}
        for account in gone:
            self._listed.discard(account)
            self._verdicts.pop(account, None)
        seq = {"seq": rows[-1].seq}
        return [Statement(query, sorted(gone), seq) for query in cypher.ERASE] if gone else []

    def _changes(self, events: Sequence[JournalEvent], there: set[str]) -> _Changes:
        changes = _Changes()
        declared = there | {event.src[1] for event in events if event.lists_account}
        for event in events:
            relation = None if event.dst is None else self._relations.get(event.type)
            dst = None if relation is None else event.dst
            accounts = [key for kind, key in (event.src, dst or event.src) if kind == ACCOUNT]
            if not self._adds_unknown and not declared.issuperset(accounts):
                continue
            time_ms = None if event.time_ms == NO_TIME else event.time_ms
            for account in accounts:
                change = changes.accounts.setdefault(account, _AccountChange(time_ms, time_ms, event.seq))
                change.last_ms = _later(change.last_ms, time_ms)
                change.seq = event.seq
            if event.lists_account:
                self._bring_in(changes.accounts[event.src[1]], event, time_ms)
            for used in event.used:
                self._pair(changes, USED, event, event.src, used, time_ms)
            if relation is not None and dst is not None:
                ends = self._ordered(relation, event.src, dst)
                self._pair(changes, self._types[event.type], event, *ends, time_ms, relation.value)
        return changes

    def _bring_in(self, change: _AccountChange, event: JournalEvent, time_ms: int | None) -> None:
        """The first row of a source of accounts says when an account came and what it is."""
        account = event.src[1]
        if account in self._listed or self._was_listed(account):
            return
        self._listed.add(account)
        change.brought_ms = time_ms
        change.attributes = {
            self._properties[name]: bool(value) if name in self._flags else value
            for name, value in event.attributes.items()
        }

    def _was_listed(self, account: str) -> bool:
        snapshot = self._snapshot
        index = snapshot.account_index(account)
        if index is None:
            return False
        first = int(snapshot.first_pos[index])
        return first < snapshot.n_events and int(snapshot.event_type[first]) in self._listing_types

    def _ordered(
        self, relation: Relation, src: tuple[int, str], dst: tuple[int, str]
    ) -> tuple[tuple[int, str], tuple[int, str]]:
        """Where the ends do not differ in meaning, the one with the smaller stable name comes first."""
        if relation.directed:
            return src, dst
        names = [node_hashes(self._plan.kinds[kind].name, [key])[0, 0] for kind, key in (src, dst)]
        return (src, dst) if names[0] <= names[1] else (dst, src)

    def _pair(
        self,
        changes: _Changes,
        type_: str,
        event: JournalEvent,
        start: tuple[int, str],
        end: tuple[int, str],
        time_ms: int | None,
        value: str = "one",
    ) -> None:
        pairs = changes.pairs.setdefault((type_, start[0], end[0]), {})
        change = pairs.setdefault((start[1], end[1]), _PairChange(time_ms, time_ms))
        change.first_ms = _earlier(change.first_ms, time_ms)
        change.last_ms = _later(change.last_ms, time_ms)
        change.count += int(event.value) if value == "count" else 1
        if value == "amount":
            change.amounts.append(event.value)
        change.seq = event.seq
        for (kind, key), (other, account) in ((start, end), (end, start)):
            if kind != ACCOUNT:
                changes.nodes.setdefault(kind, {})[key] = event.seq
                if other == ACCOUNT:
                    changes.touches.setdefault(kind, {})[account, key] = event.seq

    def _written(self, changes: _Changes) -> list[Statement]:
        accounts = [
            [key, one.came_ms, one.last_ms, one.brought_ms, one.attributes, one.seq]
            for key, one in changes.accounts.items()
        ]
        found = [Statement(cypher.SET_ACCOUNTS, accounts, {})] if accounts else []
        for kind, nodes in changes.nodes.items():
            label, rows = self._labels[kind], [[key, seq] for key, seq in nodes.items()]
            found.append(Statement(cypher.set_nodes(label), rows, {"kind": label.kind}))
        for kind, touches in changes.touches.items():
            rows = [[account, key, seq] for (account, key), seq in touches.items()]
            found.append(Statement(cypher.count_accounts(self._labels[kind]), rows, {}))
        for (type_, start, end), pairs in changes.pairs.items():
            amounts = any(one.amounts for one in pairs.values())
            rows = [
                [*keys, one.first_ms, one.last_ms, one.count, one.amounts, one.seq]
                for keys, one in pairs.items()
            ]
            ends = (self._labels[start], self._labels[end])
            found.append(Statement(cypher.set_relationships(type_, *ends, amounts=amounts), rows, {}))
        return found

    def _written_verdicts(self, accounts: Sequence[str], seq: int) -> list[Statement]:
        if not accounts:
            return []
        said, since = self._standing(accounts)
        named = named_verdicts(said).filter(pl.Series(since, dtype=pl.Boolean))
        last = dict(said.select("account", "label").iter_rows())
        words = {1: "bad", 0: "good"}
        return [
            Statement(cypher.SET_VERDICTS, [[*row, seq] for row in named.iter_rows()], {}),
            Statement(cypher.SET_LABELS, [[one, words.get(label), seq] for one, label in last.items()], {}),
        ]

    def _standing(self, accounts: Sequence[str]) -> tuple[pl.DataFrame, list[bool]]:
        """All verdicts on accounts in the order of a snapshot, and whether each came after the snapshot.

        What undoes gets the label that stands from then on; what would undo nothing is left out.
        """
        schema = VERDICT_SCHEMA | {"account": pl.String()}
        indices = {self._snapshot.account_index(account): account for account in accounts}
        indices.pop(None, None)
        before = (
            self._snapshot.verdicts.filter(pl.col("account").is_in(list(indices)))
            .with_columns(pl.col("account").replace_strict(indices, return_dtype=pl.String))
            .with_columns(since=False)
        )
        told = [(account, *one) for account in accounts for one in self._verdicts.get(account, ())]
        live = pl.DataFrame(told, schema=schema, orient="row").with_columns(since=True)
        rows = pl.concat([before.select(live.columns).cast(live.schema), live]).sort(
            "known_ms", nulls_last=False, maintain_order=True
        )
        standing: dict[str, list[tuple[bool, int]]] = {}
        kept: list[dict[str, Any]] = []
        for row in rows.iter_rows(named=True):
            of_account = standing.setdefault(row["account"], [])
            if row["undoes"]:
                last = next((at for at in reversed(range(len(of_account))) if of_account[at][0]), None)
                if last is None:
                    continue
                del of_account[last]
                row["label"] = of_account[-1][1] if of_account else -1
            elif row["known_ms"] is not None:
                # Nobody knows when a verdict without a time was known, so it cannot come to stand at a time.
                of_account.append((row["source"] is not None, row["label"]))
            kept.append(row)
        found = pl.DataFrame(kept, schema=live.schema)
        return found.drop("since"), found["since"].to_list()


def _earlier(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else min(one, other)


def _later(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else max(one, other)


def until_erasure(rows: Iterable[JournalRow]) -> list[JournalRow]:
    """The first rows that are all erasures, or that hold none: what one transaction takes."""
    found: list[JournalRow] = []
    for row in rows:
        if found and isinstance(row.content, LiveErasure) != isinstance(found[0].content, LiveErasure):
            break
        found.append(row)
    return found
