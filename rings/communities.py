"""Communities of linked accounts: Leiden, then cut where only weak links hold them together."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Literal

import igraph
import numpy as np
from numba import njit
from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rings.links import Links


class CommunityConfig(BaseModel):
    """How links become communities.

    Attributes:
        objective: ``potts``, the constant Potts model (Traag, Van Dooren and Nesterov, 2011), has no
            resolution limit, so no giant component appears; ``modularity`` (Newman and Girvan, 2004) cuts a
            platform into parts whose size follows the platform's.
        resolution: With ``potts`` the least mean link weight between the members of a community; with
            ``modularity`` the factor on what chance would give.
        weak: Links below this weight do not hold a community together.
        least_tie: Members whose mean link weight to the others is below this times the resolution are let go.
        smallest: Accounts that a ring has at least.
        iterations: Passes of Leiden.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    objective: Literal["potts", "modularity"] = "potts"
    resolution: float = Field(default=0.06, gt=0)
    weak: float = Field(default=0.05, ge=0)
    least_tie: float = Field(default=0.5, ge=0)
    smallest: int = Field(default=3, ge=2)
    iterations: int = Field(default=3, ge=1)


def communities(links: Links, n_accounts: int, config: CommunityConfig, seed: int = 0) -> NDArray[np.int32]:
    """Group accounts that act together.

    Args:
        links: Weighted links.
        n_accounts: Number of accounts, ``A``.
        config: How.
        seed: Leiden visits accounts in a random order that this fixes.

    Returns:
        ``int32[A]``: community of each account, -1 for none; numbered by their first account.
    """
    member = np.full(n_accounts, -1, np.int32)
    if not len(links):
        return member
    # Only accounts with links take part, in ascending order, so that isolated ones never change the result.
    takes_part = np.zeros(n_accounts, np.bool_)
    takes_part[links.a] = takes_part[links.b] = True
    linked = np.flatnonzero(takes_part)
    number = np.cumsum(takes_part) - 1
    a, b = number[links.a], number[links.b]
    graph = igraph.Graph(n=len(linked), edges=np.column_stack([a, b]))
    igraph.set_random_number_generator(random.Random(seed))
    try:
        found = graph.community_leiden(
            objective_function="CPM" if config.objective == "potts" else "modularity",
            weights=links.weight.astype(np.float64).tolist(),
            resolution=config.resolution,
            n_iterations=config.iterations,
        )
    finally:
        igraph.set_random_number_generator(random)
    part = np.asarray(found.membership, np.int32)
    _cut_weak(a.astype(np.int32), b.astype(np.int32), links.weight, part, config.weak)
    _let_go(a.astype(np.int32), b.astype(np.int32), links.weight, part, config.resolution * config.least_tie)
    size = np.bincount(part[part >= 0], minlength=1)
    part[(part >= 0) & (size[np.maximum(part, 0)] < config.smallest)] = -1
    inside = part >= 0
    _, first, numbered = np.unique(part[inside], return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int32)
    rank[np.argsort(first, kind="stable")] = np.arange(len(first), dtype=np.int32)
    member[linked[inside]] = rank[numbered]
    return member


@njit(cache=True)
def root_of(parent: Any, at: int) -> int:
    """The root of a tree of a union-find forest; the way there is halved."""
    while parent[at] != at:
        parent[at] = parent[parent[at]]
        at = parent[at]
    return at


@njit(cache=True)
def _cut_weak(a: Any, b: Any, weight: Any, part: Any, weak: float) -> None:
    """Split communities into what links of at least ``weak`` hold together, in place."""
    parent = np.arange(len(part))
    for link in range(len(a)):
        if part[a[link]] == part[b[link]] and weight[link] >= weak:
            left = root_of(parent, a[link])
            right = root_of(parent, b[link])
            if left < right:
                parent[right] = left
            else:
                parent[left] = right
    for at in range(len(part)):
        part[at] = root_of(parent, at)


@njit(cache=True)
def _let_go(a: Any, b: Any, weight: Any, part: Any, least: float) -> None:
    """Take accounts out of their community whose mean link weight to its others is below ``least``."""
    size = np.zeros(len(part), np.int64)
    for at in range(len(part)):
        size[part[at]] += 1
    tie = np.zeros(len(part), np.float64)
    for link in range(len(a)):
        if part[a[link]] == part[b[link]]:
            tie[a[link]] += weight[link]
            tie[b[link]] += weight[link]
    for at in range(len(part)):
        others = size[part[at]] - 1
        if others < 1 or tie[at] / others < least:
            part[at] = -1
