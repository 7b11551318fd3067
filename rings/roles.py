"""What each member is to its ring."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rings.links import Links

ROLES: Final = ("core", "bridge", "periphery", "beneficiary", "feeder")
"""What a member can be.

- ``core``: tied to the ring at least half as firmly as its members are on average;
- ``bridge``: tied to members of other rings more firmly than to its own;
- ``periphery``: tied to the ring less than half as firmly as its members are on average;
- ``beneficiary``: at least 40 % of the ring, and three members at least, sent it something, and it sent
  something to fewer than half as many;
- ``feeder``: it sent something to a beneficiary; or it feeds the ring: it sent something to at least 40 % of
  it, and three members at least, and fewer than half as many sent it something.

Where several fit, the flow of value says more than ties do: beneficiary, then a source that feeds the ring,
then bridge, then one that feeds a beneficiary, then periphery.
"""

_CORE, _BRIDGE, _PERIPHERY, _BENEFICIARY, _FEEDER = range(5)
# A beneficiary is paid, and a source pays, at least this share of the ring and three members at least.
_PAYING_SHARE = 0.4
_PAYING_LEAST = 3


def ties(links: Links, member: NDArray[np.int32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How firmly accounts are tied to their own ring and to other rings.

    Args:
        links: The links.
        member: ``int32[A]``, ring of each account or -1.

    Returns:
        ``float64[A]`` twice: sum of weights of links inside the ring, and to members of other rings.
    """
    left, right = member[links.a], member[links.b]
    inside = (left >= 0) & (left == right)
    outside = (left >= 0) & (right >= 0) & (left != right)
    size = len(member)
    both: list[NDArray[np.float64]] = []
    for rows in (inside, outside):
        weight = links.weight[rows].astype(np.float64)
        sums = np.bincount(links.a[rows], weight, minlength=size)
        both.append((sums + np.bincount(links.b[rows], weight, minlength=size)).astype(np.float64))
    return both[0], both[1]


def roles(
    member: NDArray[np.int32],
    inner: NDArray[np.float64],
    outer: NDArray[np.float64],
    payer: NDArray[np.int32],
    payee: NDArray[np.int32],
) -> NDArray[np.int8]:
    """Give every member a role.

    Args:
        member: ``int32[A]``, ring of each account or -1.
        inner: ``float64[A]`` sum of link weights inside the ring.
        outer: ``float64[A]`` sum of link weights to other rings' members.
        payer: ``int32[P]``, accounts that a directed interaction goes out from; a pair that dealt in several
            ways counts once.
        payee: ``int32[P]``, accounts that it goes to.

    Returns:
        ``int8[A]`` into `ROLES`, -1 for accounts in no ring.
    """
    role = np.full(len(member), -1, np.int8)
    inside = member >= 0
    if not inside.any():
        return role
    size = np.bincount(member[inside])
    mean = np.bincount(member[inside], inner[inside]) / size
    role[inside] = _CORE
    ring = np.maximum(member, 0)
    role[inside & (inner < 0.5 * mean[ring])] = _PERIPHERY
    role[inside & (outer > inner)] = _BRIDGE
    within = (member[payer] >= 0) & (member[payer] == member[payee]) & (payer != payee)
    pair = np.unique(payer[within].astype(np.int64) * len(member) + payee[within])
    payer, payee = pair // len(member), pair % len(member)
    paid = np.bincount(payee, minlength=len(member))
    pays = np.bincount(payer, minlength=len(member))
    many = np.maximum(_PAYING_LEAST, _PAYING_SHARE * size[ring])
    collects = inside & (paid >= many) & (paid > 2 * pays)
    feeds = inside & (pays >= many) & (pays > 2 * paid)
    role[collects] = _BENEFICIARY
    feeders = payer[collects[payee]]
    feeders = feeders[~collects[feeders] & (role[feeders] != _BRIDGE)]
    role[feeders] = _FEEDER
    role[feeds] = _FEEDER
    return role


def confidence(inner: NDArray[np.float64], outer: NDArray[np.float64]) -> NDArray[np.float64]:
    r"""How sure it is that an account belongs to its ring.

    .. math:: (1 - e^{-t}) \cdot t / (t + o)

    with :math:`t` the sum of weights of its links inside the ring and :math:`o` of those to members of other
    rings: 0 without a tie, .63 where links of weight 1 in all tie it to its ring alone, half of that where
    another ring ties it as firmly, towards 1 the more links of its ring agree.

    Args:
        inner: ``float64[n]``, :math:`t`.
        outer: ``float64[n]``, :math:`o`.

    Returns:
        ``float64[n]`` in [0, 1).
    """
    return np.asarray((1.0 - np.exp(-inner)) * inner / np.maximum(inner + outer, 1e-12), np.float64)
