"""The live graph: a mapped snapshot and what has happened since, read by the very kernels of training.

An event that was accepted is applied here, in the order of the journal; from then on every question sees it.
Nothing of the snapshot is copied: what is new stands in arrays that only grow, a list for each node that was
touched, sorted by position because positions only rise.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from features import visibility
from features.appending import Edges, append_edges, new_between, rehash
from features.cuts import NEVER, cut_arrays, cuts_of
from features.opened import Opened, open_graph, point_to
from features.queries import Queries, attribute_value, ordered_uses, stated
from features.verdicts import KnownBad, known_bad_of
from features.visibility import (
    N_ENTRIES,
    N_LISTS,
    N_NEW_ACCOUNTS,
    N_NEW_NODES,
    N_POSITIONS,
    N_SIZES,
    NO_TIME,
    latest_accounts,
    latest_neighbours,
    size_of,
    visible_pairs,
)
from graph_etl import JournalRow, LiveCut, LiveEvent, LiveVerdict, Snapshot
from graph_etl.errors import RingwatchError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from graph_etl import AttributeInfo, KindInfo, Relation

_ACCOUNT: Final = 0
# Arrays double when they are full; memory that is not written yet takes none.
# The field of each array that the kernels read.
FIELD_OF: Final = {
    name.removeprefix("LIVE_").lower(): getattr(visibility, name)
    for name in dir(visibility)
    if name.startswith(("LIVE_", "CUT_", "USERS_"))
}
_FIRST_NODES: Final = 1 << 16
_FIRST_POSITIONS: Final = 1 << 16
# Names that were looked up in the snapshot and are remembered; a few hundred events' worth.
_LOOKED_UP: Final = 4096
_FIRST_LISTS: Final = 1 << 17
_FIRST_ENTRIES: Final = 1 << 19


class LiveGraphFull(RingwatchError):
    """The live graph holds as many events as it may."""

    def __init__(self, max_events: int) -> None:
        """Say what to do."""
        super().__init__(
            f"the live graph holds {max_events:,} events, as many as it may; "
            "publish a new snapshot with `ringwatch refresh`"
        )


class LiveOrderError(RingwatchError):
    """A row of the journal came out of order."""

    def __init__(self, expected: int, got: int) -> None:
        """Say which row was due."""
        super().__init__(
            f"row {expected} of the journal is due, got row {got}; start again from the snapshot so that all "
            "rows since are read in order"
        )


class LiveGraph:
    """A snapshot and what has happened since. One thread applies and asks.

    Indices of new accounts and nodes go on after the snapshot's. Row ``seq`` of the journal has the position
    ``snapshot.end_horizon + seq - snapshot.last_seq - 1``, whatever it says.

    Args:
        snapshot: The snapshot; rows of the journal up to its ``last_seq`` are in it.
        max_events: Rows that may be applied; bounds the memory.

    Attributes:
        snapshot: The snapshot.
        relation_numbers: Number of each relation by its name.
        known_bad_timed: Accounts known to be bad by verdicts with a time: inputs of models.
        known_bad: The same with verdicts that have none: for reasons and policies of today.
    """

    def __init__(self, snapshot: Snapshot, *, max_events: int = 1_000_000) -> None:
        self.snapshot = snapshot
        self.max_events = max_events
        self._base = open_graph(snapshot)
        self._first_seq = int(snapshot.manifest["last_seq"])
        self._last_seq = self._first_seq
        self._last_known_ms = int(snapshot.event_known_ms[-1]) if snapshot.n_events else NO_TIME
        self._kinds = {kind.name: ordinal for ordinal, kind in enumerate(snapshot.kinds)}
        self.relation_numbers = {relation.name: at for at, relation in enumerate(snapshot.relations)}
        listing = [mapping.type.constant for mapping in snapshot.spec.accounts]
        types = {*listing, *(mapping.type.constant for mapping in snapshot.spec.events)}
        # A type that comes from columns, a constant that is None here, may be any.
        self._listing_types, self._lists_others = frozenset(listing), None in listing
        self._types, self._any_type = frozenset(types), None in types
        self._adds_unknown = snapshot.spec.unknown_accounts == "add" or not listing
        self._listed: set[int] = set()
        self._nodes: dict[tuple[int, str], int] = {}
        self._keys: list[str] = []
        self._looked_up: dict[tuple[int, str], int | None] = {}
        self._verdicts: dict[int, list[LiveVerdict]] = {}
        self._cuts = cuts_of(snapshot)
        self._arrays = self._empty(len(snapshot.attributes))
        self._arrays["users_now"] = np.array(self._base.keep[visibility.USERS_NOW])
        self._arrays["size"][N_POSITIONS] = self.end_horizon
        self.known_bad_timed = known_bad_of(snapshot, untimed=False)
        self.known_bad = known_bad_of(snapshot, untimed=True)
        self._cut_arrays = cut_arrays(self._cuts)
        fields = np.array(self._base.graph.fields)
        self.opened: Opened = replace(self._base, graph=self._base.graph._replace(fields=fields))
        self._reopen()

    @staticmethod
    def _empty(n_attributes: int) -> dict[str, NDArray[Any]]:
        return {
            "size": np.zeros(N_SIZES, np.int64),
            "touched": np.zeros(0, np.uint8),
            "users_now": np.zeros(0, np.int32),
            "keys": np.zeros(2 * _FIRST_LISTS, np.int64),
            "places": np.zeros(2 * _FIRST_LISTS, np.int32),
            "at": np.zeros(_FIRST_LISTS, np.int64),
            "length": np.zeros(_FIRST_LISTS, np.int32),
            "room": np.zeros(_FIRST_LISTS, np.int32),
            "nbr": np.zeros(_FIRST_ENTRIES, np.int32),
            "pos": np.zeros(_FIRST_ENTRIES, np.int64),
            "value": np.zeros(_FIRST_ENTRIES, np.float32),
            "node_account": np.zeros(_FIRST_NODES, np.int32),
            "node_kind": np.zeros(_FIRST_NODES, np.int16),
            "account_node": np.zeros(_FIRST_NODES, np.int32),
            "attributes": np.zeros((_FIRST_NODES, n_attributes)),
            "first_seen_ms": np.zeros(_FIRST_NODES, np.int64),
            "first_pos": np.zeros(_FIRST_NODES, np.int64),
            "by_age": np.zeros(_FIRST_NODES, np.int32),
            "time_ms": np.zeros(_FIRST_POSITIONS, np.int64),
            "known_ms": np.zeros(_FIRST_POSITIONS, np.int64),
        }

    def _reopen(self) -> None:
        """Hand the arrays to the kernels; needed whenever one of them was replaced."""
        n_nodes = self.snapshot.n_nodes + len(self._arrays["node_kind"])
        for name in ("touched", "users_now"):
            old = self._arrays[name]
            if len(old) < n_nodes:
                grown = np.zeros(n_nodes, old.dtype)
                grown[: len(old)] = old
                self._arrays[name] = grown
        for name, array in (self._arrays | self._cut_arrays).items():
            point_to(self.opened.graph.fields, FIELD_OF[name], array)

    def _grow(self, *names: str) -> None:
        """Double arrays, keeping what they hold."""
        for name in names:
            old = self._arrays[name]
            new = np.zeros((2 * len(old), *old.shape[1:]), old.dtype)
            new[: len(old)] = old
            self._arrays[name] = new
        self._reopen()

    def _grow_lists(self) -> None:
        """Make room for the next entries, wherever it is short."""
        size = self._arrays["size"]
        names = []
        if 2 * size[N_ENTRIES] > len(self._arrays["nbr"]):
            names += ["nbr", "pos", "value"]
        if 2 * size[N_LISTS] > len(self._arrays["at"]):
            names += ["at", "length", "room"]
        if 4 * size[N_LISTS] > len(self._arrays["keys"]):
            keys, places = self._arrays["keys"], self._arrays["places"]
            self._arrays["keys"] = np.zeros(2 * len(keys), np.int64)
            self._arrays["places"] = np.zeros(2 * len(keys), np.int32)
            rehash(keys, places, self._arrays["keys"], self._arrays["places"])
        # One long list may ask for more than half of what there is.
        self._grow(*(names or ["nbr", "pos", "value"]))

    @property
    def id(self) -> str:
        """Id of the snapshot below."""
        return self.snapshot.id

    @property
    def kinds(self) -> tuple[KindInfo, ...]:
        """Kinds of nodes, as in the snapshot."""
        return self.snapshot.kinds

    @property
    def attributes(self) -> tuple[AttributeInfo, ...]:
        """Attributes of accounts, as in the snapshot."""
        return self.snapshot.attributes

    @property
    def relations(self) -> tuple[Relation, ...]:
        """Relations, as in the snapshot; those hold nothing of what has happened since."""
        return self.snapshot.relations

    @property
    def last_seq(self) -> int:
        """Last row of the journal that was applied."""
        return self._last_seq

    @property
    def end_horizon(self) -> int:
        """The horizon at which all that was applied is visible."""
        return self.snapshot.end_horizon + self._last_seq - self._first_seq

    @property
    def horizon(self) -> int:
        """The same, under its short name."""
        return self.end_horizon

    @property
    def known_until_ms(self) -> int:
        """When the last row that was applied became known, milliseconds."""
        return self._last_known_ms

    @property
    def n_new_events(self) -> int:
        """Rows of the journal that were applied."""
        return self._last_seq - self._first_seq

    @property
    def n_accounts(self) -> int:
        """Accounts, the snapshot's and new ones."""
        return self.snapshot.n_accounts + int(self._arrays["size"][N_NEW_ACCOUNTS])

    @property
    def n_nodes(self) -> int:
        """Nodes, the snapshot's and new ones."""
        return self.snapshot.n_nodes + int(self._arrays["size"][N_NEW_NODES])

    @property
    def nbytes(self) -> int:
        """Memory of what is new, about, bytes: what was written of the arrays, and the names of new nodes."""
        size = self._arrays["size"]
        lists = int(size[N_LISTS]) * (8 + 4 + 4 + 2 * 12)
        nodes = int(size[N_NEW_NODES]) * (4 + 2 + 1 + 250)
        accounts = int(size[N_NEW_ACCOUNTS]) * (4 + 4 + 8 + 8 + 8 * len(self.attributes))
        return lists + nodes + accounts + int(size[N_ENTRIES]) * 16 + self.n_new_events * 16

    def account_index(self, account_key: str) -> int | None:
        """Find an account.

        Args:
            account_key: Its id, as the graph stores it.

        Returns:
            Its index, or None if nobody has seen it.
        """
        node = self.node_index(self.kinds[_ACCOUNT].name, account_key)
        return None if node is None else self._account_of(node)

    def node_index(self, kind: str, key: str) -> int | None:
        """Find a node.

        Args:
            kind: Name of its kind.
            key: Its key.

        Returns:
            Its index, or None if nobody has seen it.
        """
        ordinal = self._kinds.get(kind)
        if ordinal is None:
            return None
        name = (ordinal, key)
        found = self._nodes.get(name)
        if found is not None:
            return found
        # An event that is asked about is applied next: the same names are looked up twice or more.
        if name in self._looked_up:
            return self._looked_up[name]
        if len(self._looked_up) >= _LOOKED_UP:
            self._looked_up.clear()
        found = self._looked_up[name] = self.snapshot.node_index(kind, key)
        return found

    def _account_of(self, node: int) -> int:
        if node < self.snapshot.n_nodes:
            return int(self.snapshot.node_account[node])
        return int(self._arrays["node_account"][node - self.snapshot.n_nodes])

    def account_id(self, account: int) -> str:
        """Id of an account, as the graph stores it."""
        return self.node_key(self.account_node(account))

    def account_node(self, account: int) -> int:
        """Node of an account."""
        known = self.snapshot.n_accounts
        if account < known:
            return int(self.snapshot.account_node[account])
        return int(self._arrays["account_node"][account - known])

    def node_account(self, node: int) -> int:
        """Account of a node, -1 for an entity."""
        return self._account_of(node)

    def node_key(self, node: int) -> str:
        """Key of a node."""
        known = self.snapshot.n_nodes
        return self.snapshot.node_keys[node] if node < known else self._keys[node - known]

    def kind_of(self, node: int) -> str:
        """Name of a node's kind."""
        known = self.snapshot.n_nodes
        if node < known:
            return self.kinds[int(self.snapshot.node_kind[node])].name
        return self.kinds[int(self._arrays["node_kind"][node - known])].name

    def is_hub(self, node: int) -> bool:
        """Whether a node is a hub; what came since the snapshot is none before the next one."""
        return node < self.snapshot.n_nodes and int(self.snapshot.hub_since[node]) < self.end_horizon

    def first_seen_ms(self, account: int) -> int:
        """When an account first appeared, milliseconds; ``NO_TIME`` if nobody told."""
        known = self.snapshot.n_accounts
        if account < known:
            return int(self.snapshot.first_seen_ms[account])
        return int(self._arrays["first_seen_ms"][account - known])

    def attribute_values(self, account: int) -> NDArray[np.float64]:
        """Attributes of an account, ``float64[k]``."""
        known = self.snapshot.n_accounts
        if account < known:
            return np.asarray(self.snapshot.attribute_values[account], np.float64)
        return np.asarray(self._arrays["attributes"][account - known], np.float64)

    def touched(self, account: int, limit: int) -> list[int]:
        """Nodes that an account touches in any way, the latest first.

        Args:
            account: Account index.
            limit: At most so many.

        Returns:
            Node indices.
        """
        return self._listed_at(self._row_by_account, self.account_node(account), limit)

    def users(self, node: int, limit: int) -> NDArray[np.int64]:
        """Accounts that touch a node in any way, the latest first.

        Args:
            node: Node index.
            limit: At most so many.

        Returns:
            ``int64[n]`` account indices.
        """
        return self._accounts_at(self._row_by_account - 1, node, limit)

    def n_users(self, node: int) -> int:
        """How many accounts touch a node in any way."""
        return int(size_of(visible_pairs(self.opened.graph, self._row_by_account - 1, node, self.horizon)))

    def used_by(self, node: int, limit: int | None = None) -> NDArray[np.int64]:
        """Accounts that used an identifier, the latest first, through the relations of uses alone.

        Args:
            node: Node index.
            limit: At most so many; all if None.

        Returns:
            ``int64[n]`` account indices.
        """
        row = self._use_row(self.kind_of(node))
        if row is None:
            return np.zeros(0, np.int64)
        return self._accounts_at(len(self.opened.view.sides) + row, node, limit)

    def n_used_by(self, node: int) -> int:
        """How many accounts used an identifier."""
        row = self._use_row(self.kind_of(node))
        if row is None:
            return 0
        back = len(self.opened.view.sides) + row
        return int(size_of(visible_pairs(self.opened.graph, back, node, self.horizon)))

    def used(self, account: int, kind: str, limit: int | None = None) -> list[int]:
        """Identifiers of a kind that an account used, the latest first.

        Args:
            account: Account index.
            kind: Name of the kind.
            limit: At most so many; all if None.

        Returns:
            Node indices.
        """
        row = self._use_row(kind)
        return [] if row is None else self._listed_at(row, self.account_node(account), limit)

    def _use_row(self, kind: str) -> int | None:
        relation = self.relation_numbers.get(f"used:{kind}")
        return None if relation is None else int(self.opened.view.relation_sides[relation, 1])

    @property
    def _row_by_account(self) -> int:
        return 2 * len(self.opened.view.sides) + 1

    def _listed_at(self, row: int, node: int, limit: int | None) -> list[int]:
        most = -1 if limit is None else limit
        found: list[int] = latest_neighbours(self.opened.graph, row, node, self.horizon, most).tolist()
        return found

    def _accounts_at(self, row: int, node: int, limit: int | None) -> NDArray[np.int64]:
        most = -1 if limit is None else limit
        found: NDArray[np.int64] = latest_accounts(self.opened.graph, row, node, self.horizon, most)
        return found

    def is_known_bad(self, account: int) -> bool:
        """Whether the last verdict on an account says bad, verdicts without a time included."""
        return self.known_bad.holds(account, self.horizon)

    def live_verdicts(self, account: int) -> list[LiveVerdict]:
        """Verdicts on an account since the snapshot, the oldest first, undone ones and undoings too."""
        return list(self._verdicts.get(account, ()))

    @property
    def cuts(self) -> dict[tuple[int, int], int]:
        """Pairs of accounts that are called not linked now, with the time when that ends."""
        return {
            pair: rows[-1][2]
            for pair, rows in self._cuts.items()
            if rows[-1][0] < self.horizon <= rows[-1][1]
        }

    def question(self, event: LiveEvent) -> Queries:
        """Ask about the account behind an event; all that was applied is visible, and the event's own edges.

        Args:
            event: The event; it need not be applied, and must not be yet.

        Returns:
            One question. Relations that the snapshot does not have are left out.
        """
        return Queries.for_live_event(self, event)

    def apply_all(self, rows: Iterable[JournalRow]) -> int:
        """Apply rows in order.

        Args:
            rows: The rows next due.

        Returns:
            How many were applied.
        """
        count = 0
        for row in rows:
            self.apply(row)
            count += 1
        return count

    def apply(self, row: JournalRow) -> None:
        """Make a row of the journal visible.

        Args:
            row: The row next due.

        Raises:
            LiveOrderError: If another row is due.
            LiveGraphFull: If no more rows may be applied.
        """
        if row.seq != self._last_seq + 1:
            raise LiveOrderError(self._last_seq + 1, row.seq)
        if self.n_new_events >= self.max_events:
            raise LiveGraphFull(self.max_events)
        place = self.end_horizon
        content = row.content
        time_ms = content.time_ms if isinstance(content, LiveEvent) else NO_TIME
        # The snapshot may hold what files told of the future; known times never fall.
        self._last_known_ms = max(self._last_known_ms, row.received_ms)
        at = place - self.snapshot.end_horizon
        if at >= len(self._arrays["time_ms"]):
            self._grow("time_ms", "known_ms")
        self._arrays["time_ms"][at] = time_ms
        self._arrays["known_ms"][at] = self._last_known_ms
        if isinstance(content, LiveEvent):
            self._apply_event(content, place)
        elif isinstance(content, LiveVerdict):
            self._apply_verdict(content, place)
        elif isinstance(content, LiveCut):
            self._apply_cut(content, place)
        self._last_seq = row.seq
        self._arrays["size"][N_POSITIONS] = self.end_horizon

    def _apply_event(self, event: LiveEvent, place: int) -> None:
        named = event.event_type in self._types
        lists = event.event_type in self._listing_types or (self._lists_others and not named)
        found = self.account_index(event.account)
        if found is None:
            if not lists and not self._adds_unknown:
                return
            account = self._new_account(event.account, event.time_ms, place)
        else:
            account = found
        if account >= self.snapshot.n_accounts and account not in self._listed:
            if lists:
                self._listed.add(account)
                self._bring_in(account, event, place)
        node = self.account_node(account)
        edges: list[tuple[int, int, float]] = []
        # What an event of a type that the spec does not name brings is in no build either.
        uses = event.identifiers if named or self._any_type else ()
        for relation, key in ordered_uses(self.relation_numbers, uses):
            kind = self.relations[relation].name.removeprefix("used:")
            edges.append((relation, self._node(kind, key), 1.0))
        for name, kind, key, value in event.interactions:
            if name not in self.relation_numbers or kind not in self._kinds:
                continue
            if self._kinds[kind] == _ACCOUNT and self.account_index(key) is None:
                if not self._adds_unknown:
                    continue
                self._new_account(key, event.time_ms, place)
            number = self.relation_numbers[name]
            edges.append((number, self._node(kind, key), stated(self.relations[number], value)))
        if edges:
            self._append(node, edges, place)

    def _append(self, node: int, edges: list[tuple[int, int, float]], place: int) -> None:
        count = len(edges)
        relation = np.array([edge[0] for edge in edges], np.int64)
        table = Edges(
            row=self.opened.view.relation_sides[relation, 1],
            src=np.full(count, node, np.int64),
            dst=np.array([edge[1] for edge in edges], np.int64),
            value=np.array([edge[2] for edge in edges], np.float64),
            directed=np.array([self.relations[edge[0]].directed for edge in edges], np.bool_),
        )
        pair, forth, back = (np.zeros(count, np.bool_) for _ in range(3))
        new_between(self.opened.graph, table, place, pair, forth, back)
        step = 0
        while step >= 0:
            step = append_edges(self.opened.graph, table, place, pair, forth, back, step)
            if step >= 0:
                self._grow_lists()

    def _node(self, kind: str, key: str) -> int:
        found = self.node_index(kind, key)
        return self._new_node(kind, key) if found is None else found

    def _new_node(self, kind: str, key: str) -> int:
        at = int(self._arrays["size"][N_NEW_NODES])
        if at >= len(self._arrays["node_kind"]):
            self._grow("node_kind", "node_account")
        ordinal = self._kinds[kind]
        node = self.snapshot.n_nodes + at
        self._arrays["node_kind"][at] = ordinal
        self._arrays["node_account"][at] = -1
        self._arrays["size"][N_NEW_NODES] = at + 1
        self._nodes[ordinal, key] = node
        self._keys.append(key)
        return node

    def _new_account(self, key: str, time_ms: int, place: int) -> int:
        at = int(self._arrays["size"][N_NEW_ACCOUNTS])
        if at >= len(self._arrays["account_node"]):
            self._grow("account_node", "attributes", "first_seen_ms", "first_pos", "by_age")
        node = self._new_node(self.kinds[_ACCOUNT].name, key)
        account = self.snapshot.n_accounts + at
        self._arrays["node_account"][node - self.snapshot.n_nodes] = account
        self._arrays["account_node"][at] = node
        self._arrays["attributes"][at] = np.nan
        self._arrays["first_seen_ms"][at] = time_ms
        self._arrays["first_pos"][at] = place
        self._place_by_age(account, at)
        self._arrays["size"][N_NEW_ACCOUNTS] = at + 1
        self.known_bad_timed.hold(account)
        self.known_bad.hold(account)
        return account

    def _place_by_age(self, account: int, count: int) -> None:
        """Enter a new account into the first ``count`` places of the order of appearance."""
        by_age, known = self._arrays["by_age"], self.snapshot.n_accounts
        seen_ms = self._arrays["first_seen_ms"]
        own_ms = seen_ms[account - known]
        place = count
        if count and seen_ms[by_age[count - 1] - known] > own_ms:
            place = int(np.searchsorted(seen_ms[by_age[:count] - known], own_ms, side="right"))
            by_age[place + 1 : count + 1] = by_age[place:count].copy()
        by_age[place] = account

    def _bring_in(self, account: int, event: LiveEvent, place: int) -> None:
        """Let an event be what brought an account in: its time, its position and what it says of it."""
        at = account - self.snapshot.n_accounts
        count = int(self._arrays["size"][N_NEW_ACCOUNTS])
        by_age = self._arrays["by_age"]
        here = (
            int(np.flatnonzero(by_age[:count] == account)[-1]) if by_age[count - 1] != account else count - 1
        )
        by_age[here : count - 1] = by_age[here + 1 : count].copy()
        if event.time_ms != NO_TIME:
            self._arrays["first_seen_ms"][at] = event.time_ms
        self._arrays["first_pos"][at] = place
        self._place_by_age(account, count - 1)
        values = self._arrays["attributes"][at]
        for index, attribute in enumerate(self.attributes):
            told = event.attributes.get(attribute.name)
            if told is not None:
                values[index] = attribute_value(attribute, told)

    def _apply_verdict(self, verdict: LiveVerdict, place: int) -> None:
        account = self.account_index(verdict.account)
        if account is None:
            return
        earlier = self._verdicts.setdefault(account, [])
        label = verdict.label
        earlier.append(verdict)
        for table in (self.known_bad_timed, self.known_bad):
            table.say(account, self._label_before(account, table) if label is None else label, place)

    def _label_before(self, account: int, table: KnownBad) -> int:
        """What held before the last verdict that is not undone yet: undoing goes back one, not to nothing."""
        standing = table.standing_of_snapshot(account)
        for verdict in self._verdicts[account]:
            if verdict.label is not None:
                standing.append(verdict.label)
            elif len(standing) > 1:
                standing.pop()
        return standing[-1]

    def _apply_cut(self, cut: LiveCut, place: int) -> None:
        account, other = self.account_index(cut.account), self.account_index(cut.other)
        if account is None or other is None or account == other:
            return
        pair = (min(account, other), max(account, other))
        rows = self._cuts.setdefault(pair, [])
        if rows and rows[-1][1] == NEVER:
            since, _, until_ms = rows.pop()
            rows.append((since, place, until_ms))
        if not cut.undone:
            rows.append((place, NEVER, NEVER if cut.until_ms is None else cut.until_ms))
        self._cut_arrays = cut_arrays(self._cuts)
        self._reopen()


Source = Snapshot | LiveGraph
"""A graph that can be asked: a snapshot, or one with what has happened since."""
