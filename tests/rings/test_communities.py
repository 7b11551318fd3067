"""Communities: no giant component, weak links cut, the same again for a seed."""

from itertools import combinations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rings import CommunityConfig, Links
from rings.communities import communities
from rings.significance import group_sums

CONFIG = CommunityConfig()


def links_of(pairs: dict[tuple[int, int], float]) -> Links:
    ends = sorted(pairs)
    a, b = (np.array([pair[side] for pair in ends], np.int32) for side in (0, 1))
    weight = np.array([pairs[pair] for pair in ends], np.float32)
    return Links(a, b, weight, np.ones(len(ends), np.uint8), np.full(len(ends), -1, np.int32))


def clique(first: int, size: int, weight: float) -> dict[tuple[int, int], float]:
    return dict.fromkeys(combinations(range(first, first + size), 2), weight)


def test_two_groups_joined_by_one_strong_link_stay_two() -> None:
    pairs = clique(0, 6, 0.5) | clique(6, 5, 0.4) | {(5, 6): 0.9}
    member = communities(links_of(pairs), 12, CONFIG)
    assert member.tolist() == [0] * 6 + [1] * 5 + [-1]


def test_links_below_weak_hold_nothing_together() -> None:
    config = CommunityConfig(resolution=0.01, weak=0.3, least_tie=0)
    assert (communities(links_of(clique(0, 5, 0.2)), 5, config) == -1).all()
    assert (communities(links_of(clique(0, 5, 0.4)), 5, config) == 0).all()


def test_a_long_chain_is_no_ring() -> None:
    chain = {(at, at + 1): 0.3 for at in range(99)}
    member = communities(links_of(chain), 100, CONFIG)
    assert np.bincount(member[member >= 0]).max() <= 12


def test_pairs_are_no_ring() -> None:
    assert (communities(links_of({(0, 1): 0.9}), 3, CONFIG) == -1).all()


def test_no_links_no_communities() -> None:
    assert communities(links_of({}), 4, CONFIG).tolist() == [-1] * 4


@settings(max_examples=30, deadline=None)
@given(
    st.dictionaries(
        st.tuples(st.integers(0, 25), st.integers(26, 50)), st.floats(0.03, 1.0), min_size=1, max_size=150
    ),
    st.integers(0, 3),
)
def test_communities_are_dense_large_enough_and_repeatable(
    pairs: dict[tuple[int, int], float], seed: int
) -> None:
    links = links_of(pairs)
    member = communities(links, 60, CONFIG, seed)
    again = communities(links, 60, CONFIG, seed)
    assert np.array_equal(member, again)
    sums = group_sums(links, member)
    if len(sums.size):
        assert sums.size.min() >= CONFIG.smallest
    # Numbered by their first account.
    firsts = [int(np.flatnonzero(member == ring)[0]) for ring in range(member.max() + 1)]
    assert firsts == sorted(firsts)
