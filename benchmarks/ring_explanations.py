"""Does a ring dissolve without its minimal explanation? `python -m benchmarks.ring_explanations -h`.

Of a workspace's rings run, up to `--rings` rings are drawn. From each, the pieces of its minimal
explanation are taken out of the graph (`features.without`), the links between its members are computed anew
by the very code that found them, and the largest part that links of at least the weakest holding weight
still join is counted. Beside it as many pieces of the same ring: those that most members are attached to,
those that carry most of its links' weight, and random ones. A ring counts as dissolved as `rings.minimal`
defines it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from features import graph_of, profiles
from features.without import Edge, without
from graph_etl import Workspace
from rings import CommunityConfig, LinkConfig, RingsRun
from rings.behaviour import behaviour_neighbours
from rings.evidence import Grounds
from rings.links import links as find_links
from rings.links import links_of_graph
from rings.minimal import IN_STEP, Pieces, behaviour_alone, is_dissolved, minimal, pieces_of
from rings.pairs import PairModel, Pairs
from rings.weighing import Weighing
from ringwatch.scores import current_scores

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from graph_etl import Snapshot
    from rings.links import Links

WAYS = ("explanation", "highest degree", "highest weight", "random")


@dataclass(frozen=True)
class Row:
    """What is left of one ring after one way of choosing pieces.

    Attributes:
        ring: Its id.
        size: Members.
        way: One of `WAYS`.
        pieces: How many were taken away.
        left: Members of the largest part that is left.
        dissolved: Whether that is no longer the ring.
    """

    ring: str
    size: int
    way: str
    pieces: int
    left: int
    dissolved: bool


class Recomputed:
    """Links of a few accounts, computed anew without some of what they touch.

    Args:
        weighing: How the run weighed its pairs.
    """

    def __init__(self, weighing: Weighing) -> None:
        self._weighing = weighing
        self._snapshot = weighing.snapshot
        self._config = weighing.config
        self._table = profiles(self._snapshot)

    def links(self, accounts: NDArray[np.int64], nodes: Iterable[int]) -> Links:
        """The links that start at accounts.

        Args:
            accounts: Whose links.
            nodes: What they are not to touch; `IN_STEP` takes synchrony away.

        Returns:
            The links.
        """
        snapshot = self._snapshot
        gone = list(nodes)
        edges = [
            Edge(int(account), node)
            for node in gone
            if node != IN_STEP
            for account in accounts
            if int(snapshot.account_node[account]) != node
        ]
        graph = without(snapshot, edges)
        before = self._table[accounts].copy()
        self._table[accounts] = profiles(graph, accounts)
        config = self._config.model_copy(update={"synchrony": 0.0}) if IN_STEP in gone else self._config
        try:
            found = links_of_graph(
                snapshot, graph_of(graph), self._table, accounts, snapshot.end_horizon, config
            )
            return self._weighed(found, accounts, in_step=IN_STEP not in gone)
        finally:
            self._table[accounts] = before

    def _weighed(self, links: Links, accounts: NDArray[np.int64], *, in_step: bool) -> Links:
        """What a learned model makes of the links, and of the neighbours in behaviour that are left."""
        weighing, snapshot = self._weighing, self._snapshot
        if weighing.model is None:
            return links
        first_seen_ms = np.asarray(snapshot.first_seen_ms)
        # Features of a pair inside the ring need the pairs of its two ends alone.
        taking_part = weighing.accounts()
        near = behaviour_neighbours(self._table, first_seen_ms, taking_part)
        mine = np.zeros(snapshot.n_accounts, np.bool_)
        mine[accounts] = in_step
        rows = mine[near.a] | mine[near.b]
        near = replace(near, a=near.a[rows], b=near.b[rows], better=near.better[rows], worse=near.worse[rows])
        pairs = Pairs.of(links, near, self._table, first_seen_ms)
        return weighing.weighed(links, pairs.uncut(snapshot, weighing.horizon))


def largest_part(links: Links, accounts: NDArray[np.int64], weak: float) -> int:
    """Members of the largest part that links of at least ``weak`` join.

    Args:
        links: Links of the accounts.
        accounts: The ring, ascending.
        weak: Least weight that counts.

    Returns:
        Accounts in the part.
    """
    parent = {int(account): int(account) for account in accounts}

    def root(at: int) -> int:
        while parent[at] != at:
            at = parent[at]
        return at

    for a, b, weight in zip(links.a.tolist(), links.b.tolist(), links.weight.tolist(), strict=True):
        if weight >= weak and a in parent and b in parent:
            left, right = root(a), root(b)
            parent[max(left, right)] = min(left, right)
    roots = [root(at) for at in parent]
    return max(roots.count(at) for at in set(roots))


def choices(pieces: Pieces, ring: int, wanted: int, random: np.random.Generator) -> dict[str, list[int]]:
    """As many pieces of a ring, chosen in other ways.

    Args:
        pieces: The pieces of all rings.
        ring: Number of the ring.
        wanted: How many.
        random: Where chance comes from.

    Returns:
        Nodes by way.
    """
    here = slice(int(pieces.ring_ptr[ring]), int(pieces.ring_ptr[ring + 1]))
    rows = np.arange(here.start, here.stop)[pieces.members[here] >= 2]
    node, members, weight = pieces.node[rows], pieces.members[rows], pieces.weight[rows]
    return {
        "highest degree": node[np.lexsort((-weight, -members))][:wanted].tolist(),
        "highest weight": node[np.lexsort((-members, -weight))][:wanted].tolist(),
        "random": random.choice(node, min(wanted, len(node)), replace=False).tolist(),
    }


def weighing_of(place: Workspace, snapshot: Snapshot, run: RingsRun) -> Weighing:
    """How a run weighed its pairs.

    Args:
        place: The workspace.
        snapshot: The snapshot.
        run: The run.

    Returns:
        The weighing, with the run's own model and the scores of its bundle.
    """
    config = LinkConfig.model_validate(run.manifest["links"])
    weighing = Weighing(snapshot, snapshot.end_horizon, config)
    if run.pair_model is not None:
        scores = current_scores(place, snapshot, run.manifest["bundle"])
        width = profiles(snapshot, np.zeros(1, np.int64)).shape[1]
        model = PairModel(run.pair_model, width, {})
        known = None if scores.bundle is None else scores.score
        weighing = replace(weighing, model=model, scores=known)
    return weighing


def grounds_of(weighing: Weighing, run: RingsRun) -> Grounds:
    """What the evidence of a run is drawn from, put together again.

    Args:
        weighing: How the run weighed its pairs.
        run: The run.

    Returns:
        The grounds, rings in the order of their rank.
    """
    snapshot = weighing.snapshot
    unweighed = find_links(snapshot, None, weighing.config)
    place = {ring: at for at, ring in enumerate(run.table["ring"])}
    member = np.full(snapshot.n_accounts, -1, np.int32)
    for ring, account in run.members.select("ring", "account").iter_rows():
        member[account] = place[ring]
    links, in_step = unweighed, None
    if weighing.model is not None:
        pairs = weighing.pairs(unweighed)
        links = weighing.weighed(unweighed, pairs)
        in_step = behaviour_alone(weighing, pairs, member)
    return Grounds(
        snapshot=snapshot,
        horizon=snapshot.end_horizon,
        member=member,
        links=links,
        known_bad=snapshot.labels() == 1,
        density=run.table["density"].to_numpy(),
        p_value=run.table["p_value"].to_numpy(),
        q_value=run.table["q_value"].to_numpy(),
        nearest=[[] for _ in place],
        grouping=CommunityConfig.model_validate(run.manifest["communities"]),
        config=weighing.config,
        unweighed=None if weighing.model is None else unweighed,
        in_step=in_step,
    )


def measure(workspace: Path, n_rings: int, seed: int) -> tuple[list[Row], dict[str, Any]]:
    """Take explanations away and see what is left.

    Args:
        workspace: A workspace with a rings run.
        n_rings: Rings drawn at most; those with a minimal explanation, best ranks and others alike.
        seed: Draws rings and random pieces.

    Returns:
        A row for each ring and way, and what the run as a whole says.
    """
    place = Workspace(workspace)
    snapshot = place.open_snapshot()
    current = place.current()["rings"]
    if current is None:
        sys.exit(f"{workspace}: no rings run; `ringwatch rings --workspace {workspace}` makes one")
    run = RingsRun.open(place.path_of("rings", current))
    weighing = weighing_of(place, snapshot, run)
    grounds = grounds_of(weighing, run)
    weak = grounds.grouping.weak
    assert grounds.contacts is not None  # gathered before the clock starts: evidence needs it anyway
    began = time.perf_counter()
    found = minimal(grounds, weak)
    took_s = time.perf_counter() - began
    pieces = pieces_of(grounds)
    random = np.random.default_rng(seed)
    explained = [ring for ring, one in enumerate(found) if one.dissolves]
    drawn = sorted(random.permutation(explained)[:n_rings].tolist())
    again = Recomputed(weighing)
    rows: list[Row] = []
    for ring in drawn:
        accounts = grounds.accounts[ring]
        ways = {"explanation": found[ring].nodes} | choices(pieces, ring, len(found[ring].nodes), random)
        for way in WAYS:
            left = largest_part(again.links(accounts, ways[way]), accounts, weak)
            name, size = str(run.table["ring"][ring]), len(accounts)
            rows.append(Row(name, size, way, len(ways[way]), left, is_dissolved(left, size)))
    counts = [len(one.nodes) for one in found if one.dissolves]
    about = {
        "data": snapshot.manifest["name"],
        "snapshot": snapshot.id,
        "run": run.id,
        "seed": seed,
        "rings": len(found),
        "with_explanation": len(explained),
        "drawn": len(drawn),
        "pair_model": weighing.model is not None,
        "pieces_median": float(np.median(counts)) if counts else None,
        "pieces_mean": round(float(np.mean(counts)), 2) if counts else None,
        "links": len(grounds.links),
        "explaining_s": round(took_s, 2),
    }
    return rows, about


def table(rows: list[Row]) -> list[dict[str, Any]]:
    """Shares of rings that dissolve, by way.

    Args:
        rows: As `measure` gives them.

    Returns:
        One entry a way.
    """
    found = []
    for way in WAYS:
        mine = [row for row in rows if row.way == way]
        if mine:
            found.append(
                {
                    "way": way,
                    "rings": len(mine),
                    "dissolved": round(float(np.mean([row.dissolved for row in mine])), 4),
                    "left_share": round(float(np.mean([row.left / row.size for row in mine])), 4),
                    "one_piece_dissolved": _share([row.dissolved for row in mine if row.pieces == 1]),
                    "more_pieces_dissolved": _share([row.dissolved for row in mine if row.pieces > 1]),
                }
            )
    return found


def _share(held: list[bool]) -> float | None:
    return round(float(np.mean(held)), 4) if held else None


def main() -> None:
    """Read the command line, measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--workspace", type=Path, required=True, help="a workspace with a rings run")
    parser.add_argument("--rings", type=int, default=200, help="rings drawn at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print every row as JSON")
    given = parser.parse_args()
    rows, about = measure(given.workspace, given.rings, given.seed)
    if given.json:
        json.dump({"about": about, "table": table(rows), "rows": [asdict(row) for row in rows]}, sys.stdout)
        return
    print(" · ".join(f"{name} {value}" for name, value in about.items()))
    print(f"{'way':<16}{'rings':>6}{'dissolved':>11}{'1 piece':>9}{'more':>8}{'largest part left':>19}")
    for row in table(rows):
        one, more = (
            "–" if row[name] is None else f"{row[name]:.1%}"
            for name in ("one_piece_dissolved", "more_pieces_dissolved")
        )
        print(
            f"{row['way']:<16}{row['rings']:>6}{row['dissolved']:>11.1%}{one:>9}{more:>8}"
            f"{row['left_share']:>19.1%}"
        )


if __name__ == "__main__":
    main()
