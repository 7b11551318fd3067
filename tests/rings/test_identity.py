"""Ring ids: they last while a ring mostly stays together, and tell of splits and merges."""

from hypothesis import given
from hypothesis import strategies as st

from rings.identity import born_id, identify

A = ["a1", "a2", "a3", "a4", "a5", "a6"]
B = ["b1", "b2", "b3", "b4"]


def test_a_new_ring_has_an_id_made_of_its_members() -> None:
    first = identify([A, B], {})
    again = identify([list(reversed(B)), A], {})
    assert first.ids == list(reversed(again.ids))
    assert all(len(name) == 11 and name[0] == "r" for name in first.ids)
    assert first.parents == [[], []]
    assert born_id(A) != born_id(A[:-1])


def test_a_ring_that_loses_and_gains_members_keeps_its_id() -> None:
    later = identify([[*A[:5], "new"]], {"r1": A})
    assert later.ids == ["r1"]
    assert later.parents == [[]]
    assert later.ended == {}


def test_after_a_split_the_larger_part_keeps_the_id_and_the_other_names_its_parent() -> None:
    later = identify([A[:2], A[2:]], {"r1": A})
    assert later.ids[1] == "r1"
    assert later.ids[0] not in {"r1"}
    assert later.parents == [["r1"], []]
    assert later.ended == {}


def test_after_a_merger_the_larger_ring_goes_on_and_the_smaller_has_ended_in_it() -> None:
    later = identify([A + B], {"r1": A, "r2": B})
    assert later.ids == ["r1"]
    assert later.parents == [["r2"]]
    assert later.ended == {"r2": ["r1"]}


def test_one_common_member_makes_no_heir() -> None:
    later = identify([["a1", "z1", "z2"]], {"r1": A})
    assert later.ids[0] != "r1"
    assert later.parents == [[]]
    assert later.ended == {"r1": []}


def test_an_id_is_never_given_twice() -> None:
    # The ring is born with the very members that an older ring of another name once had.
    taken = born_id(A)
    later = identify([A, B], {taken: B})
    assert later.ids == [born_id(A, {taken}), taken]


@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=40),
    st.lists(st.integers(0, 6), min_size=1, max_size=40),
    st.randoms(use_true_random=False),
)
def test_ids_do_not_hang_on_the_order_of_rings(before: list[int], after: list[int], random: object) -> None:
    old: dict[str, list[str]] = {}
    for at, ring in enumerate(before):
        old.setdefault(f"r{ring}", []).append(f"a{at}")
    new: dict[int, list[str]] = {}
    for at, ring in enumerate(after):
        new.setdefault(ring, []).append(f"a{at}")
    rings = list(new.values())
    shuffled = rings.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = identify(rings, old), identify(shuffled, dict(reversed(old.items())))
    assert dict(zip(map(tuple, rings), one.ids, strict=True)) == dict(
        zip(map(tuple, shuffled), other.ids, strict=True)
    )
    assert len(set(one.ids)) == len(one.ids)
