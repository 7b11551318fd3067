"""What each member is to its ring."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rings.links import Links

ROLES: Final = ("core", "bridge", "periphery", "beneficiary", "feeder")
"""Tied to most of the ring; tied to other rings as firmly; loosely tied; paid by the others; paying it."""

_CORE, _BRIDGE, _PERIPHERY, _BENEFICIARY, _FEEDER = range(5)
# A beneficiary is paid by at least this share of the ring and by three members at least.
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
        payer: ``int32[P]``, accounts that a directed interaction goes out from, each pair once.
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
    payer, payee = payer[within], payee[within]
    paid = np.bincount(payee, minlength=len(member))
    pays = np.bincount(payer, minlength=len(member))
    collects = inside & (paid >= np.maximum(_PAYING_LEAST, _PAYING_SHARE * size[ring])) & (paid > 2 * pays)
    role[collects] = _BENEFICIARY
    feeders = payer[collects[payee]]
    feeders = feeders[~collects[feeders] & (role[feeders] != _BRIDGE)]
    role[feeders] = _FEEDER
    return role
