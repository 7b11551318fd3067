"""The Cypher of what the journal brings: added to what is there, and marked with the row that changed it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from graph_etl.neo4j_store.naming import NodeLabel

HELD: Final = (
    "MATCH (s:RingwatchState {name: $name}) SET s.followed_at = datetime()"
    " RETURN s.snapshot AS snapshot, s.loading AS loading, s.journal_seq AS journal_seq"
)
"""What the database holds; writing to the node locks it, so that it stays so until the transaction ends."""

ADVANCE: Final = "MATCH (s:RingwatchState {name: $name}) SET s.journal_seq = $seq"
"""Say up to which row of the journal the database holds what it says."""

KNOWN: Final = "UNWIND $rows AS id MATCH (a:Account {id: id}) RETURN collect(a.id) AS known"
"""Which of some accounts are there."""

MARKED: Final = "MATCH (a:Account) WHERE a.live_seq IS NOT NULL RETURN a.id AS id"
"""Accounts that the journal brought or changed."""


def _time(value: str) -> str:
    return f"CASE WHEN {value} IS NULL THEN null ELSE datetime({{epochMillis: {value}}}) END"


def _bound(property_: str, value: str, sign: str) -> str:
    """The smaller (``<=``) or larger (``>=``) of a time that is there and one that comes."""
    return (
        f"{property_} = CASE WHEN {value} IS NULL OR {property_} {sign} datetime({{epochMillis: {value}}})"
        f" THEN {property_} ELSE datetime({{epochMillis: {value}}}) END"
    )


SET_ACCOUNTS: Final = (
    "UNWIND $rows AS r MERGE (a:Account {id: r[0]}) ON CREATE SET a.hub = false"
    f" SET a.first_seen = coalesce({_time('r[3]')}, a.first_seen, {_time('r[1]')}),"
    f" {_bound('a.last_seen', 'r[2]', '>=')}, a += r[4], a.live_seq = r[5]"
)
"""Rows: id, time of the first event, of the last, of the one that brought the account in, attributes, seq."""

SET_VERDICTS: Final = (
    "UNWIND $rows AS r MATCH (a:Account {id: r[1]}) MERGE (v:Verdict {id: r[0]}) SET v.label = r[2],"
    f" v.known_at = {_time('r[3]')}, v.reason = r[4], v.source = r[5], v.abuse_type = r[6], v.undoes = r[7],"
    " v.live_seq = r[8] MERGE (a)-[x:HAS_VERDICT]->(v)"
)
"""Rows: id, account, label, known_ms, reason, source, abuse_type, undoes, seq."""

SET_LABELS: Final = "UNWIND $rows AS r MATCH (a:Account {id: r[0]}) SET a.verdict = r[1], a.live_seq = r[2]"
"""Rows: account, ``bad``, ``good`` or null, seq."""

ERASE: Final = (
    "UNWIND $rows AS id MATCH (a:Account {id: id})--(b:Account) WHERE b <> a SET b.live_seq = $seq",
    "UNWIND $rows AS id MATCH (a:Account {id: id})--(n) WHERE n:Identifier OR n:Entity"
    " WITH DISTINCT a, n SET n.accounts = n.accounts - 1, n.live_seq = $seq",
    "UNWIND $rows AS id MATCH (a:Account {id: id})-[:HAS_VERDICT]->(v:Verdict) DETACH DELETE v",
    "UNWIND $rows AS id MATCH (a:Account {id: id})--(n) WHERE (n:Identifier OR n:Entity)"
    " AND n.accounts = 0 DETACH DELETE n",
    "UNWIND $rows AS id MATCH (a:Account {id: id}) DETACH DELETE a",
)
"""Forget accounts, and what only they touched; rows are ids."""


def set_nodes(label: NodeLabel) -> str:
    """Create nodes that are not there yet; rows are key and seq."""
    readable = f", n.value = n.{label.key}" if label.public and label.also == "Identifier" else ""
    return (
        f"UNWIND $rows AS r MERGE (n:{label.label} {{{label.key}: r[0]}})"
        f" ON CREATE SET n:{label.also}, n.kind = $kind, n.accounts = 0, n.hub = false{readable},"
        " n.live_seq = r[1]"
    )


def count_accounts(label: NodeLabel) -> str:
    """Count accounts that touch a node for the first time, before they do; rows are account, key and seq."""
    return (
        f"UNWIND $rows AS r MATCH (a:Account {{id: r[0]}}) MATCH (n:{label.label} {{{label.key}: r[1]}})"
        " WHERE NOT EXISTS { (a)--(n) } SET n.accounts = n.accounts + 1, n.live_seq = r[2]"
    )


def set_relationships(kind: str, start: NodeLabel, end: NodeLabel, *, amounts: bool) -> str:
    """Add events to relationships.

    Args:
        kind: Their type.
        start: Label of the nodes that they start from.
        end: Label of the nodes that they lead to.
        amounts: Whether their amounts are added up.

    Returns:
        Cypher; rows are the keys of start and end, first and last time, count, amounts and seq.
    """
    # One after the other, as a snapshot adds them up: the sum then has the same bits.
    added = ", x.amount = reduce(sum = coalesce(x.amount, 0.0), one IN r[5] | sum + one)" if amounts else ""
    return (
        f"UNWIND $rows AS r MATCH (a:{start.label} {{{start.key}: r[0]}})"
        f" MATCH (b:{end.label} {{{end.key}: r[1]}}) MERGE (a)-[x:{kind}]->(b)"
        f" SET {_bound('x.first_seen', 'r[2]', '<=')}, {_bound('x.last_seen', 'r[3]', '>=')},"
        f" x.count = coalesce(x.count, 0) + r[4]{added}, x.live_seq = r[6]"
    )
