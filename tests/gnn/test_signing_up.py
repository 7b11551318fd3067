"""Sign-up answered by two heads: the head for events answers along where held-out accounts gain."""

import importlib
from dataclasses import replace
from itertools import count

import numpy as np
import pytest
from numpy.typing import NDArray

import gnn
from features import Queries, known_bad_of
from gnn import BundleError, Scorer
from gnn.bundle import percentile_of
from gnn.event_head import EventHead, fit_event_head
from gnn.inputs import input_specs, inputs, with_contacts
from gnn.signing_up import ask_both, both_as_one, sign_up_of
from gnn.stages import Moment, Run
from gnn.trees import Trees, fit_trees, margins
from graph_etl import NO_TIME, Snapshot
from tests.building import Built

training = importlib.import_module("gnn.train")


@pytest.fixture(scope="module")
def prepared(timed_snapshot: Snapshot) -> tuple[Run, Moment]:
    run = training.prepare(timed_snapshot, n_threads=1)
    assert run.policy == "time"
    moment = sign_up_of(training.moments_of(run, timed_snapshot.manifest["moments"]))
    assert moment is not None
    return run, moment


@pytest.fixture(scope="module")
def asked_along(prepared: tuple[Run, Moment]) -> EventHead:
    run, moment = prepared
    found = fit_event_head(run.snapshot, run.final, sign_up=moment.rows)
    assert found is not None
    return found


def telling(run: Run, noise: float, seed: int = 0) -> NDArray[np.float64]:
    """Margins that tell the labels, more or less."""
    chance = np.random.default_rng(seed).normal(size=run.snapshot.n_accounts)
    told: NDArray[np.float64] = (run.judge.label == 1) + chance * noise
    return told


def blocks_held_out(run: Run, margin: NDArray[np.float64]) -> NDArray[np.float64]:
    held = np.full(run.snapshot.n_accounts, np.nan)
    for fold in run.folds:
        held[fold.held_out] = margin[fold.held_out]
    return held


def test_a_sign_up_is_answered_by_models_of_the_blocks_before_it(
    prepared: tuple[Run, Moment], asked_along: EventHead
) -> None:
    run, _ = prepared
    assert asked_along.at_sign_up is not None
    answered = ~np.isnan(asked_along.at_sign_up)
    timed = np.asarray(run.snapshot.first_seen_ms) != NO_TIME
    assert 0.1 < answered[timed].mean() < 1.0  # the first block has none before it
    first_ms = np.asarray(run.snapshot.first_seen_ms)
    assert first_ms[answered].min() > first_ms[timed & ~answered].min()
    label = run.final.label
    bad, good = (
        asked_along.at_sign_up[answered & (label == 1)],
        asked_along.at_sign_up[answered & (label == 0)],
    )
    assert min(len(bad), len(good)) > 3
    assert bad.mean() > good.mean() + 0.5


