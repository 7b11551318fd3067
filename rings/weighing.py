"""The weights that rings are found with: those of links, or what a model learned from known groups."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from features import profiles, view_of
from graph_etl.progress import silent
from rings.behaviour import Ranking, behaviour_neighbours, ranking, timed_of
from rings.communities import CommunityConfig
from rings.kernel import SYNCHRONY
from rings.links import LinkConfig, Links, links_of_graph
from rings.pairs import PairModel, Pairs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from features.visibility import Graph
    from graph_etl import Snapshot
    from graph_etl.progress import Progress
    from rings.spread import Spread
    from rings.yardstick import Yardstick

LEARNED: Final = CommunityConfig(resolution=0.25)
"""How learned weights become communities: they lie higher than the weights of links."""

LEAST: Final = 0.1
"""Links that a model weighed are dropped below this: they never hold a ring together."""

# What is left of a pair's weight where both accounts look good: a ring of accounts that no score knows yet
# must still be found.
_FLOOR: Final = 0.3


@dataclass(frozen=True)
class Weighing:
    """How the pairs of a platform are weighed, as it is or as chance would deal it out.

    Attributes:
        snapshot: The snapshot.
        horizon: Entries with a position below it count.
        config: How links are weighed.
        scores: ``float[A]``, how likely each account is bad, NaN where unknown; None if nobody knows.
        model: Learned from known groups; None: links keep their weights.
        yardstick: Of an earlier run, to compare behaviour by; None: this platform's own ranks.
    """

    snapshot: Snapshot
    horizon: int
    config: LinkConfig
    scores: NDArray[np.floating[Any]] | None = None
    model: PairModel | None = None
    yardstick: Yardstick | None = None

    @cached_property
    def _profiles(self) -> NDArray[np.float32]:
        return profiles(self.snapshot, None, self.horizon)

    def ranks(
        self,
    ) -> tuple[tuple[int, ...], tuple[NDArray[np.float32], ...], tuple[NDArray[np.float32], ...]]:
        """The ranks that behaviour is compared by, see `rings.behaviour.ranking`."""
        found = self._ranking
        return found.places, found.values, found.ranks

    @cached_property
    def _ranking(self) -> Ranking:
        timed = timed_of(np.asarray(self.snapshot.first_seen_ms), self.accounts())
        return ranking(self._profiles, timed)

    def with_model(self, model: PairModel | None) -> Weighing:
        """The same with a model; what is known of behaviour goes along.

        Args:
            model: Learned from known groups.

        Returns:
            The new weighing.
        """
        found = replace(self, model=model)
        worked_out = self.__dict__.keys() & {"_profiles", "_ranking"}
        found.__dict__.update({name: self.__dict__[name] for name in worked_out})
        return found

    def __getstate__(self) -> dict[str, Any]:
        """Without what it has worked out so far, which is larger than the work to do it again."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    def accounts(self) -> NDArray[np.int64]:
        """Accounts that are visible and no hubs."""
        view = view_of(self.snapshot)
        seen = np.asarray(self.snapshot.first_pos) < self.horizon
        plain = np.asarray(view.hub_since)[np.asarray(self.snapshot.account_node)] >= self.horizon
        return np.flatnonzero(seen & plain)

    def pairs(
        self,
        links: Links,
        table: NDArray[np.float32] | None = None,
        accounts: NDArray[np.int64] | None = None,
    ) -> Pairs:
        """Links, and accounts that appeared together and behave alike; pairs that a person cut are left out.

        Args:
            links: The links.
            table: ``float32[A, D]`` profiles; the snapshot's if None.
            accounts: ``int64[n]``, who takes part; all that `accounts` gives if None.

        Returns:
            The pairs.
        """
        behaviour = self._profiles if table is None else table
        first_seen_ms = np.asarray(self.snapshot.first_seen_ms)
        taking_part = self.accounts() if accounts is None else accounts
        compared = None
        if table is None and accounts is None and self.yardstick is None:
            compared = self._ranking.table
        near = behaviour_neighbours(behaviour, first_seen_ms, taking_part, self.yardstick, compared)
        pairs = Pairs.of(links, near, behaviour, first_seen_ms)
        return pairs.uncut(self.snapshot, self.horizon)

    def weighed(
        self,
        links: Links,
        pairs: Pairs | None = None,
        order: NDArray[np.int64] | None = None,
        *,
        spread: Spread | None = None,
        tell: Progress = silent,
    ) -> Links:
        r"""The weights that communities are found with.

        With a model :math:`\sqrt{p} \, (0.3 + 0.7 \sqrt{s_a s_b})`, where :math:`p` is how likely two
        accounts act together and :math:`s` how likely each is bad; without one those of the links. The root
        holds a ring together in which a few pairs are only fairly likely; with it fewer honest accounts
        came into the first rings of hop_sybil.

        Args:
            links: The links.
            pairs: What `pairs` gives, where it is known already.
            order: ``int64[A]``: whose behaviour and score each account is given, to undo what they have to do
                with whom it meets.
            spread: What runs the pieces; this process, one after another, if None.
            tell: Told what is done.

        Returns:
            Links; those that only behaviour makes count as synchrony.
        """
        if self.model is None:
            return links
        if pairs is None:
            pairs = self.pairs(links, None if order is None else self._profiles[order])
        weight = np.sqrt(self.model.probability(pairs, spread=spread, tell=tell))
        if self.scores is not None:
            given = np.asarray(self.scores, np.float64)
            # An account without a score stands in nobody's way.
            bad = np.where(np.isnan(given), 1.0, given)
            bad = bad if order is None else bad[order]
            together = np.sqrt(bad[pairs.links.a] * bad[pairs.links.b])
            weight = (weight * (_FLOOR + (1.0 - _FLOOR) * together)).astype(np.float32)
        source = np.where(pairs.links.source == 0, SYNCHRONY, pairs.links.source).astype(np.uint8)
        return replace(pairs.links, weight=weight, source=source).take(weight >= LEAST)

    def by_chance(
        self, graph: Graph, order: NDArray[np.int64], sample: NDArray[np.int64] | None = None
    ) -> Links:
        """The same in a graph that was dealt out anew.

        Args:
            graph: The graph, see `rings.null_model.rewired`.
            order: ``int64[A]``: whose behaviour each account is given.
            sample: ``int64[n]``, those of `accounts` among whom it was dealt out; all of them if None.

        Returns:
            The links.
        """
        table = self._profiles[order]
        seen = np.flatnonzero(np.asarray(self.snapshot.first_pos) < self.horizon)
        if sample is not None:
            seen = sample
        chance = links_of_graph(self.snapshot, graph, table, seen, self.horizon, self.config)
        if sample is not None:
            # Synchrony finds others that appeared just outside.
            inside = np.zeros(self.snapshot.n_accounts, np.bool_)
            inside[sample] = True
            chance = chance.take(inside[chance.a] & inside[chance.b])
        if self.model is None:
            return chance
        return self.weighed(chance, self.pairs(chance, table, sample), order)
