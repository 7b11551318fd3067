"""Names of rows: equal for equal rows, the same on every machine."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from graph_etl.identity import first_with_name, occurrence_numbers, row_names
from graph_etl.snapshot import node_hashes

_WORDS = st.lists(st.integers(0, 2**64 - 1).filter(lambda word: word % 3 == 0), max_size=40)


def test_names_do_not_change_between_versions() -> None:
    # Staged parts and snapshots on disk hold these names.
    names = row_names([np.array([1, 2]), np.array([0.5, 0.5])], 2)
    assert [f"{low:x}.{high:x}" for low, high in names.tolist()] == [
        "ec8eb592dd329d5c.b82c94763c9affcc",
        "bbcebd7ff89d349c.f8c5a0a3780ae39a",
    ]
    assert node_hashes("ip", ["10.0.0.1"]).tolist() == [[5108830422736529898, 10872556482177985862]]


@given(st.lists(st.sampled_from([3, 5, 2**63, 2**64 - 1]), max_size=60))
def test_first_with_name_is_the_first_equal_row(words: list[int]) -> None:
    names = row_names([np.array(words, np.uint64)], len(words))
    assert first_with_name(names).tolist() == [words.index(word) for word in words]
    expected = [words[:at].count(word) for at, word in enumerate(words)]
    assert occurrence_numbers(names).tolist() == expected


@given(_WORDS)
def test_different_rows_have_different_names(words: list[int]) -> None:
    names = row_names([np.array(words, np.uint64)], len(words))
    assert len({tuple(name) for name in names.tolist()}) == len(set(words))


def test_the_order_of_columns_matters() -> None:
    one, other = np.array([1]), np.array([2])
    assert row_names([one, other], 1).tolist() != row_names([other, one], 1).tolist()


def test_the_kind_is_part_of_a_nodes_name() -> None:
    assert node_hashes("ip", ["x"]).tolist() != node_hashes("device", ["x"]).tolist()
