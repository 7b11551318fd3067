"""Roles: who holds a ring together, who collects and who pays."""

import numpy as np

from rings.links import Links
from rings.roles import ROLES, roles, ties

NOBODY = np.zeros(0, np.int32)


def named(role: np.ndarray[tuple[int], np.dtype[np.int8]]) -> list[str]:
    return [ROLES[number] if number >= 0 else "" for number in role]


def test_a_funnel_has_a_beneficiary_and_feeders() -> None:
    member = np.zeros(5, np.int32)
    payer, payee = np.array([1, 2, 3], np.int32), np.array([0, 0, 0], np.int32)
    even = np.ones(5)
    found = named(roles(member, even, np.zeros(5), payer, payee))
    assert found == ["beneficiary", "feeder", "feeder", "feeder", "core"]


def test_two_payers_make_no_beneficiary() -> None:
    member = np.zeros(5, np.int32)
    payer, payee = np.array([1, 2], np.int32), np.array([0, 0], np.int32)
    assert "beneficiary" not in named(roles(member, np.ones(5), np.zeros(5), payer, payee))


def test_payments_from_outside_the_ring_do_not_count() -> None:
    member = np.array([0, 0, 0, 1, 1, 1], np.int32)
    payer, payee = np.array([3, 4, 5], np.int32), np.array([0, 0, 0], np.int32)
    assert set(named(roles(member, np.ones(6), np.zeros(6), payer, payee))) == {"core"}


def test_loosely_tied_members_and_bridges() -> None:
    # The ring's mean tie is (3 + 3 + 0.4 + 1.6) / 4 = 2.
    member = np.array([0, 0, 0, 0, -1], np.int32)
    inner = np.array([3.0, 3.0, 0.4, 1.6, 0.0])
    outer = np.array([0.0, 0.0, 0.1, 2.0, 5.0])
    assert named(roles(member, inner, outer, NOBODY, NOBODY)) == ["core", "core", "periphery", "bridge", ""]


def test_ties_inside_and_to_other_rings() -> None:
    links = Links(
        np.array([0, 1, 2], np.int32),
        np.array([1, 2, 4], np.int32),
        np.array([0.5, 0.25, 0.75], np.float32),
        np.ones(3, np.uint8),
        np.full(3, -1, np.int32),
    )
    inner, outer = ties(links, np.array([0, 0, 1, -1, -1], np.int32))
    assert inner.tolist() == [0.5, 0.5, 0.0, 0.0, 0.0]
    assert outer.tolist() == [0.0, 0.25, 0.25, 0.0, 0.0]
