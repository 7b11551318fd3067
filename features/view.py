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
TABLE: Final = 6
DIRECT: Final = 7
_N_ARRAYS: Final = 6
_N_COLUMNS: Final = 8


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
        addresses: ``int64[2 S + 2, 8]``, where the arrays of each row are, the number of the adjacency behind
            it (rows that read the same one share it), and 1 where its counterpart can be an account. Rows
            ``S + s`` belong to the way back of side ``s``, row ``2 S`` to the accounts that touch a node in
            any way and the last row to the nodes that an account touches.
        relation_sides: ``int32[R, 2]``, the side of each relation received and sent; what has no side of its
            own for receiving is read as sent.
        node_account: ``int32[N]``, account of a node or -1.
        node_kind: ``int16[N]``.
        account_node: ``int32[A]``.
        hub_since: ``int64[N]``, position from which a node is a hub.
        known_ms: ``int64[M]``, when each event became known.
        time_ms: ``int64[M]``, when each event happened.
        attributes: ``float64[A, n]``.
        is_category: ``bool[n]``.
        by_age: ``int32[A]``, the accounts ordered by first appearance, then by position and index.
        age_rank: ``int32[A]``, each account's place in ``by_age``.
        first_seen_ms: ``int64[A]``.
        first_pos: ``int64[A]``.
        latest_before: ``int64[A]``, the highest ``first_pos`` up to each place of ``by_age``.
        earliest_after: ``int64[A]``, the lowest from each place on.
        keep: References that keep the mapped arrays alive.
    """

    sides: tuple[Side, ...]
    addresses: NDArray[np.int64]
    relation_sides: NDArray[np.int32]
    node_account: NDArray[np.int32]
    node_kind: NDArray[np.int16]
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
    latest_before: NDArray[np.int64]
    earliest_after: NDArray[np.int64]
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
        keep: list[Any] = [None] * (rows * _N_ARRAYS)
        addresses = np.zeros((rows, _N_COLUMNS), dtype=np.int64)
        addresses[:, TABLE] = _tables(snapshot, sides)
        addresses[: len(sides), DIRECT] = [side.direct for side in sides]
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
                    keep[row * _N_ARRAYS + column] = array
                    addresses[row, column] = array.ctypes.data
        for row, touched in ((rows - 2, snapshot.touched_by), (rows - 1, snapshot.touches)):
            parts = (
                _typed(touched.indptr, np.int64),
                _typed(touched.nbr, np.int32),
                _typed(touched.pos, np.int64),
            )
            for column, array in enumerate(parts):
                keep[row * _N_ARRAYS + column] = array
                addresses[row, column] = array.ctypes.data
        first_seen_ms = _typed(snapshot.first_seen_ms, np.int64)
        first_pos = _typed(snapshot.first_pos, np.int64)
        by_age = np.lexsort((first_pos, first_seen_ms)).astype(np.int32)
        age_rank = np.empty_like(by_age)
        age_rank[by_age] = np.arange(len(by_age), dtype=np.int32)
        return cls(
            sides=tuple(sides),
            addresses=addresses,
            relation_sides=_relation_sides(snapshot, sides),
            node_account=node_account,
            node_kind=_typed(snapshot.node_kind, np.int16),
            account_node=_typed(snapshot.account_node, np.int32),
            hub_since=_typed(snapshot.hub_since, np.int64),
            known_ms=_typed(snapshot.event_known_ms, np.int64),
            time_ms=_typed(snapshot.event_time_ms, np.int64),
            attributes=_typed(snapshot.attribute_values, np.float64),
            is_category=np.array([a.type == "category" for a in snapshot.attributes], dtype=np.bool_),
            by_age=by_age,
            age_rank=age_rank,
            first_seen_ms=first_seen_ms,
            first_pos=first_pos,
            latest_before=np.maximum.accumulate(first_pos[by_age]),
            earliest_after=np.minimum.accumulate(first_pos[by_age][::-1])[::-1].copy(),
            keep=tuple(keep),
        )

    def pairs(self, row: int) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]]:
        """The distinct counterparts of one row of ``addresses`` as arrays.

        Args:
            row: The row.

        Returns:
            ``indptr``, ``nbr`` and ``pos`` as in the snapshot.
        """
        here = row * _N_ARRAYS
        return self.keep[here], self.keep[here + 1], self.keep[here + 2]


def _tables(snapshot: Snapshot, sides: list[Side]) -> NDArray[np.int64]:
    numbers: dict[tuple[int, bool], int] = {}
    ends = [(side.relation, side.outgoing) for side in sides]
    rows = [*ends, *((relation, not outgoing) for relation, outgoing in ends)]
    placed = []
    for relation, outgoing in rows:
        one_way = snapshot.relations[relation].directed
        placed.append(numbers.setdefault((relation, outgoing if one_way else True), len(numbers)))
    return np.array([*placed, len(numbers), len(numbers) + 1], dtype=np.int64)


def _relation_sides(snapshot: Snapshot, sides: list[Side]) -> NDArray[np.int32]:
    table = np.full((len(snapshot.relations), 2), -1, np.int32)
    for index, side in enumerate(sides):
        table[side.relation, int(side.outgoing)] = index
    table[:, 0] = np.where(table[:, 0] < 0, table[:, 1], table[:, 0])
    return table


def _typed(array: NDArray[Any], dtype: type[np.generic]) -> NDArray[Any]:
    return read_only(np.ascontiguousarray(array, dtype=dtype))


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """A view that cannot be written: mapped arrays and those in memory then share one compiled kernel.

    Args:
        array: Any array.

    Returns:
        The same memory.
    """
    seen = array.view(np.ndarray)
    seen.flags.writeable = False
    return seen


def _reaches_accounts(csr: CSR, node_account: NDArray[np.int32]) -> bool:
    return bool((node_account[np.asarray(csr.nbr)] >= 0).any()) if len(csr.nbr) else False


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
_int16_at = _pointer(types.int16)
_uint8_at = _pointer(types.uint8)
_float64_at = _pointer(types.float64)
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


@njit(cache=True, inline="always")
def int16_array(address: int, length: int) -> Any:
    """View ``length`` int16 values at an address."""
    return carray(_int16_at(address), (length,))


@njit(cache=True, inline="always")
def uint8_array(address: int, length: int) -> Any:
    """View ``length`` bytes at an address."""
    return carray(_uint8_at(address), (length,))


@njit(cache=True, inline="always")
def float64_array(address: int, length: int) -> Any:
    """View ``length`` float64 values at an address."""
    return carray(_float64_at(address), (length,))
