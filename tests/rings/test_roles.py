"""Roles: who holds a ring together, who collects and who pays."""

import numpy as np

from rings.links import Links
from rings.roles import ROLES, confidence, roles, ties

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


def test_a_pair_that_deals_in_several_ways_counts_once() -> None:
    # Two payers in two ways each are still two.
    member = np.zeros(5, np.int32)
    payer, payee = np.array([1, 2, 1, 2], np.int32), np.zeros(4, np.int32)
    assert "beneficiary" not in named(roles(member, np.ones(5), np.zeros(5), payer, payee))


def test_who_funds_the_ring_feeds_it() -> None:
    member = np.zeros(5, np.int32)
    payer, payee = np.array([0, 0, 0, 4], np.int32), np.array([1, 2, 3, 0], np.int32)
    found = named(roles(member, np.ones(5), np.zeros(5), payer, payee))
    assert found == ["feeder", "core", "core", "core", "core"]
    # Paid back by two of three it is no source: 3 is not more than twice 2.
    payer, payee = np.array([0, 0, 0, 1, 2], np.int32), np.array([1, 2, 3, 0, 0], np.int32)
    assert set(named(roles(member, np.ones(5), np.zeros(5), payer, payee))) == {"core"}


def test_a_firm_tie_elsewhere_hides_no_flow_to_a_beneficiary() -> None:
    member = np.array([0, 0, 0, 0, 1], np.int32)
    outer = np.array([9.0, 9.0, 0.0, 0.0, 0.0])
    payer, payee = np.array([1, 2, 3], np.int32), np.zeros(3, np.int32)
    found = named(roles(member, np.ones(5), outer, payer, payee))
    assert found == ["beneficiary", "bridge", "feeder", "feeder", "core"]


def test_confidence_is_worked_out_by_hand() -> None:
    found = confidence(np.array([0.0, 1.0, 1.0, 20.0]), np.array([0.0, 0.0, 1.0, 0.0]))
    assert found.round(4).tolist() == [0.0, 0.6321, 0.3161, 1.0]
