"""Do reasons name what carries a score? Named evidence is taken away, then as many random links.

    python benchmarks/reasons.py NAME=WORKSPACE... [--accounts N] [--seed N]

Each workspace holds a snapshot and a current bundle (`ringwatch build`, `ringwatch train`). Of the accounts
that score in the top 5 %, N are drawn (200). Of each the first 1, 2 and 3 nodes that its reasons name are
taken out of the graph (`features.without`: all that lies between the account and the node) and everything is
computed anew: features, links, GraphSAGE, trees. Named are those

- of *explain*: as `ringwatch explain` and `GET /v1/accounts/{id}/reasons` order them, by what they carry;
- of *risk*: as `POST /v1/risk` orders them, by what ties the account to others, no score computed for it;

and against them stand as many others of what the account touches, hubs left out:

- *random*: of all that it touches; the mean of 5 draws;
- *shared*: the same among those that others touch too;
- *most users*: those that the most accounts touch.

Only accounts with at least twice as many nodes as are taken away count, or all would be the same. Falls are
in log odds of the score, with 95 % intervals from 2,000 bootstrap samples of accounts; differences are
paired. Prints data, seed, hardware and a table in Markdown.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.special import logit

import gnn
from features import LiveGraph, Queries
from features.without import Edge, without
from gnn.counterfactual import counterfactuals
from graph_etl import Workspace

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOP: Final = 0.05
TAKEN: Final = (1, 2, 3)
DRAWS: Final = 5
MOST: Final = 256
SAMPLES: Final = 2000
CONTROLS: Final = ("random", "shared", "most users")
NAMED: Final = ("explain", "risk")
Falls = dict[tuple[str, int], list[float]]


class Deletion:
    """Scores accounts of a workspace without some of what they touch.

    Args:
        workspace: With a snapshot and a bundle.
        seed: Of the random draws.
    """

    def __init__(self, workspace: Workspace, seed: int) -> None:
        version = workspace.current()["bundle"]
        if version is None:
            sys.exit(f"{workspace.path}: no bundle; run `ringwatch train`")
        self.snapshot = workspace.open_snapshot()
        self.bundle = gnn.Bundle.open(workspace.path_of("bundle", version))
        self.live = LiveGraph(self.snapshot)
        self.scorer = gnn.Scorer(self.live, self.bundle)
        self.random = np.random.default_rng(seed)

    def flagged(self, count: int) -> NDArray[np.int64]:
        """Accounts drawn from those that score highest."""
        score = self.bundle.scores.sort("account")["score"].to_numpy()
        top = np.argsort(-score, kind="stable")[: int(TOP * len(score))]
        return np.sort(self.random.choice(top, min(count, len(top)), replace=False))

    def log_odds(self, account: int, nodes: list[int]) -> float:
        """Log odds of the score without these nodes."""
        scorer = copy(self.scorer)
        if nodes:
            scorer.source = without(self.live, [Edge(account, node) for node in nodes])
        asked = Queries.for_accounts(self.snapshot, np.array([account]))
        return float(logit(np.clip(scorer.score(asked).score[0], 1e-9, 1.0 - 1e-9)))

    def measure(self, account: int, falls: Falls, score_falls: Falls) -> float:
        """Add the falls of one account; returns the seconds that ranking its evidence took."""
        asked = Queries.for_accounts(self.snapshot, np.array([account]))
        result = self.scorer.score(asked)
        told = gnn.reasons(self.scorer, asked, result)
        named = [
            node
            for reason in told
            for item in reason.evidence
            if item["type"] == "shared_node"
            for node in (self.live.node_index(item["kind"], item["key"]),)
            if node is not None
        ]
        began = time.perf_counter()
        found = counterfactuals(self.scorer, asked, result, reasons=told)
        seconds = time.perf_counter() - began
        ranked = [self.live.node_index(one.evidence["kind"], one.evidence["key"]) or 0 for one in found.nodes]
        touched = [node for node in self.live.touched(account, MOST) if not self.live.is_hub(node)]
        users = {node: self.live.n_users(node) for node in touched}
        shared = [node for node in touched if users[node] > 1]
        common = sorted(touched, key=lambda node: -users[node])
        whole = self.log_odds(account, [])
        named = list(dict.fromkeys(named))

        def note(how: str, count: int, chosen: list[list[int]]) -> None:
            odds = [self.log_odds(account, nodes) for nodes in chosen]
            falls.setdefault((how, count), []).append(whole - float(np.mean(odds)))
            score = 1.0 / (1.0 + np.exp(-whole)) - np.mean(1.0 / (1.0 + np.exp(-np.array(odds))))
            score_falls.setdefault((how, count), []).append(float(score))

        for count in TAKEN:
            if len(named) < count or len(ranked) < count or len(touched) < 2 * count or len(shared) < count:
                continue
            note("risk", count, [named[:count]])
            note("explain", count, [ranked[:count]])
            note("random", count, self._drawn(touched, count))
            note("shared", count, self._drawn(shared, count))
            note("most users", count, [common[:count]])
        return seconds

    def _drawn(self, nodes: list[int], count: int) -> list[list[int]]:
        return [self.random.choice(nodes, count, replace=False).tolist() for _ in range(DRAWS)]


def interval(values: NDArray[np.float64], random: np.random.Generator, *, sign: bool = False) -> str:
    """A mean with its 95 % bootstrap interval."""
    means = values[random.integers(0, len(values), (SAMPLES, len(values)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    plus = "+" if sign else ""
    return f"{values.mean():{plus}.2f} ({low:.2f} to {high:.2f})"


def more_often(one: NDArray[np.float64], other: NDArray[np.float64]) -> str:
    """Share of accounts for which one fall is the greater; equal ones count half."""
    return f"{100 * np.mean((one > other + 1e-9) + 0.5 * (np.abs(one - other) <= 1e-9)):.0f} %"


def main() -> None:
    """Take evidence away, print what is left of the scores."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("workspaces", nargs="+", metavar="NAME=WORKSPACE")
    parser.add_argument("--accounts", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    out = sys.stdout
    heads = ["data", "taken", "n", *NAMED, *CONTROLS, "explain − random", "risk − random"]
    heads += ["explain beats random", "risk beats random", "fall of the score: explain", "random"]
    out.write(
        f"seed {options.seed}, {os.cpu_count()} cores, {platform.machine()}, Python "
        f"{platform.python_version()}\n\n| {' | '.join(heads)} |\n|{'---|' * len(heads)}\n"
    )
    for entry in options.workspaces:
        name, _, folder = entry.partition("=")
        deletion = Deletion(Workspace(Path(folder)), options.seed)
        falls: Falls = {}
        score_falls: Falls = {}
        accounts = deletion.flagged(options.accounts)
        seconds = [deletion.measure(int(account), falls, score_falls) for account in accounts]
        for count in TAKEN:
            random = np.random.default_rng(options.seed)
            got = {how: np.array(falls.get((how, count), [])) for how in (*NAMED, *CONTROLS)}
            if not len(got["explain"]):
                continue
            row = [name, str(count), str(len(got["explain"]))]
            row += [interval(got[how], random) for how in (*NAMED, *CONTROLS)]
            row += [interval(got[how] - got["random"], random, sign=True) for how in NAMED]
            row += [more_often(got[how], got["random"]) for how in NAMED]
            row += [f"{np.mean(score_falls[how, count]):.3f}" for how in ("explain", "random")]
            out.write(f"| {' | '.join(row)} |\n")
        out.write(
            f"<!-- {name}: snapshot {deletion.snapshot.id}, bundle {deletion.bundle.version}, ranking took "
            f"{np.median(seconds) * 1e3:.0f} ms in the median, {np.max(seconds) * 1e3:.0f} ms at most -->\n"
        )
        out.flush()


if __name__ == "__main__":
    main()
