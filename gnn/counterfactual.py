"""What a score would be without a piece of the evidence: computed by the very path that gave the score.

A piece is taken out of the graph (`features.without`) and out of the question, then everything is computed
anew: features of the account and of its neighbours, bursts on what they share, links, GraphSAGE, trees. So
the answer needs no assumption about how features depend on each other, as attributions of features do.
"""

from __future__ import annotations

from collections import defaultdict
from copy import copy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy.special import logit

from features import LiveGraph, graph_of
from features.opened import nothing_brought, open_graph
from features.visibility import account_at, is_hub, latest_accounts, latest_neighbours, users_of
from features.without import Edge, without
from gnn.shared_nodes import account_id, kind_and_key, shared_nodes
from gnn.wording import change_in_words, how_many, score_in_words, side_in_words, spoken

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

    from numpy.typing import NDArray

    from features import Queries
    from gnn.reasons import Reason
    from gnn.scorer import Scorer, ScoreResult
    from rings import Epoch

# Nodes that are taken away alone: those that tie it most, and of the others those with the most users. Of
# these, the ones that matter most, and the most firmly linked accounts, are weighed against each other.
_TRIED: Final = 16
_TRIED_POPULAR: Final = 8
_NODES: Final = 12
_ACCOUNTS: Final = 8
# Accounts of one node, and nodes of one account, that are read to find who is linked through what, and the
# rarest of what two accounts both touch that is taken away.
_USERS_READ: Final = 64
_COMMON: Final = 16
_TOUCHED_READ: Final = 256
# An account that did something with more counterparts has no one piece of evidence in them.
_COUNTERPARTS: Final = 512
_NODES_NAMED: Final = 5
# Scores so near 0 or 1 differ in nothing that anybody could see.
_EDGE_OF_SCORES: Final = 1e-9
# How far the parts may be stretched to add up to the whole; beyond, they say too little of it.
_STRETCH: Final = 4.0


@dataclass(frozen=True, slots=True)
class Carrier:
    """A piece of evidence and what it carries of the score.

    Attributes:
        what: The piece: kind and key, an account, one way through a relation.
        words: What would be without it, as in *without the device that 4 accounts touch: 0.93 → 0.31*.
        score: The score without it.
        log_odds: Its share of what all pieces of its list carry together, in log odds of the score; None
            where the list is no division of the score.
        evidence: What can be followed.
    """

    what: str
    words: str
    score: float
    log_odds: float | None
    evidence: dict[str, Any]


@dataclass(frozen=True, slots=True)
class LeastSet:
    """Pieces without which the score is low, none of which can be left out.

    Attributes:
        pieces: What they are.
        words: In words.
        score: The score without them.
        goal: The score that was to be reached: the threshold asked for, else half of the score.
    """

    pieces: list[str]
    words: str
    score: float
    goal: float


