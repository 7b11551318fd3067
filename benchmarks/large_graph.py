"""A drawn graph of a million accounts and ten million entries of adjacency, built once and kept.

Five million distinct pairs of accounts meet, each at a time of its own; a pair is an entry of both its ends,
so that an account has ten neighbours on average. How popular accounts are is lognormal (``sigma`` 1): the
mean neighbour of a neighbour has 27. Each account has 52 numbers, so that a node's inputs are 64 wide: these,
two of the relation, two for being there and for how common it is, and eight places for its kind. All of it
goes the product's own way: Parquet files, a spec, `graph_etl.build`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from graph_etl import Snapshot, Workspace, build, load_spec

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

ATTRIBUTES: Final = 52
WIDTH: Final = ATTRIBUTES + 2 + 10

_SPEC: Final = """
ringwatch: 1
name: large_graph
title: A drawn graph to measure on.
simulated: true
sources:
  accounts: {{path: accounts.parquet}}
  meetings: {{path: meetings.parquet}}
accounts:
  - source: accounts
    id: account
    attributes: {{{attributes}}}
events:
  - source: meetings
    type: met
    from: {{account: one}}
    to: {{account: other}}
    time: {{column: at, unit: s}}
    directed: false
"""


def drawn_pairs(n_accounts: int, n_pairs: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Distinct pairs of accounts in the order in which they meet, ``int64[n_pairs, 2]``."""
    share = np.cumsum(rng.lognormal(sigma=1.0, size=n_accounts))
    found = np.zeros(0, np.int64)
    while len(found) < n_pairs:
        ends = np.searchsorted(share, rng.random((n_pairs, 2)) * share[-1])
        low, high = ends.min(1), ends.max(1)
        found = np.unique(np.concatenate([found, (low * n_accounts + high)[low < high]]))
    picked = rng.permutation(found)[:n_pairs]
    pairs = np.stack([picked // n_accounts, picked % n_accounts], axis=1)
    flipped = rng.random(n_pairs) < 0.5
    pairs[flipped] = pairs[flipped, ::-1]
    return pairs


def large_graph(
    folder: Path, n_accounts: int = 1_000_000, n_pairs: int = 5_000_000, seed: int = 0
) -> Snapshot:
    """The graph of a folder, drawn and built where it is not there yet.

    Args:
        folder: Where it is kept, about 2 GB at full size.
        n_accounts: Accounts.
        n_pairs: Pairs that meet; twice as many entries.
        seed: Of what is drawn.

    Returns:
        Its snapshot.
    """
    place = folder / f"{n_accounts}_{n_pairs}_{seed}"
    workspace = Workspace(place / "workspace")
    if not (workspace.path / "current.json").exists():
        place.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(seed)
        names = [f"a{number}" for number in range(ATTRIBUTES)]
        columns = {name: rng.standard_normal(n_accounts, dtype=np.float32) for name in names}
        pl.DataFrame({"account": np.arange(n_accounts), **columns}).write_parquet(place / "accounts.parquet")
        pairs = drawn_pairs(n_accounts, n_pairs, rng)
        pl.DataFrame({"one": pairs[:, 0], "other": pairs[:, 1], "at": np.arange(n_pairs) + 1}).write_parquet(
            place / "meetings.parquet"
        )
        attributes = ", ".join(f"{name}: number" for name in names)
        (place / "spec.yaml").write_text(_SPEC.format(attributes=attributes))
        build(load_spec(place / "spec.yaml"), workspace)
    return workspace.open_snapshot()
