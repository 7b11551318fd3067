"""What an account shares with others: the evidence that reasons point to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from features import LiveGraph, graph_of
from features.visibility import (
    DAY_MS,
    NO_TIME,
    Graph,
    Span,
    account_at,
    compiled,
    first_seen_of,
    is_hub,
    knows,
    neighbour,
    node_of,
    size_of,
    visible_pairs,
)

if TYPE_CHECKING:
    from features import Queries, Source

_NODES_SHOWN: Final = 5
_ACCOUNTS_SHOWN: Final = 5
_NODES_READ: Final = 256
# As `rings.links` and the kernel weigh accounts that share something.
_USERS_TIED: Final = 16
_APART: Final = 0.2


@dataclass(frozen=True, slots=True)
class SharedNode:
    """A node that an account shares with others.

    Attributes:
        kind: Name of its kind.
        key: Its key.
        users: Accounts that touch it, the asked one included.
        others: Ids of some of the others, the latest last.
        node: Its index in the graph.
    """

    kind: str
    key: str
    users: int
    others: list[str]
    node: int = field(default=-1, compare=False)

    def as_evidence(self) -> dict[str, Any]:
        """Return what can be followed."""
        return {
            "type": "shared_node",
            "kind": self.kind,
            "key": self.key,
            "accounts": self.users,
            "other_accounts": self.others,
        }


def shared_nodes(source: Source, queries: Queries, row: int, most: int = _NODES_SHOWN) -> list[SharedNode]:
    r"""What the account of a question shares with others, what ties it most first; hubs are left out.

    A node with :math:`u` users ties the account to the latest 16 of the others by

    .. math:: \sum_j \frac{0.2 + 0.8\, e^{-|t - t_j| / 1\,\mathrm{d}}}{\max(1, \log_2 u)},

    :math:`t` being first appearances (0.2 where one of them is not known); an account that it dealt with ties
    it by its own term besides, as if two shared it. That is what the feature ``shared.joint`` sums, but for
    how alike they are. Taken away, the first node lowers scores more than the rarest one
    (benchmarks/reasons.py).

    Args:
        source: The graph.
        queries: The questions.
        row: The question.
        most: Nodes to give.

    Returns:
        Nodes among the latest 256 that the account touched and those that the question brings.
    """
    nodes = np.full(most, -1, dtype=np.int64)
    others = np.zeros(most, dtype=np.int64)
    accounts = np.full((most, _ACCOUNTS_SHOWN), -1, dtype=np.int64)
    brought = queries.ext_node[queries.ext_ptr[row] : queries.ext_ptr[row + 1]]
    asked = (int(queries.account[row]), int(queries.horizon[row]), int(queries.first_seen_ms[row]))
    _most_tying(graph_of(source), *asked, brought, nodes, others, accounts)
    return [
        SharedNode(
            *kind_and_key(source, int(node)),
            int(others[place]) + 1,
            [account_id(source, int(account)) for account in accounts[place] if account >= 0],
            int(node),
        )
        for place, node in enumerate(nodes)
        if node >= 0
    ]


def kind_and_key(source: Source, node: int) -> tuple[str, str]:
    """Name of a node's kind, and its key.

    Args:
        source: The graph.
        node: Node index.

    Returns:
        Both as the graph stores them.
    """
    if isinstance(source, LiveGraph):
        return source.kind_of(node), source.node_key(node)
    return source.kinds[int(source.node_kind[node])].name, source.node_keys[node]


def account_id(source: Source, account: int) -> str:
    """Id of an account, as the graph stores it.

    Args:
        source: The graph.
        account: Account index.

    Returns:
        The id.
    """
    return source.account_id(account) if isinstance(source, LiveGraph) else source.account_ids[account]


@compiled
def _closeness(graph: Graph, account: int, first_seen_ms: int) -> Any:
    """How close another account's first appearance is, 0.2 at quite different times."""
    other_ms = first_seen_of(graph, account)
    if first_seen_ms == NO_TIME or other_ms == NO_TIME:
        return _APART
    return _APART + (1.0 - _APART) * np.exp(-abs(other_ms - first_seen_ms) / DAY_MS)


@compiled
def _tie(graph: Graph, account: int, node: int, users: Span, count: int, first_seen_ms: int) -> Any:
    """How firmly a node with so many other users ties an account to them."""
    read = 0
    close = 0.0
    index = size_of(users) - 1
    while read < _USERS_TIED and index >= 0:
        other = account_at(graph, neighbour(graph, 2 * graph.n_sides, users, index))
        if other >= 0 and other != account:
            close += _closeness(graph, other, first_seen_ms)
            read += 1
        index -= 1
    tie = close / max(1.0, np.log2(count + 1.0))
    dealt_with = account_at(graph, node)
    if dealt_with >= 0 and dealt_with != account:
        tie += _closeness(graph, dealt_with, first_seen_ms)
    return tie


@compiled
def _most_tying(
    graph: Graph,
    account: int,
    horizon: int,
    first_seen_ms: int,
    brought: Any,
    nodes: Any,
    others: Any,
    accounts: Any,
) -> None:
    """Keep the nodes that tie the account most in order; of equal ones the rarer, then the lower, first."""
    ties = np.zeros(len(nodes), np.float64)
    by_node = 2 * graph.n_sides
    by_account = by_node + 1
    own = node_of(graph, account)
    met = visible_pairs(graph, by_account, own, horizon)
    n_met = min(size_of(met), _NODES_READ)
    for step in range(n_met + len(brought)):
        is_met = step < n_met
        if is_met:
            node = neighbour(graph, by_account, met, size_of(met) - 1 - step)
        else:
            node = np.int64(brought[step - n_met])
            if node < 0:
                continue
            is_met = knows(graph, by_account, by_node, own, node, horizon)
        if is_hub(graph, node, horizon):
            continue
        users = visible_pairs(graph, by_node, node, horizon)
        count = size_of(users) - (1 if is_met else 0)
        if count < 1:
            continue
        _insert(node, count, _tie(graph, account, node, users, count, first_seen_ms), nodes, others, ties)
    for place in range(len(nodes)):
        if nodes[place] < 0:
            break
        users = visible_pairs(graph, by_node, nodes[place], horizon)
        filled = accounts.shape[1]
        index = size_of(users) - 1
        while filled > 0 and index >= 0:
            other = account_at(graph, neighbour(graph, by_node, users, index))
            if other != account:
                filled -= 1
                accounts[place, filled] = other
            index -= 1


@compiled
def _insert(node: int, count: int, tie: float, nodes: Any, others: Any, ties: Any) -> None:
    place = len(nodes)
    for index in range(len(nodes)):
        if nodes[index] == node:
            return
    while place > 0 and (
        nodes[place - 1] < 0
        or tie > ties[place - 1]
        or (tie == ties[place - 1] and count < others[place - 1])
        or (tie == ties[place - 1] and count == others[place - 1] and node < nodes[place - 1])
    ):
        place -= 1
    if place < len(nodes):
        for index in range(len(nodes) - 1, place, -1):
            nodes[index] = nodes[index - 1]
            others[index] = others[index - 1]
            ties[index] = ties[index - 1]
        nodes[place] = node
        others[place] = count
        ties[place] = tie
