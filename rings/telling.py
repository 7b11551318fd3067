"""What a run tells of its rings: evidence, who was left out, words and pictures, and each member's part."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from rings.benign import OPEN, Confirmed, confirmed_piece, standing_of
from rings.benign import Standing as BenignStanding
from rings.evidence import Evidence, Grounds, evidence
from rings.left_out import left_out, named_rings
from rings.pictures import Pictures
from rings.roles import ROLES, confidence, roles, ties
from rings.run import pack
from rings.words import headline, sentences

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from graph_etl import Snapshot
    from graph_etl.progress import Progress
    from rings.identity import Identities
    from rings.spread import Shared, Spread

# Rings that are put into words in one piece of work.
_RINGS_OF_PIECE: Final = 512


@dataclass(frozen=True, slots=True)
class Told:
    """What is told of some rings, in their order.

    Attributes:
        words: The headline of each.
        packed: The explanation of each, as it is stored.
        status: What became of each as a group that people called benign, see `rings.benign`.
        members: A row for each member of every ring of the run.
    """

    words: list[str]
    packed: list[bytes]
    status: list[str]
    members: pl.DataFrame


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the collector: what is told holds no cycles, and it would look through all of it ever again."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


@_uncollected()
def told_of(
    grounds: Grounds,
    told: NDArray[np.int64],
    accounts: Sequence[NDArray[np.int64]],
    names: Identities,
    groups: Mapping[str, Confirmed],
    over: Spread,
    tell: Progress,
) -> Told:
    """Tell of rings.

    Args:
        grounds: What their evidence is drawn from.
        told: ``int64[n]``, the rings that ``grounds`` holds, by their numbers in the run.
        accounts: Members of all rings of the run.
        names: Their ids.
        groups: By ring the group that people called benign.
        over: Runs the pieces.
        tell: Told what is done.

    Returns:
        What is told of them.
    """
    grounds.minimal  # noqa: B018 - worked out once, not in each piece
    shared = over.share(grounds)
    pieces, outside = over.each("evidence", [partial(_evidence, shared), partial(_left_out, shared)], tell)
    standings = _standings(grounds.snapshot, grounds, pieces, [names.ids[ring] for ring in told], groups)
    members, role_names, firmness = _members(grounds.snapshot, grounds, accounts, names)
    drawn = over.share((role_names, firmness, names.ids))
    starts = range(0, len(told), _RINGS_OF_PIECE)
    in_words = over.each(
        "words",
        [
            partial(_explain, shared, drawn, at, pieces[rows], outside[rows])
            for at in starts
            for rows in [slice(at, at + _RINGS_OF_PIECE)]
        ],
        tell,
    )
    return Told(
        [words for said, _ in in_words for words in said],
        [explanation for _, rest in in_words for explanation in rest],
        [OPEN if found is None else found.status for found in standings],
        members,
    )


def _standings(
    snapshot: Snapshot,
    grounds: Grounds,
    pieces: list[list[Evidence]],
    ids: list[str],
    groups: Mapping[str, Confirmed],
) -> list[BenignStanding | None]:
    """What became of the groups that people called benign; what they said joins the evidence."""
    standings: list[BenignStanding | None] = [None] * len(ids)
    for at, ring in enumerate(ids):
        if ring in groups:
            accounts = grounds.accounts[at]
            inside = snapshot.node_keys[np.asarray(snapshot.account_node)[accounts]]
            bad = grounds.known_bad[accounts]
            known = [name for name, is_bad in zip(inside, bad, strict=True) if is_bad]
            found = standings[at] = standing_of(groups[ring], inside, known, pieces[at])
            pieces[at].append({"id": f"e{len(pieces[at]) + 1}", **confirmed_piece(found)})
    return standings


def _members(
    snapshot: Snapshot, grounds: Grounds, rings: Sequence[NDArray[np.int64]], names: Identities
) -> tuple[pl.DataFrame, list[str], NDArray[np.float64]]:
    member, links = grounds.homes, grounds.links
    inner, outer = ties(links, member)
    payers, payees = [np.zeros(0, np.int32)], [np.zeros(0, np.int32)]
    touches = grounds.contacts.touches
    for ordinal, side in enumerate(grounds.contacts.sides):
        if side.direct and side.outgoing and snapshot.relations[side.relation].directed and not side.used:
            rows = touches.filter(pl.col("side") == ordinal)
            other = np.asarray(snapshot.node_account)[rows["node"].to_numpy()]
            payers.append(rows["account"].to_numpy()[other >= 0])
            payees.append(other[other >= 0])
    role = roles(member, inner, outer, np.concatenate(payers), np.concatenate(payees))
    role_names = [ROLES[number] if number >= 0 else "" for number in role]
    firmness = np.where(member >= 0, confidence(inner, outer), 0.0)
    accounts = np.concatenate([np.zeros(0, np.int64), *rings])
    members = pl.DataFrame(
        {
            "ring": pl.Series([names.ids[ring] for ring in member[accounts]], dtype=pl.String),
            "account": accounts.astype(np.int32),
            "account_id": pl.Series(
                snapshot.node_keys[np.asarray(snapshot.account_node)[accounts]], dtype=pl.String
            ),
            "role": pl.Series([role_names[account] for account in accounts], dtype=pl.String),
            "weight": np.round(firmness[accounts], 6),
        }
    )
    return members, role_names, firmness


def _evidence(grounds: Shared[Grounds]) -> list[list[Evidence]]:
    with _uncollected():
        return evidence(grounds.get())


def _left_out(grounds: Shared[Grounds]) -> list[list[dict[str, Any]]]:
    with _uncollected():
        return left_out(grounds.get())


def _explain(
    shared: Shared[Grounds],
    drawn: Shared[tuple[list[str], NDArray[np.float64], list[str]]],
    first: int,
    pieces: list[list[Evidence]],
    outside: list[list[dict[str, Any]]],
) -> tuple[list[str], list[bytes]]:
    """Headlines and packed explanations of the rings from ``first`` on."""
    grounds = shared.get()
    role_names, firmness, ids = drawn.get()
    account_kind = grounds.snapshot.kinds[0].name
    pictures = Pictures(grounds, role_names, firmness, range(first, first + len(pieces)))
    words: list[str] = []
    packed: list[bytes] = []
    for ring, (found, left) in enumerate(zip(pieces, outside, strict=True), start=first):
        said = sentences(found, account_kind)
        words.append(headline(said, found))
        packed.append(
            pack(
                {
                    "sentences": [{"text": one.text, "evidence": list(one.evidence)} for one in said],
                    "evidence": found,
                    "left_out": named_rings(left, ids, account_kind),
                    "timeline": pictures.timeline(ring),
                    "subgraph": pictures.subgraph(ring),
                }
            )
        )
    return words, packed
