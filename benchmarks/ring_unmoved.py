"""What 1 % of new events leave to the bit as it was: profiles, weights of links, columns of pairs.

    python -m benchmarks.ring_incremental --work DIR
    python benchmarks/ring_unmoved.py DIR/hop_sybil_1_0.01/workspace

Compares the first two snapshots of a workspace, the one with fewer events as the run before; behaviour is
ranked in both by the ranks of the first, as a run that builds on it does. What is not the same would have to
be found anew: this is the most that a run on the run before could keep.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import rings
from graph_etl import Snapshot
from rings.links import LinkConfig
from rings.weighing import Weighing
from rings.yardstick import Yardstick

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rings.links import Links


class Found:
    """Links and pairs of one snapshot.

    Args:
        snapshot: The snapshot.
        yardstick: Ranks to compare behaviour by; its own if None.
    """

    def __init__(self, snapshot: Snapshot, yardstick: Yardstick | None) -> None:
        weighing = Weighing(snapshot, snapshot.end_horizon, LinkConfig(), None, yardstick=yardstick)
        self.links = rings.links(snapshot)
        pairs = weighing.pairs(self.links)
        self.ranks = weighing.ranks()
        self.pairs, self.profiles = pairs.links, pairs.profiles
        self.columns = pairs.features(np.arange(len(pairs)))
        self.names = snapshot.names_of_nodes()[np.asarray(snapshot.account_node)]


def unmoved(values: NDArray[Any], before: NDArray[Any]) -> NDArray[np.bool_]:
    """``bool[n]``: rows that are the same in every column."""
    same = (values == before) | (np.isnan(values) & np.isnan(before))
    return np.asarray(same.reshape(len(same), -1).all(axis=1), np.bool_)


def share(
    links: Links, values: NDArray[Any], earlier: Links, before: NDArray[Any], now: NDArray[Any]
) -> tuple[float, float]:
    """Shares of pairs that were there before, and that have the same values too."""
    size = int(max(links.b.max(), now.max())) + 1
    ends = np.sort(np.stack([now[earlier.a], now[earlier.b]]), axis=0)
    order = np.lexsort((ends[1], ends[0]))
    key = (ends[0] * size + ends[1])[order]
    wanted = links.a.astype(np.int64) * size + links.b
    at = np.minimum(np.searchsorted(key, wanted), len(key) - 1)
    there = key[at] == wanted
    same = unmoved(values[there], before[order][at[there]])
    return float(there.mean()), float(same.sum()) / len(wanted)


def main() -> None:
    """Compare two snapshots."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("workspace", type=Path)
    folders = sorted((parser.parse_args().workspace / "snapshots").iterdir())
    first, then = sorted((Snapshot.open(folder) for folder in folders), key=lambda one: one.end_horizon)[:2]
    old = Found(first, None)
    none = np.zeros(0)
    new = Found(then, Yardstick(none, none, 1, 1.0, 1, *old.ranks))
    order = np.argsort(new.names)
    now = order[np.searchsorted(new.names[order], old.names)]
    print(f"{1 - first.end_horizon / then.end_horizon:.2%} of {then.end_horizon:,} events are new")
    print(f"profiles as they were: {unmoved(new.profiles[now], old.profiles).mean():.1%}")
    for what, links, values, earlier, before in (
        ("links, weights", new.links, new.links.weight, old.links, old.links.weight),
        ("pairs, columns", new.pairs, new.columns, old.pairs, old.columns),
    ):
        there, same = share(links, values, earlier, before, now)
        print(f"{what}: {len(links):,}, there before {there:.1%}, as they were {same:.1%}")


if __name__ == "__main__":
    main()