def test_no_sign_up_is_answered_by_a_model_that_has_seen_it(
    prepared: tuple[Run, Moment], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past and asked of each block part at its cut.

    Fails with ``known_ms > block.cut_ms`` or ``setdiff1d`` left out of `gnn.event_head._at_sign_up`.
    """
    run, moment = prepared
    event_head = importlib.import_module("gnn.event_head")
    learned: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
    told = event_head._past_and

    def noted(events: object, past: NDArray[np.int64], accounts: object, some: NDArray[np.int64]) -> object:
        learned.append((past, some))
        return told(events, past, accounts, some)

    def positions(*arguments: object) -> NDArray[np.int64]:
        asked.append(arguments[1])  # type: ignore[arg-type]
        return columns_of(*arguments)  # type: ignore[no-any-return]

    asked: list[NDArray[np.int64]] = []
    columns_of = event_head._columns
    monkeypatch.setattr(event_head, "_past_and", noted)
    monkeypatch.setattr(event_head, "_columns", positions)
    assert fit_event_head(run.snapshot, run.final, sign_up=moment.rows) is not None
    assert len(learned) > 1
    known_ms = np.asarray(run.snapshot.event_known_ms)
    first_pos = np.asarray(run.snapshot.first_pos)
    actor = Queries.for_events(run.snapshot, asked[0]).account
    for past, some in learned:
        assert len(some) > 0
        assert known_ms[asked[0][past]].max() < known_ms[first_pos[some]].min()
        assert not np.isin(actor[past], some).any()


@pytest.mark.parametrize(("own", "event", "share"), [(2.0, 0.3, 0.5), (0.3, 3.0, 0.0)])
def test_the_head_for_events_answers_along_where_held_out_accounts_gain(
    prepared: tuple[Run, Moment],
    asked_along: EventHead,
    own: float,
    event: float,
    share: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gnn.signing_up.MIN_OF_A_CLASS", 2)  # the platform is small
    run, moment = prepared
    mine = replace(moment, trees=blocks_held_out(run, telling(run, own)), of_events=0.0)
    before = mine.trees
    ask_both(run, mine, replace(asked_along, at_sign_up=blocks_held_out(run, telling(run, event, 1))))
    assert mine.of_events == share
    assert (mine.of_events == 0.0) == (mine.trees is before)


def test_both_as_one_is_the_weighted_sum_whoever_sees_more_columns() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(400, 5)).astype(np.float32)
    label = (rows[:, 0] + rows[:, 4] > 0).astype(np.int8)
    narrow, wide = (fit_trees(rows[:, :k], label, np.ones(400), rounds=30, n_threads=1) for k in (3, 5))
    for own, event in ((narrow, wide), (wide, narrow)):
        one = both_as_one(own, event, 0.25)
        assert one.n_features == 5
        expected = 0.75 * said(own, rows) + 0.25 * said(event, rows)
        np.testing.assert_allclose(margins(one, rows), expected, rtol=0, atol=1e-12)


def said(trees: Trees, rows: NDArray[np.float32]) -> NDArray[np.float64]:
    return margins(trees, np.ascontiguousarray(rows[:, : trees.n_features]))


def answered_by_both(built: Built, *without: str) -> gnn.Bundle:
    """A bundle whose sign-up head dropped epochs, took verdicts, and is half that for events, with all."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gnn.signing_up.CONTACT_GAIN", -1.0)
        patch.setattr("gnn.signing_up.MIN_OF_A_CLASS", 1)
        rising = count()
        patch.setattr("gnn.signing_up.precision_of_folds", lambda *_: -np.arange(2.0) * next(rising))
        patch.setattr("gnn.event_head._worth_it", lambda *_: True)
        patch.setattr("gnn.event_head._lately_better", lambda *_: True)
        patch.setattr("gnn.held_out._worth_it", lambda richer, *_: "verdicts" in richer._stage)
        return gnn.train(built.snapshot, built.workspace, publish=False, without=("graph_sage", *without))


@pytest.fixture(scope="module")
def both(timed_build: Built) -> gnn.Bundle:
    return answered_by_both(timed_build)


def test_a_bundle_answers_sign_ups_with_both(timed_snapshot: Snapshot, both: gnn.Bundle) -> None:
    """Half of what it says at sign-up is what its head for events says, columns of verdicts and all."""
    assert both.manifest["metrics"]["signup"]["share_of_events"] == 0.5
    assert both.heads["event"].contact
    assert both.heads["signup"].contact
    asked = Queries.for_accounts(timed_snapshot, moment="signup")
    found = Scorer(timed_snapshot, both).score(asked, "signup")
    known = known_bad_of(timed_snapshot, untimed=False)
    columns = inputs(timed_snapshot, asked, epochs=both.epochs_for(timed_snapshot))
    columns = with_contacts(timed_snapshot, asked, columns, known.since, known.until)
    event, signup = both.heads["event"].booster, both.heads["signup"].booster
    assert event is not None
    assert signup is not None
    assert signup.n_features == event.n_features == len(input_specs(timed_snapshot, with_contact=True))
    np.testing.assert_array_equal(found.margin, margins(signup, columns))
    # The trees of the head for events stand last; without them its own half is left.
    n_own = len(signup) - len(event)
    assert n_own > 0
    own = margins(signup, columns, n_own)
    np.testing.assert_allclose(found.margin - own, 0.5 * margins(event, columns), rtol=0, atol=1e-9)
    assert np.abs(own).max() > 0.1


