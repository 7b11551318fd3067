"""What a run leaves behind so that the next one can see what has been touched since.

Its links with their weights, a print of what every account did, and prints of what its rings rest on. A print
is a sum of hashes, 64 bits: one event more or less changes it, save once in 10^19.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from features import view_of
from rings.contacts import entries_of
from rings.links import Links

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from graph_etl import Snapshot

# Odd constants of splitmix64 (Steele, Lea and Flood, 2014): each bit that goes in moves about half of those
# that come out.
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


@dataclass(frozen=True)
class Carried:
    """What a run leaves for the one that builds on it.

    Attributes:
        ARRAYS: What files hold.
        links: The links that its rings were found with.
        ids: ``uint64[A]``, hash of each account's id.
        accounts: ``uint64[A]``, for each account a print of what it is and did, see `account_prints`.
        things: ``uint64[R]``, for each ring, the best rank first, a print of what its members share.
        nearest: ``uint64[R]``, a print of the way to the nearest known bad account.
        compared: ``float64[R]``, how likely something honest explains it, verdicts not counted.
        odds: ``float64[R]``, how far what its members do speaks for coordination, natural logarithm.
        n_nodes: Nodes of its snapshot.
        names: Hash of their names, in order: while it stays, numbers of nodes and accounts mean the same.
    """

    ARRAYS: ClassVar[tuple[str, ...]] = (
        *("a", "b", "weight", "source", "via"),
        *("ids", "accounts", "things", "nearest", "compared", "odds", "nodes", "names"),
    )

    links: Links
    ids: NDArray[np.uint64]
    accounts: NDArray[np.uint64]
    things: NDArray[np.uint64]
    nearest: NDArray[np.uint64]
    compared: NDArray[np.float64]
    odds: NDArray[np.float64]
    n_nodes: int
    names: str

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """All of it by name, as `Carried.of` reads it."""
        return {
            **{name: getattr(self.links, name) for name in ("a", "b", "weight", "source", "via")},
            **{
                name: getattr(self, name)
                for name in ("ids", "accounts", "things", "nearest", "compared", "odds")
            },
            "nodes": np.array([self.n_nodes], np.int64),
            "names": np.frombuffer(bytes.fromhex(self.names), np.uint8),
        }

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]]) -> Carried:
        """What a run left, from its arrays.

        Args:
            arrays: What `arrays` gave.

        Returns:
            The same.
        """
        return cls(
            links=Links(*(arrays[name] for name in ("a", "b", "weight", "source", "via"))),
            ids=arrays["ids"],
            accounts=arrays["accounts"],
            things=arrays["things"],
            nearest=arrays["nearest"],
            compared=arrays["compared"],
            odds=arrays["odds"],
            n_nodes=int(arrays["nodes"][0]),
            names=arrays["names"].tobytes().hex(),
        )


def names_hash(snapshot: Snapshot, n_nodes: int) -> str:
    """Hash of the names of a snapshot's first nodes, and of which of them are accounts.

    Args:
        snapshot: The snapshot.
        n_nodes: How many.

    Returns:
        Hexadecimal digits.
    """
    digest = hashlib.blake2b(snapshot.names_of_nodes()[:n_nodes].tobytes(), digest_size=16)
    digest.update(np.ascontiguousarray(snapshot.node_account[:n_nodes]).tobytes())
    return digest.hexdigest()


def account_prints(snapshot: Snapshot, label: NDArray[np.integer[Any]]) -> NDArray[np.uint64]:
    """Prints of what accounts are and did.

    Args:
        snapshot: The snapshot.
        label: ``int8[A]``, what people say of them.

    Returns:
        ``uint64[A]``: attributes, first appearance, verdict, cuts, whether it is a hub, and every event with
        its counterpart, time and value.
    """
    nodes, names = np.zeros(snapshot.n_nodes, np.uint64), snapshot.names_of_nodes()
    time_ms = np.asarray(snapshot.event_time_ms)
    for ordinal, relation in enumerate(snapshot.relations):
        for way, edges in enumerate((relation.out, relation.into)):
            pointers = np.asarray(edges.indptr)
            if pointers[-1] == 0:
                continue
            value = np.ascontiguousarray(edges.value, np.float32).view(np.uint32)
            when = time_ms[np.asarray(edges.pos)]
            found = mixed(np.uint64(2 * ordinal + way), names[np.asarray(edges.nbr)], when, value)
            some = np.flatnonzero(np.diff(pointers))
            nodes[some] += np.add.reduceat(found, pointers[some])
    own = nodes[np.asarray(snapshot.account_node)]
    hub = np.asarray(snapshot.hub_since)[np.asarray(snapshot.account_node)] < snapshot.end_horizon
    own += mixed(np.uint64(1 << 20), np.asarray(snapshot.first_seen_ms), np.asarray(label), hub)
    # Of missing values only that they are missing counts, not how they are spelt.
    values = np.nan_to_num(np.asarray(snapshot.attribute_values, np.float64), nan=-1e300)
    for place in range(values.shape[1]):
        own += mixed(np.uint64(place + 2), np.ascontiguousarray(values[:, place]).view(np.uint64))
    for account, other, until_ms, _, undone in snapshot.cuts.iter_rows():
        said = np.array([0 if until_ms is None else until_ms, undone is None], np.int64)
        for one, two in ((account, other), (other, account)):
            whom = names[snapshot.account_node[two : two + 1]]
            own[one] += mixed(np.uint64(1 << 21), whom, said[:1], said[1:])[0]
    return own


def thing_prints(snapshot: Snapshot, member: NDArray[np.int32], n_rings: int) -> NDArray[np.uint64]:
    """Prints of what the members of rings share.

    Args:
        snapshot: The snapshot.
        member: ``int32[A]``, ring of each account or -1.
        n_rings: Number of rings, ``R``.

    Returns:
        ``uint64[R]``: every node that at least two members touch and that is no hub, with the number of
        accounts that touch it.
    """
    view, names = view_of(snapshot), snapshot.names_of_nodes()
    pointers, neighbours, _ = view.pairs(2 * len(view.sides) + 1)
    users = np.diff(view.pairs(2 * len(view.sides))[0])
    inside = np.flatnonzero(member >= 0)
    index, lengths = entries_of(pointers, np.asarray(view.account_node)[inside].astype(np.int64))
    node = np.asarray(neighbours)[index].astype(np.int64)
    key = np.repeat(member[inside].astype(np.int64), lengths) * snapshot.n_nodes + node
    key = key[np.asarray(view.hub_since)[node] >= snapshot.end_horizon]
    held, count = np.unique(key, return_counts=True)
    ring, node = np.divmod(held[count >= 2], max(1, snapshot.n_nodes))
    found = np.zeros(n_rings, np.uint64)
    np.add.at(found, ring, mixed(np.uint64(1), names[node], users[node], count[count >= 2]))
    return found


def way_prints(snapshot: Snapshot, ways: Sequence[Sequence[int]]) -> NDArray[np.uint64]:
    """Prints of ways from node to node.

    Args:
        snapshot: The snapshot.
        ways: ``R`` ways.

    Returns:
        ``uint64[R]``, 0 for an empty one.
    """
    found, names = np.zeros(len(ways), np.uint64), snapshot.names_of_nodes()
    for at, way in enumerate(ways):
        if way:
            steps = np.arange(1, len(way) + 1)
            found[at] = mixed(np.uint64(2), steps, names[np.asarray(way, np.int64)]).sum(dtype=np.uint64)
    return found


def account_names(snapshot: Snapshot) -> NDArray[np.uint64]:
    """Hashes of the accounts' ids.

    Args:
        snapshot: The snapshot.

    Returns:
        ``uint64[A]``, the same in every build.
    """
    return snapshot.names_of_nodes()[np.asarray(snapshot.account_node)]


def mixed(kind: np.uint64, *columns: NDArray[Any]) -> NDArray[np.uint64]:
    """Hash rows of whole numbers.

    Args:
        kind: Makes the same rows of another kind other hashes.
        columns: ``n`` whole numbers each.

    Returns:
        ``uint64[n]``.
    """
    with np.errstate(over="ignore"):
        state = np.full(len(columns[0]), kind * _GOLDEN, np.uint64)
        for column in columns:
            state ^= np.asarray(column).astype(np.int64, copy=False).view(np.uint64)
            state += _GOLDEN
            state = (state ^ (state >> np.uint64(30))) * _MIX[0]
            state = (state ^ (state >> np.uint64(27))) * _MIX[1]
            state ^= state >> np.uint64(31)
    return state
