"""GraphSAGE layer by layer over all accounts: what a node sends is computed once.

Sampling draws two hops around every account, so a node that ten accounts know is described, averaged and put
through the network ten times. Here each layer is one pass: what accounts show, what all nodes send, what
accounts hear. A pass reads the mapped snapshot block by block, and its result is a table in parts, in memory
or in files that are mapped, so that it can be spread over machines and taken up where it was left
(`ray_jobs.embedding`). With the same cut to the latest neighbours the numbers are those of
`gnn.sage.run_sage` to float tolerance: matrix products run in single precision here.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numba
import numpy as np

from features import LiveGraph, Queries, graph_of, known_bad_of
from features.opened import nothing_brought, open_graph
from gnn.drawing import ways_of
from gnn.gathering import describe_accounts
from gnn.inputs import inputs as rows_of
from gnn.layer_kernel import Rows, first_part, normalise, second_part
from gnn.sage import SageInputs, run_sage
from gnn.sage_verdicts import Known
from gnn.sampler import input_width

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from features import Source
    from gnn.sage_kernel import Sage
    from graph_etl import Snapshot
    from rings import Epoch

BLOCK_SHIFT: Final = 16
"""A part of a table has ``2^16`` rows: a task of seconds, and a file of tens of megabytes."""
# Accounts and nodes whose matrices stand in the cache together.
_TILE: Final = 2048
# Accounts whose own rows are computed at a time.
_ROWS: Final = 8192


@dataclass(frozen=True, slots=True)
class Parts:
    """A table whose parts stand apart; all but the last have ``2^shift`` rows.

    Attributes:
        arrays: ``float32[≤ 2^shift, W]`` each, in memory or mapped.
        shift: Says how many rows a part has.
    """

    arrays: Sequence[NDArray[np.float32]]
    shift: int = BLOCK_SHIFT
    _at: NDArray[np.int64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        at = np.array([part.ctypes.data for part in self.arrays], np.int64)
        object.__setattr__(self, "_at", at)

    @property
    def rows(self) -> Rows:
        """As compiled code reads it, for as long as this object lives."""
        return Rows(self._at.ctypes.data, self.shift, self.arrays[0].shape[1] if self.arrays else 1)


class LayerwiseSage:
    """A fitted GraphSAGE on one snapshot, ready to go over it layer by layer.

    Args:
        snapshot: The snapshot, asked at its end.
        model: The model.
        epochs: Communities and neighbourhoods that the accounts' own rows read.
        full: All visible neighbours instead of the latest that the model was fitted with. The number of
            neighbours is an input of the network, which then sees numbers that it was never fitted on. A
            model that is told of verdicts always takes the latest.
        shift: Blocks have ``2^shift`` accounts or nodes.

    Raises:
        TypeError: If a live graph is given: what happens meanwhile would be in one layer and not in another.
        ValueError: If the model was fitted on other inputs than the snapshot gives.
    """

    def __init__(
        self,
        snapshot: Source,
        model: Sage,
        epochs: Sequence[Epoch] = (),
        *,
        full: bool = False,
        shift: int = BLOCK_SHIFT,
    ) -> None:
        if isinstance(snapshot, LiveGraph):
            message = (
                "embedding layer by layer needs a snapshot, not a live graph; ask `run_sage` about a few"
            )
            raise TypeError(message)
        width = input_width(open_graph(snapshot).width)
        if width != model.width:
            message = f"GraphSAGE was fitted on {model.width} inputs of a node, the snapshot gives {width}"
            raise ValueError(message)
        self.snapshot = snapshot
        self.model = model
        self.epochs = epochs
        self.full = full
        self.shift = shift
        self._network = _Network.of(model)
        # What a node tells of verdicts depends on who listens, so nothing of it can be computed once for all.
        self._known: Known | None = None
        if model.told:
            known = known_bad_of(snapshot, untimed=False)
            self._known = Known(known.since, known.until)

    def shown(self, block: int) -> NDArray[np.float32]:
        """What a block of accounts shows, ``float32[n, D]``."""
        start, stop = block_range(block, self.snapshot.n_accounts, self.shift)
        out = np.empty((stop - start, self.model.width), np.float32)
        describe_accounts(
            graph_of(self.snapshot), start, int(self.snapshot.end_horizon), nothing_brought(), out
        )
        return out

    def sent(self, block: int, shown: Parts) -> NDArray[np.float32]:
        """What a block of nodes sends before its type is added and it is cut at zero.

        Args:
            block: Which.
            shown: What all accounts show.

        Returns:
            ``float32[n, M S]``.
        """
        start, stop = block_range(block, self.snapshot.n_nodes, self.shift)
        out = np.empty((stop - start, self._network.message.shape[1]), np.float32)

        def tile(begin: int) -> None:
            end = min(begin + _TILE, stop)
            messages = np.empty((end - begin, 2 * self.model.width), np.float32)
            first_part(
                graph_of(self.snapshot), ways_of(self.snapshot), shown.rows, int(self.snapshot.end_horizon),
                nothing_brought(), self.model.encoding.mean, self.model.encoding.scale, self.model.fanouts[1],
                self.full, begin, end, messages,
            )  # fmt: skip
            np.dot(messages, self._network.message, out=out[begin - start : end - start])

        _in_threads(tile, range(start, stop, _TILE))
        return out

    def heard(
        self,
        accounts: NDArray[np.int64],
        sent: Parts,
        *,
        rows: NDArray[np.float32] | None = None,
        shown: Parts | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Log odds and embeddings of accounts.

        Args:
            accounts: ``int64[n]``.
            sent: What all nodes send.
            rows: ``float32[n, F]`` of `gnn.inputs.inputs`, where they are known and the model takes any.
            shown: What all accounts show, where it is known already and the model takes no rows.

        Returns:
            ``float64[n]`` and ``float32[n, M H]``.
        """
        odds = np.empty(len(accounts), np.float64)
        embedding = np.empty((len(accounts), self.model.hidden), np.float32)
        # So much at a time is the memory that the accounts' own rows may take; their kernels have threads.
        for start in range(0, len(accounts), _ROWS):
            asked = accounts[start : start + _ROWS]
            own = self._own(asked, shown) if rows is None else rows[start : start + _ROWS]
            if self._known is not None:
                here = slice(start, start + len(asked))
                queries = Queries.for_accounts(self.snapshot, asked)
                where = SageInputs.of(self.snapshot, queries)
                odds[here], embedding[here] = run_sage(
                    self.model, where, queries, rows=own, known=self._known
                )
                continue
            self._hear(asked, sent, self.model.encoding.rows(own), odds[start:], embedding[start:])
        return odds, embedding

    def _hear(
        self,
        accounts: NDArray[np.int64],
        sent: Parts,
        rows: NDArray[np.float32],
        odds: NDArray[np.float64],
        embedding: NDArray[np.float32],
    ) -> None:
        network = self._network
        members, sent_width = network.gathered.shape[0], network.gathered.shape[1] - 1

        def tile(begin: int) -> None:
            some = accounts[begin : begin + _TILE]
            here = slice(begin, begin + len(some))
            gathered = np.empty((len(some), members, sent_width + 1), np.float32)
            second_part(
                graph_of(self.snapshot), ways_of(self.snapshot), sent.rows, network.typed,
                int(self.snapshot.end_horizon), self.model.fanouts[0], self.full, some, gathered,
            )  # fmt: skip
            odds[here], embedding[here] = network.embed(rows[here], gathered)

        _in_threads(tile, range(0, len(accounts), _TILE))

    def _own(self, accounts: NDArray[np.int64], shown: Parts | None) -> NDArray[np.float32]:
        """The accounts' own rows."""
        if self.model.row_width:
            return rows_of(self.snapshot, Queries.for_accounts(self.snapshot, accounts), epochs=self.epochs)
        own = np.empty((len(accounts), self.model.width), np.float32)
        width = open_graph(self.snapshot).width
        for block in np.unique(accounts >> self.shift).tolist():
            here = accounts >> self.shift == block
            part = self.shown(block) if shown is None else shown.arrays[block]
            own[here] = part[accounts[here] - (block << self.shift)]
        # As the sampler describes who is asked about: there, and of the first kind.
        own[:, width:] = 0.0
        own[:, [width, width + 2]] = 1.0
        return own


