"""Embeddings of all accounts layer by layer, beside sampled inference and beside the pure CSR product.

    python -m benchmarks.embedding [--folder DIR] [--repeats N] [--sampled N] [--members N]

Graph: `benchmarks.large_graph`, 1 million accounts, 10 million entries, 64 inputs a node. Model: GraphSAGE
with weights by chance, fanouts 10 and 10, whose own row is the node's inputs. What accounts show is computed
before all three, once. One thread each, measured by turns, medians; processor time counts because machines
are shared.

- *layer by layer, all*: `gnn.layerwise` over the whole graph, all entries read in both layers.
- *layer by layer, latest*: the same cut to the ten latest at each layer: the numbers of sampled inference.
- *sampled*: `gnn.sage.run_sage` on some accounts.
- *CSR products*: scipy's, the adjacency times a 64-wide matrix (layer 1) and times one as wide as the
  messages (layer 2), in single precision: what is left of inference if all but reading neighbours costs
  nothing.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.large_graph import large_graph
from features import Queries
from features.opened import open_graph
from gnn.layerwise import BLOCK_SHIFT, LayerwiseSage, Parts, block_range, n_blocks
from gnn.sage import SageInputs, run_sage
from gnn.sampler import described, n_message_types

if TYPE_CHECKING:
    from collections.abc import Callable

    from gnn.sage_kernel import Sage
    from graph_etl import Snapshot


def drawn_model(snapshot: Snapshot, table: Any, members: int, seed: int) -> Sage:
    """GraphSAGE with weights by chance."""
    import torch

    from gnn.sage_encoding import encoding_of, stack
    from gnn.sage_network import GraphSage

    torch.manual_seed(seed)
    encoding = encoding_of(table[:8192], table[:8192])
    widths = len(encoding.columns), 2 * table.shape[1], n_message_types(snapshot)
    return stack([GraphSage(*widths).state_dict() for _ in range(members)], encoding, 0, (10, 10))


def layer_by_layer(snapshot: Snapshot, model: Sage, shown: Parts, full: bool) -> int:
    """Embed all accounts; returns how many."""
    layers = LayerwiseSage(snapshot, model, full=full)
    sent = Parts([layers.sent(block, shown) for block in range(n_blocks(snapshot.n_nodes))])
    for block in range(n_blocks(snapshot.n_accounts)):
        layers.heard(np.arange(*block_range(block, snapshot.n_accounts)), sent, shown=shown)
    return snapshot.n_accounts


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(".ringwatch/bench/large_graph"))
    parser.add_argument("--accounts", type=int, default=1_000_000)
    parser.add_argument("--pairs", type=int, default=5_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--sampled", type=int, default=40_960, help="accounts of sampled inference")
    parser.add_argument("--members", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    import numba
    import scipy.sparse
    import torch

    torch.set_num_threads(1)
    numba.set_num_threads(1)
    snapshot = large_graph(options.folder, options.accounts, options.pairs, options.seed)
    table = described(snapshot)
    model = drawn_model(snapshot, table, options.members, options.seed)
    size = 1 << BLOCK_SHIFT
    shown = Parts([table[at : at + size] for at in range(0, len(table), size)])
    pairs = snapshot.relations[0].pair_out
    adjacency = scipy.sparse.csr_matrix(
        (np.ones(len(pairs.nbr), np.float32), np.array(pairs.nbr), np.array(pairs.indptr)),
        shape=(snapshot.n_nodes, snapshot.n_nodes),
    )
    messages = np.random.default_rng(0).normal(size=(snapshot.n_nodes, 32 * options.members))
    messages = messages.astype(np.float32)
    asked = Queries.for_accounts(snapshot, np.arange(min(options.sampled, snapshot.n_accounts)))
    where = SageInputs(snapshot, open_graph(snapshot).width, table)

    def products() -> int:
        _ = adjacency @ table
        _ = adjacency @ messages
        return snapshot.n_nodes

    works: dict[str, Callable[[], int]] = {
        "layer by layer, all": lambda: layer_by_layer(snapshot, model, shown, True),
        "layer by layer, latest": lambda: layer_by_layer(snapshot, model, shown, False),
        "sampled": lambda: len(run_sage(model, where, asked)[0]),
        "CSR products": products,
    }
    print(
        f"{snapshot.n_nodes:,} nodes, {len(pairs.nbr):,} entries, {table.shape[1]} inputs, {options.members}"
        f" members; seed {options.seed}; {platform.processor() or platform.machine()}, one thread"
    )
    layers = LayerwiseSage(snapshot, model)  # compile
    layers.heard(np.arange(9), Parts([layers.sent(0, shown)] * n_blocks(snapshot.n_nodes)), shown=shown)
    run_sage(model, where, asked.take(np.arange(64)))
    rates: dict[str, list[tuple[float, float]]] = {}
    for _ in range(options.repeats):
        for name, work in works.items():
            wall, cpu = time.perf_counter(), time.process_time()
            count = work()
            rates.setdefault(name, []).append(
                (count / (time.perf_counter() - wall), count / (time.process_time() - cpu))
            )
    median = {
        name: [statistics.median(one[at] for one in found) for at in (0, 1)] for name, found in rates.items()
    }
    print(f"{'':28}{'nodes/s, wall':>16}{'nodes/s, processor':>20}")
    for name, (wall, cpu) in median.items():
        print(f"{name:28}{wall:>16,.0f}{cpu:>20,.0f}")
    for name in ("layer by layer, all", "layer by layer, latest"):
        print(
            f"{name}: {median[name][1] / median['sampled'][1]:.1f} times sampled inference (goal 10),"
            f" {median[name][1] / median['CSR products'][1]:.0%} of the CSR products (goal 60 %)"
        )


if __name__ == "__main__":
    main()
