"""Cypher that reproduces a ring in Neo4j from what accounts used and did, never from a stored ring.

Queries are whole: their values are written out, so that they can be pasted into Neo4j Browser as they stand.
Each starts at nodes that a constraint finds, goes through no hub and returns a bounded answer.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from string import Template
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from graph_etl import NO_TIME
from graph_etl.neo4j_store.naming import USED, labels_of, literal, types_of
from rings.wording import counted, listed, noun

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from graph_etl import Snapshot
    from graph_etl.neo4j_store.naming import NodeLabel

MOST_NODES: Final = 299
"""Nodes that a query draws at most: Neo4j Browser shows 300."""

_MOST_MEMBERS: Final = 180
_MOST_TIES: Final = 1000
_MOST_STARTS: Final = 30
_MOST_FOUND: Final = MOST_NODES - _MOST_STARTS

_DRAWN: Final = Template("""\
UNWIND $members AS id
MATCH (m:Account {id: id})
WITH collect(m) AS ring
CALL (ring) {
  UNWIND ring AS m
  MATCH (m)-[:$types]-(n)
  WHERE NOT m.hub AND NOT n.hub AND NOT n IN ring
  WITH n, count(DISTINCT m) AS members
  WHERE members > 1
  WITH n ORDER BY members DESC, coalesce(n.id, n.hash, n.key)
  RETURN collect(n) AS things
}
WITH ring, things, ring[..$most_members] AS members
WITH ring, things, members, things[..$most_nodes - size(members)] AS shared
CALL (members, shared) {
  UNWIND members AS m
  MATCH (m)-[tie:$types]-(n)
  WHERE NOT m.hub AND (n IN shared OR n IN members)
  RETURN collect(DISTINCT tie)[..$most_ties] AS ties
}
RETURN members, shared, ties,
       size(ring) - size(members) AS more_members,
       size(things) - size(shared) AS more_shared
LIMIT 1""")

_FOUND: Final = Template("""\
CALL () {
$starts
}
MATCH (n)-[:$types]-(a:Account)
WHERE NOT n.hub
WITH n, itself, collect(DISTINCT a) AS touching
UNWIND CASE WHEN itself AND NOT n IN touching THEN touching + n ELSE touching END AS account
WITH account, collect(DISTINCT n) AS shared
RETURN account, shared, size(shared) AS things
ORDER BY things DESC, account.id
LIMIT $most""")

_STARTS: Final = Template("""\
  UNWIND $keys AS key
  MATCH (n:$label {$key: key})
  RETURN n, $itself AS itself""")

_APPEARED: Final = Template("""\
UNWIND $members AS id
MATCH (m:Account {id: id})$within
RETURN m AS account, m.first_seen AS first_seen
ORDER BY first_seen, account.id
LIMIT $most""")

_IDENTIFIERS: Final = Template("""\
WITH $members AS ring
UNWIND ring AS id
MATCH (m:Account {id: id})-[u:$types]-(n:$label)
WHERE NOT n.hub
WITH ring, n, count(DISTINCT m) AS members, sum(CASE WHEN u:$used THEN 1 ELSE 0 END) AS uses
WHERE members > 1 AND uses > 0
MATCH (n)-[u:$types]-(a:Account)
WITH n, a, u:$used AS uses, a.id IN ring AS member
RETURN count(DISTINCT CASE WHEN member AND uses THEN a END) AS accounts,
       count(DISTINCT n) AS n_entities,
       count(DISTINCT CASE WHEN NOT member THEN a END) AS others
LIMIT 1""")

_COUNTERPART: Final = Template("""\
WITH $members AS ring
MATCH $node-[r:$types]-(a:Account)
WHERE NOT n.hub
WITH r, a, startNode(r) = a AS sent, a.id IN ring AND a <> n AS member
RETURN count(DISTINCT CASE WHEN member AND r:$dealing THEN a END) AS accounts,
       count(DISTINCT a) AS users,
       $ways
LIMIT 1""")

_STRONGEST: Final = Template("""\
WITH $members AS ring
MATCH $node-[:$types]-(a:Account)
WHERE NOT n.hub
RETURN count(DISTINCT CASE WHEN a.id IN ring AND a <> n THEN a END) AS accounts,
       count(DISTINCT a) AS users,
       COUNT { (:Account) } AS platform