@dataclass(frozen=True, slots=True)
class Counterfactuals:
    """What carries a score.

    Attributes:
        score: The score.
        nodes: Nodes that the account shares, the weightiest first. Their log odds add up to ``of_nodes``.
        accounts: Accounts that it is linked with. Their log odds add up to ``of_accounts``.
        relations: Ways of acting, the score without any of each; they overlap, so that nothing adds up.
        of_nodes: Log odds of the score less those without all of ``nodes``.
        of_accounts: The same for ``accounts``.
        least: The smallest set of nodes found that brings the score down; None if even all of them do not.
        n_scores: How many scores were computed.
        reasons: The reasons given, each with `Reason.without`. Of reasons that name nodes the evidence is
            ordered by what the nodes carry, the weightiest five.
    """

    score: float
    nodes: list[Carrier]
    accounts: list[Carrier]
    relations: list[Carrier]
    of_nodes: float
    of_accounts: float
    least: LeastSet | None
    n_scores: int
    reasons: list[Reason] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, without the reasons."""
        return {
            **{name: [_plain(one) for one in getattr(self, name)] for name in _LISTS},
            "of_nodes": round(self.of_nodes, 4),
            "of_accounts": round(self.of_accounts, 4),
            "least": None
            if self.least is None
            else {
                "pieces": self.least.pieces,
                "words": self.least.words,
                "score": round(self.least.score, 4),
                "goal": round(self.least.goal, 4),
            },
        }


_LISTS: Final = ("nodes", "accounts", "relations")


def _plain(carrier: Carrier) -> dict[str, Any]:
    return {
        "what": carrier.what,
        "words": carrier.words,
        "score": round(carrier.score, 4),
        "log_odds": None if carrier.log_odds is None else round(carrier.log_odds, 4),
        "evidence": carrier.evidence,
    }


@dataclass(frozen=True, slots=True)
class _Piece:
    """Something that can be taken away: edges of the graph, and of the question those at some places."""

    key: tuple[Any, ...]
    what: str
    phrase: str
    evidence: dict[str, Any]
    edges: tuple[Edge, ...]
    own: frozenset[int]


def counterfactuals(
    scorer: Scorer,
    queries: Queries,
    result: ScoreResult,
    row: int = 0,
    *,
    reasons: Sequence[Reason] = (),
    below: float | None = None,
    named_only: bool = False,
) -> Counterfactuals:
    """Score an account without each piece of the evidence.

    A node's piece is all that lies between the account and the node; a linked account's is all that lies
    between that account and what both touch or each other; a relation's is all that the account did through
    it in one direction. Hubs are no pieces.

    What a piece carries is the mean of what it takes away as the first to go and of what it brings back as
    the only one that stays, which is the Shapley value (Shapley, 1953) exactly where there are two of them;
    all are then stretched alike so that they add up to what all carry together. Some 20 to 90 scores are
    computed, each for 1 to 5 ms.

    Args:
        scorer: What scored it.
        queries: The questions.
        result: Their scores.
        row: The question.
        reasons: Its reasons; the pieces that they name are among those that are tried.
        below: A threshold that the score is to fall below; half of the score where None, or where it lies
            below already.
        named_only: Try only what the reasons name: at most seven scores and one for each reason.

    Returns:
        What carries the score.
    """
    steps = counterfactual_steps(
        scorer, queries, result, row, reasons=reasons, below=below, named_only=named_only
    )
    while True:
        try:
            next(steps)
        except StopIteration as done:
            found: Counterfactuals = done.value
            return found


def counterfactual_steps(
    scorer: Scorer,
    queries: Queries,
    result: ScoreResult,
    row: int = 0,
    *,
    reasons: Sequence[Reason] = (),
    below: float | None = None,
    named_only: bool = False,
) -> Generator[None, None, Counterfactuals]:
    """The same in steps of one score each, for a thread that has other things to do between them.

    Between two steps something may be applied to a live graph: a question sees no further than its horizon.

    Args:
        scorer: As above.
        queries: As above.
        result: As above.
        row: As above.
        reasons: As above.
        below: As above.
        named_only: As above.

    Yields:
        Nothing, after each score.

    Returns:
        What carries the score.
    """
    asked = _Asked(scorer, queries.take(np.array([row])), result.moment, float(result.score[row]))
    named = [piece for reason in reasons for piece in asked.named_by(reason)]
    yield from asked.try_each(named)
    if named_only:
        order = [piece for piece in named if piece.key[0] == "node"]
        order = list({piece.key: piece for piece in order}.values())
        told = yield from asked.tell(reasons, sorted(order, key=lambda piece: asked.alone[piece.key]))
        return Counterfactuals(asked.score, [], [], [], 0.0, 0.0, None, asked.n_scores, told)
    tried = {piece.key: piece for piece in [*asked.nodes(), *named] if piece.key[0] == "node"}
    yield from asked.try_each(tried.values())
    nodes = sorted(tried.values(), key=lambda piece: asked.alone[piece.key])[:_NODES]
    of_nodes, carried_nodes = yield from asked.divide(nodes)
    of_accounts, carried_accounts = yield from asked.divide(asked.accounts())
    relations = asked.relations()
    yield from asked.try_each(relations)
    order = [piece for piece, _ in carried_nodes]
    least = yield from asked.least_set(order, below)
    told = yield from asked.tell(reasons, order)
    return Counterfactuals(
        score=asked.score,
        nodes=[carrier for _, carrier in carried_nodes],
        accounts=[carrier for _, carrier in carried_accounts],
        relations=sorted((asked.carrier(piece) for piece in relations), key=lambda one: one.score),
        of_nodes=of_nodes,
        of_accounts=of_accounts,
        least=least,
        n_scores=asked.n_scores,
        reasons=told,
    )


class _Asked:
    """One question, the graph that it was asked, and how often it was asked again."""

    def __init__(self, scorer: Scorer, query: Queries, moment: str, score: float) -> None:
        source = scorer.source
        self.score = score
        self.alone: dict[tuple[Any, ...], float] = {}
        self.n_scores = 0
        self._live = source if isinstance(source, LiveGraph) else LiveGraph(source)
        self._scorer = scorer
        self._query = query
        self._moment = moment
        self._view = open_graph(self._live).view
        self._row = 2 * len(self._view.sides)
        self._account = int(query.account[0])
        self._horizon = int(query.horizon[0])
        self._own = self._live.account_node(self._account) if self._account >= 0 else -1
        self._epochs = tuple(_epoch_without(epoch, self._account) for epoch in scorer.epochs)
        known = scorer.coordinates
        self._coordinates = None if known is None else known.without(self._account)
        sides = self._view.relation_sides[query.ext_relation, query.ext_outgoing.view(np.int8)]
        self._brought = [
            (place, int(node), int(side))
            for place, (node, side) in enumerate(zip(query.ext_node, sides, strict=True))
        ]

    def score_without(self, pieces: Sequence[_Piece]) -> float:
        """The score had none of these pieces been there."""
        gone = frozenset().union(*(piece.own for piece in pieces))
        edges = [edge for piece in pieces for edge in piece.edges]
        other = copy(self._scorer)
        other.source = without(self._live, edges) if edges else self._live
        other.epochs = self._epochs
        other.coordinates = self._coordinates
        self.n_scores += 1
        return float(other.score(self._less(gone), self._moment).score[0])

    def _less(self, gone: frozenset[int]) -> Queries:
        query = self._query
        if not gone:
            return query
        stays = np.array([place for place, _, _ in self._brought if place not in gone], np.int64)
        return replace(
            query,
            ext_ptr=np.array([0, len(stays)], np.int64),
            ext_relation=query.ext_relation[stays],
            ext_outgoing=query.ext_outgoing[stays],
            ext_node=query.ext_node[stays],
            ext_value=query.ext_value[stays],
        )

    def said(
        self,
        pieces: Sequence[_Piece],
        alone: dict[tuple[Any, ...], float],
        together: dict[frozenset[Any], float],
    ) -> dict[str, Any] | None:
        """What is said of a reason whose evidence names these pieces."""
        if not pieces:
            return None
        best = min(pieces, key=lambda piece: alone[piece.key])
        words = f"without {best.phrase}: {change_in_words(self.score, alone[best.key])}"
        keys = frozenset(piece.key for piece in pieces)
        whole = together.get(keys)
        if whole is not None:
            words += f"; without {'both' if len(keys) == 2 else f'all {len(keys)}'}: {score_in_words(whole)}"
        return {
            "score": round(alone[best.key], 4),
            "what": best.what,
            "score_without_all": round(alone[best.key] if whole is None else whole, 4),
            "words": words,
        }

    def try_each(self, pieces: Iterable[_Piece]) -> Generator[None, None, None]:
        """Score without each piece alone, where that is not known."""
        for piece in pieces:
            if piece.key not in self.alone:
                self.alone[piece.key] = self.score_without([piece])
                yield

    def tell(self, reasons: Sequence[Reason], order: Sequence[_Piece]) -> Generator[None, None, list[Reason]]:
        """Order the nodes that reasons name by what they carry, and say what the score would be without."""
        together: dict[frozenset[Any], float] = {}
        told: list[Reason] = []
        for reason in reasons:
            evidence = _reordered(reason, order)
            pieces = self.named_by(replace(reason, evidence=evidence))
            yield from self.try_each(pieces)
            keys = frozenset(piece.key for piece in pieces)
            if len(keys) > 1 and keys not in together:
                together[keys] = self.score_without(pieces)
                yield
            without_it = self._said(pieces, together.get(keys)) if pieces else None
            told.append(replace(reason, evidence=evidence, without=without_it))
        return told

    def _said(self, pieces: Sequence[_Piece], whole: float | None) -> dict[str, Any]:
        """What is said of a reason whose evidence names these pieces."""
        best = min(pieces, key=lambda piece: self.alone[piece.key])
        alone = self.alone[best.key]
        words = f"without {best.phrase}: {change_in_words(self.score, alone)}"
        if whole is not None:
            words += (
                f"; without {'both' if len(pieces) == 2 else f'all {len(pieces)}'}: {score_in_words(whole)}"
            )
        return {
            "score": round(alone, 4),
            "what": best.what,
            "score_without_all": round(alone if whole is None else whole, 4),
            "words": words,
        }

    def carrier(self, piece: _Piece, log_odds: float | None = None) -> Carrier:
        """A piece with the score without it."""
        score = self.alone[piece.key]
        words = f"without {piece.phrase}: {change_in_words(self.score, score)}"
        return Carrier(piece.what, words, score, log_odds, piece.evidence)

    def divide(
        self, pieces: Sequence[_Piece]
    ) -> Generator[None, None, tuple[float, list[tuple[_Piece, Carrier]]]]:
        """What all pieces carry together, and what each of them does, the weightiest first."""
        if not pieces:
            return 0.0, []
        yield from self.try_each(pieces)
        nothing_left = self.alone[pieces[0].key]
        back: list[float] = []
        if len(pieces) > 1:
            nothing_left = self.score_without(pieces)
            yield
            for piece in pieces:
                back.append(self.score_without([other for other in pieces if other is not piece]))
                yield
        whole = _log_odds(self.score) - _log_odds(nothing_left)
        parts = np.array([_log_odds(self.score) - _log_odds(self.alone[piece.key]) for piece in pieces])
        if back:
            last = np.array([_log_odds(score) for score in back]) - _log_odds(nothing_left)
            parts = (parts + last) / 2.0
            stretch = whole / parts.sum() if parts.sum() else 0.0
            if 1.0 / _STRETCH <= stretch <= _STRETCH:
                parts *= stretch
        order = np.argsort(-parts, kind="stable")
        return whole, [(pieces[at], self.carrier(pieces[at], float(parts[at]))) for at in order]

    def least_set(
        self, order: Sequence[_Piece], below: float | None
    ) -> Generator[None, None, LeastSet | None]:
        """Take the weightiest pieces away until the score is low, then give back what was not needed."""
        goal = below if below is not None and self.score >= below else self.score / 2.0
        gone: list[_Piece] = []
        score = self.score
        for piece in order:
            gone.append(piece)
            score = yield from self._without_some(gone)
            if score < goal:
                break
        if not gone or score >= goal:
            return None
        for piece in gone[:-1]:
            rest = [other for other in gone if other is not piece]
            less = yield from self._without_some(rest)
            if less < goal:
                gone, score = rest, less
        words = f"without {_all_of(gone)}: {change_in_words(self.score, score)}"
        return LeastSet([piece.what for piece in gone], words, score, goal)

    def _without_some(self, pieces: Sequence[_Piece]) -> Generator[None, None, float]:
        if len(pieces) == 1:
            return self.alone[pieces[0].key]
        score = self.score_without(pieces)
        yield
        return score

    def nodes(self) -> list[_Piece]:
        """Nodes that it shares: those that tie it most to others, and those with the most users."""
        found = shared_nodes(self._live, self._query, 0, _TOUCHED_READ)
        popular = sorted(found[_TRIED:], key=lambda shared: -shared.users)
        found = [*found[:_TRIED], *popular[:_TRIED_POPULAR]]
        return [self._node(shared.node, shared.as_evidence()) for shared in found]

    def _node(self, node: int, item: dict[str, Any] | None = None) -> _Piece:
        kind, key = kind_and_key(self._live, node)
        users = self._n_users(node) if item is None else item["accounts"]
        evidence = item or {"type": "shared_node", "kind": kind, "key": key, "accounts": users}
        what = f"{spoken(kind)} {key}"
        phrase = f"the {spoken(kind)} that {how_many(users, 'account')} touch"
        if account_at(graph_of(self._live), node) >= 0:
            phrase = _dealings_with(what)
        edges, own = self._between(node)
        return _Piece(("node", kind, key), what, phrase, evidence, edges, own)

    def _between(self, node: int) -> tuple[tuple[Edge, ...], frozenset[int]]:
        """All that lies between the account and a node, in the graph and in the question."""
        edges = (Edge(self._account, node),) if self._account >= 0 else ()
        return edges, frozenset(place for place, other, _ in self._brought if other == node)

    def named_by(self, reason: Reason) -> list[_Piece]:
        """The pieces that the evidence of a reason names; where it names nodes, these alone."""
        nodes: dict[tuple[Any, ...], _Piece] = {}
        others: list[_Piece] = []
        for item in reason.evidence:
            if item["type"] == "shared_node":
                node = self._live.node_index(item["kind"], item["key"])
                if node is not None:
                    piece = self._node(node, item)
                    nodes[piece.key] = piece
            elif item["type"] == "confirmed_bad_account":
                bad = self._live.account_index(item["account"])
                if bad is not None and self._live.account_node(bad) in self._touched():
                    others.append(self._node(self._live.account_node(bad)))
            elif item["type"] == "activity":
                sides = [at for at, side in enumerate(self._view.sides) if side.label == item["relation"]]
                others += [piece for side in sides for piece in self._relation(side, item)]
            elif item["type"] == "dealings":
                others += self._dealings(item)
        return list(nodes.values()) or others

    def _dealings(self, item: dict[str, Any]) -> list[_Piece]:
        """All that it dealt directly with other accounts, as one piece."""
        graph = graph_of(self._live)
        nodes = [node for node in self._touched() if account_at(graph, node) >= 0]
        if not nodes:
            return []
        pairs = [self._between(node) for node in nodes]
        edges = tuple(edge for some, _ in pairs for edge in some)
        own = frozenset().union(*(places for _, places in pairs))
        what = "dealings with accounts"
        return [_Piece(("dealings",), what, f"any {what}", item, edges, own)]

    def relations(self) -> list[_Piece]:
        """Each way of acting that it took."""
        return [piece for side in range(len(self._view.sides)) for piece in self._relation(side, None)]

    def _relation(self, side: int, item: dict[str, Any] | None) -> list[_Piece]:
        """One way of acting as one piece; none where it did not act so, or with too many."""
        label = self._view.sides[side].label
        graph = graph_of(self._live)
        met: NDArray[np.int64] = latest_neighbours(graph, side, self._own, self._horizon, _COUNTERPARTS + 1)
        own = frozenset(place for place, _, through in self._brought if through == side)
        if len(met) > _COUNTERPARTS or not (len(met) or own):
            return []
        words = side_in_words(label)
        evidence = item or {"type": "activity", "relation": label, "counterparts": len(met)}
        edges = tuple(Edge(self._account, int(node), side) for node in met)
        return [_Piece(("relation", label), words, f"any {words}", evidence, edges, own)]

    def accounts(self) -> list[_Piece]:
        """The accounts that it is linked with most firmly through rare nodes, or deals with."""
        graph = graph_of(self._live)
        touched = self._touched()
        ties: dict[int, float] = defaultdict(float)
        shared_with: dict[int, list[int]] = defaultdict(list)
        for shared in shared_nodes(self._live, self._query, 0, _TRIED):
            for other in latest_accounts(graph, self._row, shared.node, self._horizon, _USERS_READ).tolist():
                ties[other] += 1.0 / np.log2(shared.users)
        for node in touched:
            other = int(account_at(graph, node))
            if other >= 0:
                ties[other] += 1.0 / np.log2(2.0 + self._n_users(node))
        ties.pop(self._account, None)
        firmest = sorted(ties, key=lambda other: (-ties[other], other))[:_ACCOUNTS]
        for other in firmest:
            node = self._live.account_node(other)
            theirs = latest_neighbours(graph, self._row + 1, node, self._horizon, _TOUCHED_READ).tolist()
            shared_with[other] = [one for one in theirs if one in touched and one != self._own]
        return [self._account_piece(other, touched, shared_with[other]) for other in firmest]

    def _account_piece(self, other: int, touched: dict[int, None], common: Sequence[int]) -> _Piece:
        graph = graph_of(self._live)
        common = [node for node in common if not is_hub(graph, node, self._horizon)]
        common = sorted(common, key=lambda shared: (self._n_users(shared), shared))[:_COMMON]
        node = self._live.account_node(other)
        edges, own = self._between(node) if node in touched else ((), frozenset[int]())
        edges += tuple(Edge(other, shared) for shared in common)
        key = account_id(self._live, other)
        named = [kind_and_key(self._live, shared) for shared in common[:_NODES_NAMED]]
        evidence = {
            "type": "linked_account",
            "account": key,
            "shared": [{"kind": kind, "key": shared} for kind, shared in named],
            "dealt_with": node in touched,
        }
        what = f"account {key}"
        return _Piece(("account", key), what, f"what links it to {what}", evidence, edges, own)

    def _n_users(self, node: int) -> int:
        return int(users_of(graph_of(self._live), node, self._horizon, nothing_brought(), 0, 0))

    def _touched(self) -> dict[int, None]:
        """Nodes that it touched, the latest ones, and those that the question brings."""
        graph = graph_of(self._live)
        met = latest_neighbours(graph, self._row + 1, self._own, self._horizon, _TOUCHED_READ).tolist()
        return dict.fromkeys([*met, *(node for _, node, _ in self._brought if node >= 0)])


def _reordered(reason: Reason, order: Sequence[_Piece]) -> list[dict[str, Any]]:
    """The evidence of a reason, its nodes by what they carry: five of those weighed.

    Where it names a confirmed bad account, its node is the one that leads there.
    """
    types = {item["type"] for item in reason.evidence}
    if "shared_node" not in types or "confirmed_bad_account" in types:
        return reason.evidence
    others = [item for item in reason.evidence if item["type"] != "shared_node"]
    found = [piece.evidence for piece in order]
    if reason.code == "IDENTIFIER_BURST":
        kinds = {item["kind"] for item in reason.evidence if item["type"] == "shared_node"}
        found = [item for item in found if item["kind"] in kinds]
    return [*others, *found[:_NODES_NAMED]] if found else reason.evidence


def _epoch_without(epoch: Epoch, account: int) -> Epoch:
    """An epoch in which an account is in no community: it joins the one that what is left of its links says.

    Its place there stands for the very edges that are taken away.
    """
    if not 0 <= account < epoch.member.shape[1]:
        return epoch
    member = np.array(epoch.member)
    member[:, account] = -1
    return replace(epoch, member=member)


def _log_odds(score: float) -> float:
    return float(logit(np.clip(score, _EDGE_OF_SCORES, 1.0 - _EDGE_OF_SCORES)))


def _all_of(pieces: Sequence[_Piece]) -> str:
    """Nodes in words, the accounts dealt with in one breath."""
    dealt = [piece.what for piece in pieces if piece.phrase == _dealings_with(piece.what)]
    phrases = [piece.phrase for piece in pieces if piece.phrase != _dealings_with(piece.what)]
    return _listed([*phrases, *([_dealings_with(_listed(dealt))] if dealt else [])])


def _dealings_with(what: str) -> str:
    return f"its dealings with {what}"


def _listed(phrases: Sequence[str]) -> str:
    """Phrases as a list in words."""
    return " and ".join([*([", ".join(phrases[:-1])] if phrases[:-1] else []), phrases[-1]])
