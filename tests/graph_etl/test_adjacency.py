"""Edges by node, against the slow way."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from graph_etl.adjacency import distinct_pairs, group_by_node, touch_lists

_N_NODES = 6
_EDGES = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(1, 9)), max_size=40)


@given(_EDGES)
def test_every_edge_stands_at_its_owner_in_order(edges: list[tuple[int, int, int]]) -> None:
    owner, other, value = (np.array([edge[at] for edge in edges]) for at in range(3))
    csr = group_by_node(
        owner.astype(np.int32),
        other.astype(np.int32),
        np.arange(len(edges)),
        value.astype(np.float32),
        _N_NODES,
    )
    for node in range(_N_NODES):
        expected = [(b, pos, v) for pos, (a, b, v) in enumerate(edges) if a == node]
        at = csr.of(node)
        assert (
            list(zip(csr.nbr[at].tolist(), csr.pos[at].tolist(), csr.value[at].tolist(), strict=True))
            == expected
        )
        assert csr.nbr[csr.of(node, 10)].tolist() == [b for b, pos, _ in expected if pos < 10]


@given(_EDGES)
def test_pairs_are_the_first_of_each_with_the_sum_of_all(edges: list[tuple[int, int, int]]) -> None:
    owner, other, value = (np.array([edge[at] for edge in edges]) for at in range(3))
    csr = group_by_node(
        owner.astype(np.int32),
        other.astype(np.int32),
        np.arange(len(edges)),
        value.astype(np.float32),
        _N_NODES,
    )
    pairs = distinct_pairs(csr)
    assert (pairs is csr) == (len({edge[:2] for edge in edges}) == len(edges))
    for node in range(_N_NODES):
        expected: dict[int, tuple[int, float]] = {}
        for pos, (a, b, v) in enumerate(edges):
            if a == node:
                first, total = expected.get(b, (pos, 0.0))
                expected[b] = (first, total + v)
        at = pairs.of(node)
        found = zip(pairs.nbr[at].tolist(), pairs.pos[at].tolist(), pairs.value[at].tolist(), strict=True)
        assert [(b, (pos, v)) for b, pos, v in found] == list(expected.items())


@given(_EDGES)
def test_touch_lists_hold_each_pair_once_at_its_first_position(edges: list[tuple[int, int, int]]) -> None:
    account, touched, pos = (np.array([edge[at] for edge in edges], np.int64) for at in range(3))
    by_node, by_account = touch_lists(account.astype(np.int32), touched.astype(np.int32), pos, _N_NODES)
    first: dict[tuple[int, int], int] = {}
    for a, b, at in edges:
        first[a, b] = min(at, first.get((a, b), at))
    for node in range(_N_NODES):
        for found, expected in (
            (by_account, sorted((at, b) for (a, b), at in first.items() if a == node)),
            (by_node, sorted((at, a) for (a, b), at in first.items() if b == node)),
        ):
            own = slice(int(found.indptr[node]), int(found.indptr[node + 1]))
            assert list(zip(found.pos[own].tolist(), found.nbr[own].tolist(), strict=True)) == expected