LIMIT 1""")

_ARRIVALS: Final = Template("""\
UNWIND $members AS id
MATCH (m:Account {id: id})
WHERE m.first_seen IS NOT NULL
RETURN count(m) AS accounts,
       min(m.first_seen).epochMillis AS from_ms,
       max(m.first_seen).epochMillis AS to_ms
LIMIT 1""")

_INTERACTIONS: Final = Template("""\
WITH $members AS ring
UNWIND ring AS id
MATCH (m:Account {id: id})-[:$type]->(o:Account)
WHERE o <> m AND o.id IN ring
WITH DISTINCT CASE WHEN m.id < o.id THEN [m.id, o.id] ELSE [o.id, m.id] END AS pair
UNWIND pair AS id
RETURN count(DISTINCT pair) AS pairs, count(DISTINCT id) AS accounts
LIMIT 1""")

_BURST: Final = Template("""\
WITH $members AS ring
MATCH (a:Account)
WHERE a.first_seen >= $first AND a.first_seen <= $last
RETURN sum(CASE WHEN a.id IN ring THEN 1 ELSE 0 END) AS accounts, count(a) AS platform_accounts
LIMIT 1""")

_KNOWN_BAD: Final = Template("""\
UNWIND $members AS id
MATCH (m:Account {id: id})
WHERE m.verdict = 'bad'
RETURN count(m) AS accounts, collect(m) AS known_bad
LIMIT 1""")

_NEAREST_BAD: Final = Template("""\
MATCH way = $way
WHERE $no_hub AND n$last.verdict = 'bad'
RETURN [n IN nodes(way) | coalesce(n.id, n.hash, n.key)] AS path, length(way) AS steps, way
LIMIT 1""")


@dataclass(frozen=True, slots=True)
class RingQuery:
    """One query about a ring.

    Attributes:
        id: ``ring`` (draws it), ``found`` (finds its members again) or the id of a piece of evidence.
        title: What it shows.
        text: The query.
        expected: What its row holds, by column; of a list of nodes its length. Of ``found``: how many
            ``rows`` come, how many of them are ``members``, and the ids of the members that are ``missing``.
    """

    id: str
    title: str
    text: str
    expected: dict[str, Any]


def ring_queries(
    snapshot: Snapshot, ring: str, account_ids: Sequence[str], evidence: Sequence[Mapping[str, Any]]
) -> list[RingQuery]:
    """Write the queries of a ring.

    Args:
        snapshot: The snapshot that Neo4j was loaded with.
        ring: The ring's id, for the titles.
        account_ids: Its members, the most firmly tied first; those that the snapshot does not hold are left
            out.
        evidence: Its pieces of evidence.

    Returns:
        The query that draws the ring, the one that finds it again, and one for each piece of evidence whose
        numbers the graph in Neo4j can give. What is said of links, of likeness and of chance is worked out
        from more than the graph and has none.
    """
    about = _About(snapshot, ring, account_ids)
    found = [_drawn(about), _found(about)]
    for piece in evidence:
        write = _WRITERS.get(piece["type"])
        query = None if write is None else write(about, piece)
        if query is not None:
            found.append(query)
    return found


class _About:
    """What the queries of one ring are written from.

    Args:
        snapshot: The snapshot.
        ring: The ring's id.
        account_ids: Its members.
    """

    def __init__(self, snapshot: Snapshot, ring: str, account_ids: Sequence[str]) -> None:
        self.snapshot = snapshot
        self.ring = ring
        self.labels: dict[str, NodeLabel] = {label.kind: label for label in labels_of(snapshot)}
        self.types = types_of(snapshot)
        placed = {name: snapshot.account_index(name) for name in account_ids}
        self.accounts = {name: account for name, account in placed.items() if account is not None}
        self.nodes = {int(snapshot.account_node[account]) for account in self.accounts.values()}

    @property
    def members(self) -> str:
        """The members as a list."""
        return _list(self.accounts)

    @property
    def first_seen_ms(self) -> NDArray[np.int64]:
        """When the members appeared."""
        return np.asarray(self.snapshot.first_seen_ms)[list(self.accounts.values())]

    def is_hub(self, node: int) -> bool:
        """Whether a node links nobody."""
        return bool(self.snapshot.hub_since[node] < self.snapshot.end_horizon)

    @cached_property
    def holds_hub(self) -> bool:
        """Whether a member is a hub: what it touches is in the evidence, and no query walks it."""
        return any(self.is_hub(node) for node in self.nodes)

    @cached_property
    def touched(self) -> Counter[int]:
        """The nodes that members touch, hubs left out, with how many members do."""
        touches = self.snapshot.touches
        count: Counter[int] = Counter()
        for node in self.nodes:
            if not self.is_hub(node):
                near = np.asarray(touches.nbr[int(touches.indptr[node]) : int(touches.indptr[node + 1])])
                count.update(other for other in near.tolist() if other != node and not self.is_hub(other))
        return count

    def accounts_on(self, node: int) -> set[int]:
        """The nodes of the accounts that touch a node."""
        touched_by = self.snapshot.touched_by
        here = slice(int(touched_by.indptr[node]), int(touched_by.indptr[node + 1]))
        return set(np.asarray(touched_by.nbr[here]).tolist())

    def types_at(self, kind: str | None = None) -> str:
        """The types of relationships between accounts and nodes of a kind; of any kind if None."""
        found = []
        for relation in self.snapshot.relations:
            for near, far in (
                (relation.from_kinds, relation.to_kinds),
                (relation.to_kinds, relation.from_kinds),
            ):
                if 0 in near and (kind is None or kind in {self.snapshot.kinds[at].name for at in far}):
                    found.append(self.types[relation.name])
        return "|".join(dict.fromkeys(found)) or USED

    def node(self, name: str, kind: str, key: str) -> str:
        """A pattern of one node, which a constraint finds."""
        label = self.labels[kind]
        return f"({name}:{label.label} {{{label.key}: {literal(key)}}})"


def _drawn(about: _About) -> RingQuery:
    size = len(about.accounts)
    n_shared = sum(1 for node, on in about.touched.items() if on > 1 and node not in about.nodes)
    members = min(size, _MOST_MEMBERS)
    shared = min(n_shared, MOST_NODES - members)
    title = f"Ring {about.ring}: its members, what at least two of them share, what they did to each other"
    text = _DRAWN.substitute(
        members=about.members,
        types=about.types_at(),
        most_members=_MOST_MEMBERS,
        most_nodes=MOST_NODES,
        most_ties=_MOST_TIES,
    )
    more = {"more_members": size - members, "more_shared": n_shared - shared}
    return _query("ring", title, text, {"members": members, "shared": shared} | more)


def _found(about: _About) -> RingQuery:
    starts, reached = _starts(about)
    if not starts:
        return _appeared(about)
    keys: dict[tuple[str, bool], list[str]] = {}
    for node in starts:
        kind = about.snapshot.kinds[int(about.snapshot.node_kind[node])].name
        keys.setdefault((kind, node in about.nodes), []).append(about.snapshot.node_keys[node])
    parts = []
    for (kind, is_member), named in keys.items():
        label = about.labels[kind]
        # A member that others deal with counts among those that it leads to.
        itself = literal(is_member)
        parts.append(_STARTS.substitute(keys=_list(named), label=label.label, key=label.key, itself=itself))
    members = reached & about.nodes
    title = f"{len(members)} of the {counted(len(about.nodes), 'member')} of ring {about.ring}"
    title += f", found from {counted(len(starts), 'thing')} that they share"
    if len(reached) > len(members):
        title += f", with {counted(len(reached) - len(members), 'other account')}"
    text = _FOUND.substitute(starts="\n  UNION\n".join(parts), types=about.types_at(), most=_MOST_FOUND)
    missing = sorted(about.snapshot.node_keys[node] for node in about.nodes - members)
    return _query("found", title, text, {"rows": len(reached), "members": len(members), "missing": missing})


def _starts(about: _About) -> tuple[list[int], set[int]]:
    """Choose few nodes that lead to many members and few others, greedily.

    Returns:
        Nodes to start at, and the nodes of the accounts that they lead to.
    """
    on = {
        node: about.accounts_on(node) | ({node} & about.nodes)
        for node, members in about.touched.items()
        if members > 1 or node in about.nodes
    }
    # What more others than members are on finds those others rather than the ring.
    on = {node: accounts for node, accounts in on.items() if 2 * len(accounts & about.nodes) >= len(accounts)}
    starts: list[int] = []
    reached: set[int] = set()

    def gain(node: int) -> tuple[float, int, int]:
        new = on[node] - reached
        members = len(new & about.nodes)
        return members / (1 + len(new) - members), members, -node

    while on and len(starts) < _MOST_STARTS:
        best = max(on, key=gain)
        accounts = on.pop(best)
        if not (accounts - reached) & about.nodes:
            break
        if len(reached | accounts) <= _MOST_FOUND:
            starts.append(best)
            reached |= accounts
    return starts, reached


def _appeared(about: _About) -> RingQuery:
    seen_ms = about.first_seen_ms
    timed = seen_ms[seen_ms != NO_TIME]
    title = f"Nothing shared leads to ring {about.ring}: its members, in the order in which they appeared"
    within = ""
    if len(timed):
        first, last = _time(int(timed.min())), _time(int(timed.max()))
        within = f"\nWHERE m.first_seen >= {first} AND m.first_seen <= {last}"
    text = _APPEARED.substitute(members=about.members, within=within, most=MOST_NODES)
    missing = [
        name
        for name, at_ms in zip(about.accounts, seen_ms.tolist(), strict=True)
        if len(timed) and at_ms == NO_TIME
    ]
    rows = min(len(about.accounts) - len(missing), MOST_NODES)
    return _query("found", title, text, {"rows": rows, "members": rows, "missing": sorted(missing)})


def _identifiers(about: _About, piece: Mapping[str, Any]) -> RingQuery | None:
    kind, relation = piece["kind"], piece["relation"]
    if kind not in about.labels or relation not in about.types or about.holds_hub:
        return None
    title = (
        f"{counted(piece['n_entities'], kind)} that at least two members used,"
        f" {counted(piece['accounts'], 'member')} and {counted(piece['others'], 'other account')} on them"
    )
    text = _IDENTIFIERS.substitute(
        members=about.members,
        types=about.types_at(kind),
        label=about.labels[kind].label,
        used=about.types[relation],
    )
    return _query(piece["id"], title, text, _numbers(piece, "accounts", "n_entities", "others"))


def _counterpart(about: _About, piece: Mapping[str, Any]) -> RingQuery | None:
    kind, ways = piece["kind"], piece["ways"]
    known = kind in about.labels and all(way["relation"] in about.types for way in ways)
    if not known or about.holds_hub:
        return None
    title = (
        f"{counted(piece['accounts'], 'member')} dealt with {noun(kind)} {piece['shown']},"
        f" which {counted(piece['users'], 'account')} touched in all"
    )
    columns, expected = [], _numbers(piece, "accounts", "users")
    for way in ways:
        type_ = about.types[way["relation"]]
        name = f"{way['way']}_{type_.lower()}"
        end = {"sent": " AND sent", "received": " AND NOT sent"}.get(way["way"], "")
        columns.append(f"count(DISTINCT CASE WHEN member AND r:{type_}{end} THEN a END) AS {name}")
        expected[name] = way["accounts"]
    text = _COUNTERPART.substitute(
        members=about.members,
        node=about.node("n", kind, piece["key"]),
        types=about.types_at(kind),
        dealing="|".join(dict.fromkeys(about.types[way["relation"]] for way in ways)),
        ways=",\n       ".join(columns),
    )
    return _query(piece["id"], title, text, expected)


def _strongest(about: _About, piece: Mapping[str, Any]) -> RingQuery | None:
    kind = piece["kind"]
    if kind not in about.labels or about.holds_hub:
        return None
    title = (
        f"{counted(piece['accounts'], 'member')} of {counted(piece['users'], 'account')} on {noun(kind)}"
        f" {piece['shown']}, of {counted(piece['platform'], 'account')} in all"
    )
    text = _STRONGEST.substitute(
        members=about.members, node=about.node("n", kind, piece["key"]), types=about.types_at(kind)
    )
    return _query(piece["id"], title, text, _numbers(piece, "accounts", "users", "platform"))


def _arrivals(about: _About, piece: Mapping[str, Any]) -> RingQuery | None:
    if not piece["accounts"]:
        return None
    title = f"From when to when {counted(piece['accounts'], 'member')} appeared"
    text = _ARRIVALS.substitute(members=about.members)
    return _query(piece["id"], title, text, _numbers(piece, "accounts", "from_ms", "to_ms"))


def _interactions(about: _About, piece: Mapping[str, Any]) -> RingQuery | None:
    if piece["relation"] not in about.types or about.holds_hub:
        return None
    title = (
        f"{counted(piece['accounts'], 'member')} dealt with another member ({noun(piece['relation'])},"
        f" {counted(piece['pairs'], 'pair')})"
    )
    text = _INTERACTIONS.substitute(members=about.members, type=about.types[piece["relation"]])
    return _query(piece["id"], title, text, _numbers(piece, "pairs", "accounts"))


def _burst(about: _About, piece: Mapping[str, Any]) -> RingQuery | None:
    first_ms, last_ms = piece["from_ms"], piece["to_ms"]

    def within(times: NDArray[np.int64]) -> int:
        return int(np.count_nonzero((times >= first_ms) & (times <= last_ms)))

    expected = _numbers(piece, "accounts", "platform_accounts")
    # Of accounts that appeared at the very moment at which a burst begins or ends, their place in the source
    # tells which are counted. The graph does not hold it.
    if (within(about.first_seen_ms), within(np.asarray(about.snapshot.first_seen_ms))) != tuple(
        expected.values()
    ):
        return None
    title = (
        f"{counted(piece['accounts'], 'member')} appeared in a time in which"
        f" {counted(piece['platform_accounts'], 'account')} of the whole platform did"
    )
    text = _BURST.substitute(members=about.members, first=_time(first_ms), last=_time(last_ms))
    return _query(piece["id"], title, text, expected)


def _known_bad(about: _About, piece: Mapping[str, Any]) -> RingQuery:
    title = f"{counted(piece['accounts'], 'member')} whose last verdict is bad"
    expected = {"accounts": piece["accounts"], "known_bad": piece["accounts"]}
    return _query(piece["id"], title, _KNOWN_BAD.substitute(members=about.members), expected)


def _nearest_bad(about: _About, piece: Mapping[str, Any]) -> RingQuery | None:
    path = piece["path"]
    if any(node["kind"] not in about.labels for node in path):
        return None
    title = f"The way to confirmed bad account {piece['account_id']}"
    if path[1:-1]:
        title += f", through {listed([noun(node['kind']) for node in path[1:-1]])}"
    patterns = [about.node(f"n{at}", node["kind"], node["key"]) for at, node in enumerate(path)]
    text = _NEAREST_BAD.substitute(
        way=f"-[:{about.types_at()}]-".join(patterns),
        no_hub=" AND ".join(f"NOT n{at}.hub" for at in range(len(path))),
        last=len(path) - 1,
    )
    return _query(piece["id"], title, text, {"path": [node["key"] for node in path], "steps": piece["steps"]})


_WRITERS: Final[dict[str, Callable[[_About, Mapping[str, Any]], RingQuery | None]]] = {
    "identifiers": _identifiers,
    "counterpart": _counterpart,
    "strongest": _strongest,
    "arrivals": _arrivals,
    "interactions": _interactions,
    "burst": _burst,
    "known_bad": _known_bad,
    "nearest_bad": _nearest_bad,
}


# Why the graph in Neo4j cannot give what a piece of evidence says.
_WHY_NOT: Final = {
    "group": "links are weighed by rarity, closeness in time and likeness, which the graph does not hold",
    "synchrony": "likeness is worked out from the profiles of the two and of all who came around them",
    "chance": "it compares with a platform that was dealt out anew",
    "honest": "it compares with random pairs and arrivals of the whole platform",
    "minimal": "each thing taken away is in a query above; what is left is worked out from the links",
    "no_bad_near": "that nothing is there shows only to who walks every way of so many steps",
    "confirmed": "people's word on a ring is in the registry, not in the graph",
}
_NOT_AS_IT_STANDS: Final = (
    "a hub or an unknown kind or time is part of it, so that the graph would give another number"
)


def without_query(piece: Mapping[str, Any]) -> str:
    """Say why a piece of evidence has no query.

    Args:
        piece: A piece for which `ring_queries` gives none.

    Returns:
        The reason in plain words.
    """
    return _WHY_NOT.get(piece["type"], _NOT_AS_IT_STANDS)


def _query(name: str, title: str, text: str, expected: dict[str, Any]) -> RingQuery:
    # Titles hold ids of accounts, and the end of a line, also one that is spelt as an escape, ends a comment.
    safe = "".join(sign if sign.isprintable() and sign != "\\" else "?" for sign in title)
    return RingQuery(name, title, f"// {safe}\n{text}", expected)


def _numbers(piece: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: piece[name] for name in names}


def _list(values: Iterable[str]) -> str:
    return f"[{', '.join(literal(value) for value in values)}]"


def _time(at_ms: int) -> str:
    at = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return f"datetime({literal(at.replace('+00:00', 'Z'))})"