def test_percentiles_are_of_the_scores_that_are_served(timed_build: Built) -> None:
    """Sign-up's own head dropped inputs of epochs that the head for events kept: both are served them."""
    snapshot = timed_build.snapshot
    left = {"community", "around", "spectral"}
    rest = {spec.family for spec in input_specs(snapshot, with_contact=False)} - left
    bundle = answered_by_both(timed_build, "contact", *sorted(rest))
    assert not bundle.manifest["metrics"]["signup"]["communities"]
    assert bundle.manifest["metrics"]["event"]["communities"]
    served = Scorer(snapshot, bundle).score(Queries.for_accounts(snapshot, moment="signup"), "signup")
    assert len(np.unique(served.score)) > 5  # not vacuous: epochs are all that there is
    told = np.quantile(served.score, np.linspace(0.0, 1.0, len(bundle.quantiles("signup"))))
    np.testing.assert_allclose(served.percentile, percentile_of(told, served.score), rtol=0, atol=0.2)


def test_a_handful_of_sign_ups_chooses_nothing(prepared: tuple[Run, Moment], asked_along: EventHead) -> None:
    """Ten of both classes have to be held out by both heads."""
    run, moment = prepared
    mine = replace(moment, trees=blocks_held_out(run, telling(run, 2.0)), of_events=0.0)
    event = blocks_held_out(run, telling(run, 0.3, 1))
    bad = np.flatnonzero((run.judge.label == 1) & ~np.isnan(event))
    event[bad[5:]] = np.nan
    ask_both(run, mine, replace(asked_along, at_sign_up=event))
    assert mine.of_events == 0.0


def test_what_bad_accounts_share_is_told_with_its_numbers(timed_snapshot: Snapshot, both: gnn.Bundle) -> None:
    scorer = Scorer(timed_snapshot, both)
    asked = Queries.for_accounts(timed_snapshot)
    result = scorer.score(asked, "event")
    told = 0
    for row in np.argsort(-result.margin)[:60].tolist():
        rated = scorer.reputation(asked.take(np.array([row])))
        for reason in gnn.reasons(scorer, asked, result, row, top=12):
            if reason.code != "REPUTATION":
                continue
            told += 1
            (evidence,) = reason.evidence
            assert evidence["type"] == "reputation"
            assert evidence["known_bad"] == rated.n_bad[0] > 1
            assert evidence["latest"] == rated.n_others[0]
            assert f"{rated.n_bad[0]:,} " in reason.message
            assert not reason.safe_for_user
    assert told > 0


def test_a_bundle_of_other_columns_about_verdicts_is_refused(
    timed_build: Built, timed_bundle: gnn.Bundle
) -> None:
    """A head of an older version knew four columns about verdicts: one clear line, no crash later on."""
    head = timed_bundle.heads["retrospective"]
    monkeyed = replace(head, contact=not head.contact)
    heads = dict(timed_bundle.heads) | {"retrospective": monkeyed}

    class Older:
        """The bundle with one head of other columns."""

        def __getattr__(self, name: str) -> object:
            return heads if name == "heads" else getattr(timed_bundle, name)

    with pytest.raises(BundleError, match="run `ringwatch train`"):
        Scorer(timed_build.snapshot, Older())  # type: ignore[arg-type]
