"""What GraphSAGE is told of the verdicts on others, masked at random while it is fitted.

Label inputs as Shi et al. (2021, UniMP): a network may know its neighbours' verdicts as long as nobody's own
is among its inputs. Each message says whether its node is an account that is known to be bad, and how many of
those behind it are, as of the question's horizon and never the account itself. While the network is fitted, a
mask is drawn for each batch: the accounts that the loss is taken on are unknown to all, every other time with
all of their known rings, and so is a random part of everybody else. Without that a network learns that
ring-mates are known, which on rings that nobody has seen they are not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from features import graph_of
from features.visibility import Graph, account_at, compiled
from gnn.drawing import draw

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from features import Queries, Source

N_COLUMNS: Final = 3
"""Of each message: its node is known bad, one behind it is, share of those behind it that are."""
NEVER: Final = np.iinfo(np.int64).max
# Accounts behind each neighbour whose verdicts are looked at, the latest: verdicts are rarer than neighbours.
# With the 4 that messages are made of nobody known was among them on jodie_wikipedia.
_BEHIND: Final = 32
# Every other batch hides whole rings: both rings that grow and rings that nobody has seen are learned from.
_WHOLE_RINGS: Final = 0.5
# Of everybody else up to a fifth is hidden, a tenth on average.
_MOST_OTHERS: Final = 0.2


@dataclass(frozen=True, slots=True)
class Known:
    """Verdicts that a network may be told.

    Attributes:
        since: ``int64[≥ A]``, an account is known to be bad at horizons above this.
        until: ``int64[≥ A]``, and up to this.
    """

    since: NDArray[np.int64]
    until: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Told:
    """Known bad accounts around some questions: one entry for each way in which one is met.

    Attributes:
        message: ``int64[m]``, the message that tells of it, in rising order.
        account: ``int64[m]``, who it is.
        behind: ``bool[m]``, whether it stands behind the node that sends, not at it.
    """

    message: NDArray[np.int64]
    account: NDArray[np.int64]
    behind: NDArray[np.bool_]

    @classmethod
    def of(cls, source: Source, queries: Queries, known: Known, fanout: int, *, spread: bool = True) -> Told:
        """Look around questions, each as of its own horizon.

        Args:
            source: The graph.
            queries: ``B`` questions.
            known: What is known.
            fanout: Neighbours ``f`` at the first hop, the latest; message ``b f + i`` is that of the
                ``i``-th around question ``b``.
            spread: See `gnn.drawing.draw`.

        Returns:
            The entries; an account asked about is never one around itself.
        """
        drawn = draw(source, queries, fanouts=(fanout, _BEHIND), latest=True, spread=spread)
        parts: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
        for nodes, each in ((drawn.hop1, 1), (drawn.hop2, _BEHIND)):
            account = np.empty(len(nodes), np.int64)
            _accounts(graph_of(source), nodes, account)
            place = np.flatnonzero(account >= 0)
            who, message = account[place], place // each
            asked = message // max(1, fanout)
            horizon = queries.horizon[asked]
            there = (known.since[who] < horizon) & (horizon <= known.until[who])
            there &= who != queries.account[asked]
            parts.append((message[there], who[there]))
        message, who = (np.concatenate(both) for both in zip(*parts, strict=True))
        behind = np.arange(len(message)) >= len(parts[0][0])
        order = np.argsort(message, kind="stable")
        return cls(message[order], who[order], behind[order])

    @classmethod
    def joined(cls, parts: Sequence[tuple[Told, NDArray[np.bool_]]]) -> Told:
        """Put parts one after another, of each only the messages that are there.

        Args:
            parts: Entries, and ``bool[messages]`` which of the messages are there; those that are not tell
                nothing.

        Returns:
            The entries; messages numbered through all that are there.
        """
        begun = 0
        messages: list[NDArray[np.int64]] = []
        for told, there in parts:
            place = np.cumsum(there) - 1
            messages.append(begun + place[told.message])
            begun += int(there.sum())
        return cls(
            np.concatenate(messages),
            np.concatenate([told.account for told, _ in parts]),
            np.concatenate([told.behind for told, _ in parts]),
        )

    def columns(
        self, picked: NDArray[np.int64], n_messages: int, hidden: NDArray[np.bool_] | None = None
    ) -> NDArray[np.float32]:
        """What some messages tell.

        Args:
            picked: ``int64[n]`` messages, each once.
            n_messages: How many there are in all.
            hidden: ``bool[A]`` accounts of whom nothing is told.

        Returns:
            ``float32[n, 3]``.
        """
        row = np.full(n_messages, -1, np.int64)
        row[picked] = np.arange(len(picked))
        at = row[self.message]
        told = at >= 0
        if hidden is not None:
            told &= ~hidden[self.account]
        behind = np.bincount(at[told & self.behind], minlength=len(picked))
        out = np.empty((len(picked), N_COLUMNS), np.float32)
        out[:, 0] = np.bincount(at[told & ~self.behind], minlength=len(picked)) > 0
        out[:, 1] = behind > 0
        out[:, 2] = behind / _BEHIND
        return out


@dataclass(frozen=True, slots=True)
class Masks:
    """Draws who is unknown to a batch.

    Attributes:
        account: ``int64[n]``, who each of the questions is about.
        group: ``int64[n]``, what belongs together: known rings.
        n_accounts: ``A``.
    """

    account: NDArray[np.int64]
    group: NDArray[np.int64]
    n_accounts: int

    def of(self, questions: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Hide the accounts of some questions, ``bool[A]``."""
        hidden = np.zeros(self.n_accounts, np.bool_)
        hidden[self.account[questions]] = True
        return hidden

    def draw(
        self, picked: NDArray[np.int64], held_back: Sequence[int] | NDArray[np.int64], seed: Sequence[int]
    ) -> NDArray[np.bool_]:
        """Draw the mask of one batch.

        Args:
            picked: The questions that the loss is taken on, those of all workers.
            held_back: Questions of whose accounts nothing is ever told in this fit.
            seed: Of the draw, the same for all workers.

        Returns:
            ``bool[A]``, who is unknown.
        """
        rng = np.random.default_rng(seed)
        rings = rng.random() < _WHOLE_RINGS
        hidden = rng.random(self.n_accounts) < rng.random() * _MOST_OTHERS
        hidden[self.account[picked]] = True
        hidden[self.account[np.asarray(held_back, np.int64)]] = True
        if rings:
            hidden[self.account[np.isin(self.group, self.group[picked])]] = True
        return hidden


@compiled
def _accounts(graph: Graph, nodes: Any, out: Any) -> None:
    """The account of each node, -1 for entities and where nobody is."""
    for place in range(len(nodes)):
        node = np.int64(nodes[place])
        out[place] = account_at(graph, node) if node >= 0 else np.int64(-1)
