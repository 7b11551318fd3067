"""A snapshot's adjacency as the compiled kernels read it: addresses of the mapped arrays, nothing copied."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numba import carray, njit, types  # type: ignore[attr-defined]
from numba.extending import intrinsic

import features.compile_cache  # noqa: F401  # before the first function is compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from graph_etl import CSR, Snapshot

PAIR_PTR: Final = 0
PAIR_NBR: Final = 1
PAIR_POS: Final = 2
EVENT_PTR: Final = 3
EVENT_POS: Final = 4
EVENT_VALUE: Final = 5
_N_ADDRESSES: Final = 6


@dataclass(frozen=True, slots=True)
class Side:
    """One relation seen from one end.

    Attributes:
        relation: Index into ``snapshot.relations``.
        name: The relation's name.
        outgoing: True where the account is the source of the edge.
        used: True for ``used:KIND`` relations (an identifier use).
        direct: True where the counterpart can be an account.
    """

    relation: int
    name: str
    outgoing: bool
    used: bool
    direct: bool

    @property
    def label(self) -> str:
        """Name for a feature: ``gift>`` is sent, ``gift<`` received, ``used:device`` a use."""
        if self.used:
            return self.name
        return f"{self.name}{'>' if self.outgoing else '<'}"


@dataclass(frozen=True, slots=True)
class GraphView:
    """Everything that a kernel needs of a snapshot, with one fixed type for every schema.

    The arrays of each side stay where they are mapped; ``addresses`` holds where. Kernels compiled once
    therefore serve every data set, whatever its number of relations.

    Attributes:
        sides: The sides an account can stand at, in kernel order.
        addresses: ``int64[2 S + 2, 6]``; rows ``S + s`` belong to the way back of side ``s``, row
            ``2 S`` to the accounts that touch a node in any way and the last row to the nodes that an
            account touches.
        account_side: ``bool[S]``, sides whose counterpart can be an account.
        used_side: ``bool[S]``, sides that are identifier uses.
        node_account: ``int32[N]``, account of a node or -1.
        account_node: ``int32[A]``.
        hub_since: ``int64[N]``, position from which a node is a hub.
        known_ms: ``int64[M]``, when each event became known.
        time_ms: ``int64[M]``, when each event happened.
        attributes: ``float64[A, n]``.
        is_category: ``bool[n]``.
        by_age: ``int32[A]``, the accounts ordered by first appearance, ties by account id.
        age_rank: ``int32[A]``, each account's place in ``by_age``.
        first_seen_ms: ``int64[A]``.
        first_pos: ``int64[A]``.
        keep: References that keep the mapped arrays alive.
    """

    sides: tuple[Side, ...]
    addresses: NDArray[np.int64]
    account_side: NDArray[np.bool_]
    used_side: NDArray[np.bool_]
    node_account: NDArray[np.int32]
    account_node: NDArray[np.int32]
    hub_since: NDArray[np.int64]
    known_ms: NDArray[np.int64]
    time_ms: NDArray[np.int64]
    attributes: NDArray[np.float64]
    is_category: NDArray[np.bool_]
    by_age: NDArray[np.int32]
    age_rank: NDArray[np.int32]
    first_seen_ms: NDArray[np.int64]
    first_pos: NDArray[np.int64]
    keep: tuple[Any, ...]

    @classmethod
    def of(cls, snapshot: Snapshot) -> GraphView:
        """Open a view of a snapshot.

        Args:
            snapshot: The snapshot; its arrays are referenced, not copied.

        Returns:
            The view.
        """
        sides: list[Side] = []
        tables: list[tuple[CSR, CSR]] = []
        node_account = _typed(snapshot.node_account, np.int32)
        for index, relation in enumerate(snapshot.relations):
            both = relation.directed and not relation.used
            sides.append(
                Side(
                    relation=index,
                    name=relation.name,
                    outgoing=True,
                    used=relation.used,
                    direct=_reaches_accounts(relation.pair_out, node_account),
                )
            )
            tables.append((relation.pair_out, relation.out))
            if both:
                sides.append(
                    Side(
                        relation=index,
                        name=relation.name,
                        outgoing=False,
                        used=False,
                        direct=_reaches_accounts(relation.pair_in, node_account),
                    )
                )
                tables.append((relation.pair_in, relation.into))
        rows = 2 * len(sides) + 2
        keep: list[Any] = [None] * (rows * _N_ADDRESSES)
        addresses = np.zeros((rows, _N_ADDRESSES), dtype=np.int64)
        for index, side in enumerate(sides):
            relation = snapshot.relations[side.relation]
            back = (relation.pair_in, relation.into) if side.outgoing else (relation.pair_out, relation.out)
            for row, (pairs, events) in ((index, tables[index]), (len(sides) + index, back)):
                for column, array in enumerate(
                    (
                        _typed(pairs.indptr, np.int64),
                        _typed(pairs.nbr, np.int32),
                        _typed(pairs.pos, np.int64),
                        _typed(events.indptr, np.int64),
                        _typed(events.pos, np.int64),
                        _typed(events.value, np.float32),
                    )
                ):
                    keep[row * _N_ADDRESSES + column] = array
                    addresses[row, column] = array.ctypes.data
        for row, csr in zip((rows - 2, rows - 1), _touches(snapshot), strict=True):
            for column, array in enumerate(csr):
                keep[row * _N_ADDRESSES + column] = array
                addresses[row, column] = array.ctypes.data
        first_seen_ms = _typed(snapshot.first_seen_ms, np.int64)
        by_age = _by_age(first_seen_ms, snapshot.account_ids.to_list())
        age_rank = np.empty_like(by_age)
        age_rank[by_age] = np.arange(len(by_age), dtype=np.int32)
        return cls(
            sides=tuple(sides),
            addresses=addresses,
            account_side=np.array([side.direct for side in sides], dtype=np.bool_),
            used_side=np.array([side.used for side in sides], dtype=np.bool_),
            node_account=node_account,
            account_node=_typed(snapshot.account_node, np.int32),
            hub_since=_typed(snapshot.hub_since, np.int64),
            known_ms=_typed(snapshot.event_known_ms, np.int64),
            time_ms=_typed(snapshot.event_time_ms, np.int64),
            attributes=_typed(snapshot.attribute_values, np.float64),
            is_category=np.array([a.type == "category" for a in snapshot.attributes], dtype=np.bool_),
            by_age=by_age,
            age_rank=age_rank,
            first_seen_ms=first_seen_ms,
            first_pos=_typed(snapshot.first_pos, np.int64),
            keep=tuple(keep),
        )

    def pairs(self, row: int) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]]:
        """The distinct counterparts of one row of ``addresses`` as arrays.

        Args:
            row: The row.

        Returns:
            ``indptr``, ``nbr`` and ``pos`` as in the snapshot.
        """
        here = row * _N_ADDRESSES
        return self.keep[here], self.keep[here + 1], self.keep[here + 2]


def _typed(array: NDArray[Any], dtype: type[np.generic]) -> NDArray[Any]:
    # Read-only throughout: mapped and in-memory arrays then share one compiled kernel.
    typed = np.ascontiguousarray(array, dtype=dtype).view(np.ndarray)
    typed.flags.writeable = False
    return typed


def _touches(snapshot: Snapshot) -> tuple[tuple[NDArray[Any], ...], tuple[NDArray[Any], ...]]:
    """Who touches what in any way: node to accounts and account node to nodes, each at its first position."""
    n_nodes = len(snapshot.node_account)
    is_account = np.asarray(snapshot.node_account) >= 0
    starts: list[NDArray[np.int64]] = []
    ends: list[NDArray[np.int64]] = []
    positions: list[NDArray[np.int64]] = []
    for relation in snapshot.relations:
        for csr in (
            (relation.pair_out,)
            if relation.pair_in is relation.pair_out
            else (
                relation.pair_out,
                relation.pair_in,
            )
        ):
            source = np.repeat(np.arange(n_nodes, dtype=np.int64), np.diff(csr.indptr))
            mine = is_account[source]
            starts.append(source[mine])
            ends.append(np.asarray(csr.nbr)[mine].astype(np.int64))
            positions.append(np.asarray(csr.pos)[mine])
    start, end, position = (
        np.concatenate(parts) if parts else np.zeros(0, np.int64) for parts in (starts, ends, positions)
    )
    key = start * n_nodes + end
    order = np.lexsort((position, key))
    first = np.ones(len(order), dtype=np.bool_)
    first[1:] = key[order][1:] != key[order][:-1]
    kept = order[first]
    return (
        _csr(end[kept], start[kept], position[kept], n_nodes),
        _csr(start[kept], end[kept], position[kept], n_nodes),
    )


def _csr(
    source: NDArray[np.int64], target: NDArray[np.int64], position: NDArray[np.int64], n_nodes: int
) -> tuple[NDArray[Any], ...]:
    order = np.lexsort((target, position, source))
    indptr = np.zeros(n_nodes + 1, dtype=np.int64)
    np.cumsum(np.bincount(source, minlength=n_nodes), out=indptr[1:])
    return _typed(indptr, np.int64), _typed(target[order], np.int32), _typed(position[order], np.int64)


def _reaches_accounts(csr: CSR, node_account: NDArray[np.int32]) -> bool:
    return bool((node_account[np.asarray(csr.nbr)] >= 0).any()) if len(csr.nbr) else False


def _by_age(first_seen_ms: NDArray[np.int64], account_ids: list[str]) -> NDArray[np.int32]:
    return np.lexsort((np.asarray(account_ids), first_seen_ms)).astype(np.int32)


def _pointer(element: types.Type) -> Any:
    pointer_type: Any = types.CPointer(element)  # type: ignore[no-untyped-call]

    @intrinsic
    def pointer(typingctx: Any, address: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.inttoptr(args[0], context.get_value_type(pointer_type))

        return pointer_type(types.int64), codegen

    return pointer


_int64_at = _pointer(types.int64)
_int32_at = _pointer(types.int32)
_float32_at = _pointer(types.float32)


@njit(cache=True, inline="always")
def int64_array(address: int, length: int) -> Any:
    """View ``length`` int64 values at an address."""
    return carray(_int64_at(address), (length,))


@njit(cache=True, inline="always")
def int32_array(address: int, length: int) -> Any:
    """View ``length`` int32 values at an address."""
    return carray(_int32_at(address), (length,))


@njit(cache=True, inline="always")
def float32_array(address: int, length: int) -> Any:
    """View ``length`` float32 values at an address."""
    return carray(_float32_at(address), (length,))