@dataclass(frozen=True, slots=True)
class _Network:
    """Weights of all members in single precision, as matrices that whole blocks are multiplied with."""

    message: NDArray[np.float32]
    typed: NDArray[np.float32]
    row: NDArray[np.float32]
    row_bias: NDArray[np.float32]
    gathered: NDArray[np.float32]
    block: NDArray[np.float32]
    block_bias: NDArray[np.float32]
    head: NDArray[np.float32]
    head_bias: NDArray[np.float32]
    gathered_norm: tuple[NDArray[np.float32], NDArray[np.float32]]
    first_norm: tuple[NDArray[np.float32], NDArray[np.float32]]
    last_norm: tuple[NDArray[np.float32], NDArray[np.float32]]

    @classmethod
    def of(cls, model: Sage) -> _Network:
        state = {name: np.asarray(value) for name, value in model.state.items()}

        def side_by_side(name: str) -> NDArray[np.float32]:
            weights = state[name].astype(np.float32)  # [M, out, in]
            return np.ascontiguousarray(weights.reshape(-1, weights.shape[2]).T)

        def turned(name: str) -> NDArray[np.float32]:
            return np.ascontiguousarray(state[name].astype(np.float32).transpose(0, 2, 1))

        def norm(name: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
            return state[f"{name}.weight"].astype(np.float32), state[f"{name}.bias"].astype(np.float32)

        typed = state["typed.weight"].astype(np.float64) + state["message.bias"][:, None, :]
        return cls(
            message=side_by_side("message.weight")[: 2 * model.width],
            typed=np.ascontiguousarray(typed.transpose(1, 0, 2).reshape(typed.shape[1], -1), np.float32),
            row=side_by_side("row.weight"),
            row_bias=state["row.bias"].astype(np.float32).reshape(-1),
            gathered=turned("gathered.weight"),
            block=turned("block.weight"),
            block_bias=state["block.bias"].astype(np.float32),
            head=state["head.weight"][:, 0, :].astype(np.float32),
            head_bias=state["head.bias"][:, 0].astype(np.float32),
            gathered_norm=norm("gathered_norm"),
            first_norm=norm("first_norm"),
            last_norm=norm("last_norm"),
        )

    def embed(
        self, rows: NDArray[np.float32], gathered: NDArray[np.float32]
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """From encoded rows ``[n, C]`` and what was heard ``[n, M, S + 1]``."""
        members, hidden = self.head.shape
        normalise(gathered, *self.gathered_norm, False)
        state = rows @ self.row
        state += self.row_bias
        state = state.reshape(len(rows), members, hidden)
        for member in range(members):
            state[:, member] += gathered[:, member] @ self.gathered[member]
        normalise(state, *self.first_norm, True)
        for member in range(members):
            more = state[:, member] @ self.block[member]
            more += self.block_bias[member]
            np.maximum(more, 0.0, out=more)
            state[:, member] += more
        normalise(state, *self.last_norm, False)
        odds = np.einsum("nmh,mh->n", state, self.head, dtype=np.float64) + self.head_bias.sum()
        return odds / members, state.reshape(len(rows), -1)


def _in_threads(work: Callable[[int], None], items: range) -> None:
    """Do pieces that let go of the interpreter, on as many threads as numba has."""
    threads = min(numba.get_num_threads(), len(items))
    if threads <= 1:
        for item in items:
            work(item)
        return
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(work, items):
            pass


def n_blocks(count: int, shift: int = BLOCK_SHIFT) -> int:
    """Number of parts of a table with so many rows."""
    return -(-count // (1 << shift))


def block_range(block: int, count: int, shift: int = BLOCK_SHIFT) -> tuple[int, int]:
    """First row of a part and the row after its last, of a table with ``count`` rows."""
    return block << shift, min((block + 1) << shift, count)


def embed_all(
    snapshot: Snapshot,
    model: Sage,
    epochs: Sequence[Epoch] = (),
    *,
    full: bool = False,
    shift: int = BLOCK_SHIFT,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float32]]]:
    """Go over all accounts in this process.

    Args:
        snapshot: The snapshot, asked at its end.
        model: The model.
        epochs: See `LayerwiseSage`.
        full: See `LayerwiseSage`.
        shift: See `LayerwiseSage`.
        progress: Called with blocks done and in all.

    Yields:
        Accounts ``int64[n]``, their log odds ``float64[n]`` and embeddings ``float32[n, M H]``.
    """
    layers = LayerwiseSage(snapshot, model, epochs, full=full, shift=shift)
    of_accounts, of_nodes = n_blocks(snapshot.n_accounts, shift), n_blocks(snapshot.n_nodes, shift)
    steps = 2 * of_accounts + of_nodes
    done = 0

    def tell() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, steps)

    tables: list[Parts] = []
    for count, layer in ((of_accounts, layers.shown), (of_nodes, lambda at: layers.sent(at, tables[0]))):
        found: list[NDArray[np.float32]] = []
        for block in range(count):
            found.append(layer(block))
            tell()
        tables.append(Parts(found, shift))
    for block in range(of_accounts):
        accounts = np.arange(*block_range(block, snapshot.n_accounts, shift), dtype=np.int64)
        yield accounts, *layers.heard(accounts, tables[1], shown=tables[0])
        tell()
