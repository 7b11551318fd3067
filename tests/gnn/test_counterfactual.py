"""What a score would be without its evidence: as had it never been there, and lower than by chance."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import logit

from features import FeatureSpec, LiveGraph, Queries
from features.without import Edge, without
from gnn import Bundle, Scorer, reasons
from gnn import reasons as reasons_of
from gnn.counterfactual import (
    Counterfactuals,
    _epoch_without,
    counterfactual_steps,
    counterfactuals,
)
from gnn.reasons import _code
from graph_etl import JournalRow, LiveEvent, Snapshot

DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def scorer(timed_snapshot: Snapshot, timed_bundle: Bundle) -> Scorer:
    """Scores on a live graph to which nothing was applied."""
    return Scorer(LiveGraph(timed_snapshot), timed_bundle)


def explained(scorer: Scorer, account: int, below: float | None = None) -> Counterfactuals:
    asked = Queries.for_accounts(scorer.snapshot, np.array([account]))
    result = scorer.score(asked)
    told = reasons(scorer, asked, result)
    return counterfactuals(scorer, asked, result, reasons=told, below=below)


def log_odds_without(scorer: Scorer, account: int, nodes: list[int]) -> float:
    live = scorer.source
    assert isinstance(live, LiveGraph)
    other = Scorer(live, scorer.bundle)
    other.source = without(live, [Edge(account, node) for node in nodes])
    other.epochs = tuple(_epoch_without(epoch, account) for epoch in other.epochs)
    asked = Queries.for_accounts(scorer.snapshot, np.array([account]))
    return log_odds(float(other.score(asked).score[0]))


def log_odds(score: float) -> float:
    return float(logit(np.clip(score, 1e-9, 1 - 1e-9)))


def named_nodes(live: LiveGraph, found: Counterfactuals) -> list[int]:
    named = [
        live.node_index(item["kind"], item["key"])
        for reason in found.reasons
        for item in reason.evidence
        if item["type"] == "shared_node"
    ]
    return [node for node in dict.fromkeys(named) if node is not None]


def lower_bound(falls: NDArray[np.float64]) -> float:
    """Lower end of a 95 % interval of the mean, by bootstrap."""
    rows = np.random.default_rng(0).integers(0, len(falls), (4000, len(falls)))
    return float(np.quantile(falls[rows].mean(axis=1), 0.025))


def test_named_evidence_lowers_scores_more_than_as_much_drawn_at_random(scorer: Scorer) -> None:
    """The deletion test: of accounts that score high, what the reasons name against what chance names."""
    live = scorer.source
    assert isinstance(live, LiveGraph)
    random = np.random.default_rng(5)
    scores = scorer.bundle.scores.sort("account")["score"].to_numpy()
    more: list[float] = []
    for account in np.argsort(-scores, kind="stable")[:40]:
        found = explained(scorer, int(account))
        touched = [node for node in live.touched(int(account), 256) if not live.is_hub(node)]
        named = named_nodes(live, found)[: len(touched) // 2]
        if not named:
            continue
        drawn = [random.choice(touched, len(named), replace=False).tolist() for _ in range(3)]
        at_random = np.mean([log_odds_without(scorer, int(account), nodes) for nodes in drawn])
        more.append(float(at_random) - log_odds_without(scorer, int(account), named))
    assert len(more) >= 25
    assert lower_bound(np.array(more)) > 0.1
    # Where the score stays at its very top either way, neither wins.
    assert np.mean((np.array(more) > 0) + 0.5 * (np.array(more) == 0)) > 0.6


def test_what_nodes_carry_adds_up_and_the_least_set_has_none_too_many(scorer: Scorer) -> None:
    live = scorer.source
    assert isinstance(live, LiveGraph)
    account = live.account_index("farm01")
    assert account is not None
    found = explained(scorer, account, below=0.3)
    assert found.score > 0.5
    assert found.nodes == sorted(found.nodes, key=lambda one: -(one.log_odds or 0.0))
    nodes = [live.node_index(one.evidence["kind"], one.evidence["key"]) or 0 for one in found.nodes]
    whole = log_odds(found.score)
    assert found.of_nodes == pytest.approx(whole - log_odds_without(scorer, account, nodes))
    assert sum(one.log_odds or 0.0 for one in found.nodes) == pytest.approx(found.of_nodes)
    for one, node in zip(found.nodes, nodes, strict=True):
        assert log_odds(one.score) == pytest.approx(log_odds_without(scorer, account, [node]))
    device = next(one for one in found.nodes if one.what.startswith("device "))
    assert device.words.startswith(f"without the device that {device.evidence['accounts']} accounts touch: ")
    assert device.evidence["accounts"] == 7
    if found.least is None:
        assert log_odds_without(scorer, account, nodes) >= logit(0.3)
    else:
        assert found.least.score < found.least.goal == 0.3
    assert {"gift>", "used:device"} <= {one.evidence["relation"] for one in found.relations}
    assert all(one.evidence["account"].startswith("farm") for one in found.accounts)


def test_reasons_say_what_the_score_would_be(scorer: Scorer) -> None:
    live = scorer.source
    assert isinstance(live, LiveGraph)
    account = live.account_index("e3-1")
    assert account is not None
    found = explained(scorer, account)
    contact = next(one for one in found.reasons if one.code == "SHARED_WITH_CONFIRMED_BAD")
    assert contact.without is not None
    shared = contact.evidence[0]
    assert contact.without["what"] == f"{shared['kind']} {shared['key']}"
    node = live.node_index(shared["kind"], shared["key"])
    assert node is not None
    expected = 1 / (1 + np.exp(-log_odds_without(scorer, account, [node])))
    assert contact.without["score"] == pytest.approx(expected, abs=1e-4)
    assert contact.without["words"].startswith(f"without the {shared['kind'].replace('_', ' ')} that ")
    assert all(one.without is None for one in found.reasons if one.safe_for_user)


def test_a_question_is_asked_without_the_edge_that_it_brings(scorer: Scorer) -> None:
    """A sign-up that nobody has seen, on a device of the farm: without it, as if it had come on none."""
    live = scorer.source
    assert isinstance(live, LiveGraph)
    member = live.account_index("farm03")
    assert member is not None
    key = live.node_key(live.used(member, "device")[0])
    at_ms = live.known_until_ms + 1000
    event = LiveEvent("signup", "nobody", at_ms, identifiers=(("device", key), ("email", "unseen")))
    bare = LiveEvent("signup", "nobody", at_ms, identifiers=(("email", "unseen"),))
    asked = live.question(event)
    result = scorer.score(asked, "signup")
    told = reasons(scorer, asked, result)
    found = counterfactuals(scorer, asked, result, reasons=told, named_only=True)
    expected = round(float(scorer.score(live.question(bare), "signup").score[0]), 4)
    said = [one.without for one in found.reasons if one.without is not None]
    assert said
    assert {(one["what"], one["score"]) for one in said} == {(f"device {key}", expected)}
    assert found.n_scores == 1
    assert (found.nodes, found.accounts, found.relations, found.least) == ([], [], [], None)


def test_what_happens_between_two_steps_changes_nothing(
    timed_snapshot: Snapshot, timed_bundle: Bundle
) -> None:
    live = LiveGraph(timed_snapshot)
    scorer = Scorer(live, timed_bundle)
    account = live.account_index("farm05")
    assert account is not None
    asked = Queries.for_accounts(timed_snapshot, np.array([account]))
    result = scorer.score(asked)
    told = reasons(scorer, asked, result)
    expected = counterfactuals(scorer, asked, result, reasons=told)
    steps = counterfactual_steps(scorer, asked, result, reasons=told)
    device = live.node_key(live.used(account, "device")[0])
    at_ms = live.known_until_ms
    seq = 0
    found = None
    while found is None:
        try:
            next(steps)
        except StopIteration as done:
            found = done.value
            break
        seq += 1
        event = LiveEvent("signup", f"later{seq}", at_ms + seq, identifiers=(("device", device),))
        live.apply(JournalRow(seq, at_ms + seq, event))
    assert found == expected
    assert seq == expected.n_scores > 20


def test_an_account_without_anything_shared_has_nothing_to_take_away(scorer: Scorer) -> None:
    live = scorer.source
    assert isinstance(live, LiveGraph)
    asked = live.question(LiveEvent("signup", "alone", live.known_until_ms + DAY_MS))
    result = scorer.score(asked, "signup")
    found = counterfactuals(scorer, asked, result, reasons=reasons_of(scorer, asked, result))
    assert (found.nodes, found.accounts, found.relations, found.of_nodes) == ([], [], [], 0.0)
    assert found.least is None


def test_features_of_a_family_that_nobody_knows_are_about_the_neighbourhood() -> None:
    spec = FeatureSpec("later.thing", "later", "later", "something")
    assert _code(spec) == ("NEIGHBOURHOOD", "")
    assert _code(replace(spec, family="community")) == ("COMMUNITY", "")
