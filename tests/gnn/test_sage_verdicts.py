"""GraphSAGE told of verdicts on others: as of the moment, never its own, masked while it is fitted."""

import copy
import importlib
import random
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

import gnn
from features import LiveGraph, Queries, known_bad_of
from gnn import Scorer
from gnn.layerwise import embed_all
from gnn.sage import SageInputs, run_sage
from gnn.sage_fit import _examples, fit_sage
from gnn.sage_kernel import FANOUTS, Sage
from gnn.sage_verdicts import N_COLUMNS, NEVER, Known, Masks, Told
from gnn.sage_workers import Alone, Processor
from gnn.stages import known_to
from graph_etl import JournalRow, LiveVerdict, Snapshot
from tests.building import PLATFORM_SPEC, Built, build_from_text, csv_text, platform_files

SAGE_FIT = importlib.import_module("gnn.sage_fit")
HELD_OUT_SAGE = importlib.import_module("gnn.held_out_sage")

PAIRS_SPEC = """
ringwatch: 1
name: pairs
title: Drawn accounts that come back on the device of the one before, days after its verdict.
simulated: true
sources:
  signups: {path: signups.csv}
  verdicts: {path: verdicts.csv}
kinds:
  device: {identifier: true, public: true, normalise: exact}
accounts:
  - {source: signups, id: account, time: at, identifiers: {device: device}}
verdicts:
  - source: verdicts
    account: account
    label: verdict
    bad: [bad]
    good: [good]
    known_at: known_at
moments: [signup, retrospective]
"""
_START = datetime(2025, 3, 1, tzinfo=UTC)
N_PAIRS = 160


def pairs(folder: Path, *, follows: str) -> Built:
    """Devices with two accounts each, the second two days after the first.

    Args:
        folder: An empty one.
        follows: What the second account's verdict follows: ``first`` (what the first one's was) or
            ``nothing`` (drawn anew). The first one's is known a day after its sign-up, the second one's after
            forty days; half of them are bad, and there is nothing else to see.
    """
    draw = random.Random(3)
    signups: list[tuple[object, ...]] = []
    verdicts: list[tuple[object, ...]] = []
    for at in range(N_PAIRS):
        begun = _START + timedelta(hours=at)
        word = draw.choice(["bad", "good"])
        for number, (days, waits) in enumerate(((0, 1), (2, 40))):
            signed_up = begun + timedelta(days=days)
            signups.append((f"{'ab'[number]}{at:03}", signed_up.isoformat(), f"device-{at}"))
            said = word if number == 0 or follows == "first" else draw.choice(["bad", "good"])
            verdicts.append((signups[-1][0], said, (signed_up + timedelta(days=waits)).isoformat()))
    files = {
        "signups.csv": csv_text("account,at,device", signups),
        "verdicts.csv": csv_text("account,verdict,known_at", verdicts),
    }
    return build_from_text(folder, PAIRS_SPEC, files)


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """Pairs whose second account is what the first one was."""
    return pairs(tmp_path_factory.mktemp("followed"), follows="first").snapshot


def known_of(snapshot: Snapshot) -> Known:
    found = known_bad_of(snapshot, untimed=False)
    return Known(found.since, found.until)


def accounts(snapshot: Snapshot, names: list[str]) -> NDArray[np.int64]:
    return np.array([snapshot.account_index(name) for name in names], np.int64)


def first_ones(snapshot: Snapshot, *, bad: bool) -> NDArray[np.int64]:
    """First accounts of pairs that were found bad, or good."""
    every = accounts(snapshot, [f"a{at:03}" for at in range(N_PAIRS)])
    found: NDArray[np.int64] = every[(snapshot.labels()[every] == 1) == bad]
    return found


def second_of(snapshot: Snapshot, account: int) -> int:
    found = snapshot.account_index("b" + snapshot.account_ids[account][1:])
    assert found is not None
    return found


def told_at(snapshot: Snapshot, account: int, moment: str) -> list[tuple[int, bool]]:
    """Who is told of to an account at a moment, and whether behind a node."""
    asked = Queries.for_accounts(snapshot, np.array([account]), moment)
    told = Told.of(snapshot, asked, known_of(snapshot), FANOUTS[0])
    return list(zip(told.account.tolist(), told.behind.tolist(), strict=True))


def test_a_verdict_is_told_from_the_moment_it_is_known_and_never_to_its_own_account(
    followed: Snapshot,
) -> None:
    first = int(first_ones(followed, bad=True)[0])
    second = second_of(followed, first)
    assert told_at(followed, second, "signup") == [(first, True)]  # known a day before
    assert told_at(followed, first, "signup") == []
    # The second one's is known at the end; each hears of the other and of nobody else.
    assert told_at(followed, first, "retrospective") == [(second, True)]
    assert told_at(followed, second, "retrospective") == [(first, True)]
    good = int(first_ones(followed, bad=False)[0])
    assert told_at(followed, second_of(followed, good), "signup") == []


def test_a_verdict_that_is_not_known_yet_or_no_more_is_not_told(followed: Snapshot) -> None:
    first = int(first_ones(followed, bad=True)[0])
    asked = Queries.for_accounts(followed, np.array([second_of(followed, first)]), "signup")
    known = known_of(followed)
    horizon = int(asked.horizon[0])
    for since, until, expected in (
        (horizon - 1, NEVER, 1),
        (horizon, NEVER, 0),  # known with the sign-up itself, not before it
        (horizon - 2, horizon, 1),
        (horizon - 2, horizon - 1, 0),  # taken back
    ):
        told = Known(known.since.copy(), known.until.copy())
        told.since[first], told.until[first] = since, until
        assert len(Told.of(followed, asked, told, FANOUTS[0]).account) == expected


def test_columns_by_hand() -> None:
    """Five messages: the node of 1 is bad and so are two behind it; one stands behind that of 3."""
    told = Told(np.array([1, 1, 1, 3]), np.array([7, 8, 9, 7]), np.array([False, True, True, True]))
    found = told.columns(np.array([3, 0, 1]), 5)
    expected = np.array([[0, 1, 1 / 32], [0, 0, 0], [1, 1, 2 / 32]], np.float32)
    np.testing.assert_array_equal(found, expected)
    hidden = np.zeros(10, np.bool_)
    hidden[[7, 9]] = True
    expected = np.array([[0, 0, 0], [0, 0, 0], [0, 1, 1 / 32]], np.float32)
    np.testing.assert_array_equal(told.columns(np.array([3, 0, 1]), 5, hidden), expected)


def test_messages_that_are_not_there_are_not_counted() -> None:
    one = Told(np.array([0, 2]), np.array([5, 6]), np.array([True, False]))
    there = np.array([True, False, True])
    both = Told.joined([(one, there), (one, there)])
    assert both.message.tolist() == [0, 1, 2, 3]
    assert both.account.tolist() == [5, 6, 5, 6]
    assert both.behind.tolist() == [True, False, True, False]


def test_a_mask_hides_its_batch_always_rings_every_other_time_and_a_tenth_of_the_rest() -> None:
    """Accounts 0 to 999 in rings of ten; the batch is one account of each of the first five rings."""
    masks = Masks(np.arange(1000), np.arange(1000) // 10, 1000)
    batch, held_back = np.arange(0, 50, 10), np.array([990, 991])
    drawn = np.array([masks.draw(batch, held_back, [4, turn]) for turn in range(400)])
    assert drawn[:, batch].all()
    assert drawn[:, held_back].all()
    mates = np.setdiff1d(np.arange(50), batch)
    whole = drawn[:, mates].all(1)
    assert 0.42 < whole.mean() < 0.58  # half, standard deviation 0.025
    rest = drawn[:, 50:990]
    assert 0.09 < rest.mean() < 0.11
    assert rest.mean(1).max() < 0.25
    np.testing.assert_array_equal(drawn[7], masks.draw(batch, held_back, [4, 7]))
    assert (drawn[7] != drawn[8]).any()
    np.testing.assert_array_equal(np.flatnonzero(masks.of(held_back)), held_back)


def everybody(snapshot: Snapshot) -> tuple[Queries, NDArray[np.int8], NDArray[np.float32]]:
    """All pairs at the end: questions, labels and rows that say nothing."""
    asked = Queries.for_accounts(snapshot)
    rows = np.random.default_rng(0).normal(size=(len(asked), 3)).astype(np.float32)
    return asked, snapshot.labels(), rows


def test_nothing_that_the_loss_is_taken_on_is_an_input_of_it(followed: Snapshot) -> None:
    """Leak guard: whatever the verdicts on a batch are, its inputs are the same.

    At the end both accounts of a pair are known to each other: a batch of both must not tell one's label to
    the other. Fails with ``hidden[self.account[picked]]`` left out of `gnn.sage_verdicts.Masks.draw`.
    """
    asked, label, rows = everybody(followed)
    known = known_of(followed)
    weight = np.ones(len(asked), np.float32)
    # Some with the other one of the pair, some without.
    batch = np.random.default_rng(5).permutation(len(asked))[: len(asked) // 2]
    devices = [followed.account_ids[at][1:] for at in batch.tolist()]
    assert 20 < len(devices) - len(set(devices)) < 60
    masks = Masks(asked.account, np.arange(len(asked)), len(known.since))

    def messages(given: Known) -> torch.Tensor:
        rng = np.random.default_rng(0)
        inputs = SageInputs.of(followed, asked)
        _, examples = _examples(inputs, asked, rows, rng, label, weight, Alone(), given)
        examples = replace(examples, masks=masks)
        # Several draws: every other one hides whole groups, here each account by itself, in any case.
        found = list(examples.batches([batch] * 8, 0.0, (), [1, 2]))
        return torch.cat([one.messages[:, -N_COLUMNS:] for one in found])

    before = messages(known)
    turned = Known(known.since.copy(), known.until)
    own = turned.since[asked.account[batch]]
    turned.since[asked.account[batch]] = np.where(own == NEVER, -1, NEVER)
    torch.testing.assert_close(messages(turned), before, rtol=0.0, atol=0.0)
    assert int((before != 0).sum()) > 20  # not vacuous: others are told of
    others = Known(np.full_like(known.since, NEVER), known.until)
    assert (messages(others) != before).any()


def test_each_of_two_workers_holds_what_one_alone_would(followed: Snapshot) -> None:
    asked, label, rows = everybody(followed)
    weight = np.ones(len(asked), np.float32)
    masks = Masks(asked.account, np.arange(len(asked)), followed.n_accounts)

    class OneOfTwo(Alone):
        rank = 0
        world = 2

    class TheOther(Alone):
        rank = 1
        world = 2

    def batch(workers: Alone) -> tuple[list[list[float]], list[float]]:
        rng = np.random.default_rng(0)
        inputs = SageInputs.of(followed, asked)
        _, examples = _examples(inputs, asked, rows, rng, label, weight, workers, known_of(followed))
        (found,) = replace(examples, masks=masks).batches([np.arange(60)], 0.0, (), [3])
        return found.messages.tolist(), found.rows[:, 0].tolist()

    whole, first, second = (batch(one) for one in (Alone(), OneOfTwo(Processor()), TheOther(Processor())))
    assert sorted(first[0] + second[0]) == sorted(whole[0])
    assert sorted(first[1] + second[1]) == sorted(whole[1])
    assert any(one[-N_COLUMNS:] != [0.0] * N_COLUMNS for one in whole[0])  # not vacuous


def judged_on_the_last(snapshot: Snapshot, *, told: bool) -> float:
    """How well second accounts are ordered at sign-up by what was fitted on those of the other devices."""
    second = accounts(snapshot, [f"b{at:03}" for at in range(N_PAIRS)])
    asked = Queries.for_accounts(snapshot, second, "signup")
    label = snapshot.labels()[second]
    rows = np.random.default_rng(1).normal(size=(N_PAIRS, 2)).astype(np.float32)
    known = known_of(snapshot)
    train, held_out = np.arange(N_PAIRS) % 2 == 0, np.arange(N_PAIRS) % 2 == 1
    hidden = known_to(snapshot, known.since, None, second[held_out])
    given = Known(hidden, known.until) if told else None
    some = asked.take(np.flatnonzero(train))
    sage = fit_sage(
        SageInputs.of(snapshot, some),
        some,
        label[train],
        np.ones(int(train.sum())),
        rows=rows[train],
        members=1,
        known=given,
    )
    others = asked.take(np.flatnonzero(held_out))
    odds, _ = run_sage(sage, SageInputs.of(snapshot, others), others, rows=rows[held_out], known=given)
    return float(roc_auc_score(label[held_out], odds))


def test_it_learns_from_neighbours_verdicts_and_only_from_what_they_tell(
    followed: Snapshot, tmp_path: Path
) -> None:
    """Label permutation: where verdicts follow nothing, being told of them tells nothing."""
    assert judged_on_the_last(followed, told=True) > 0.9
    # 40 against 40 by chance: standard deviation 0.065.
    assert abs(judged_on_the_last(followed, told=False) - 0.5) < 0.2
    drawn_anew = pairs(tmp_path, follows="nothing").snapshot
    assert abs(judged_on_the_last(drawn_anew, told=True) - 0.5) < 0.2


class Killed(Exception):
    """The process is gone."""


class KeptHere:
    """Checkpoints in memory; the process is gone after so many of them."""

    def __init__(self, survives: int) -> None:
        self._left = survives
        self.state: Mapping[str, Any] | None = None

    def load(self) -> Mapping[str, Any] | None:
        return self.state

    def due(self, member: int, epoch: int) -> bool:
        return True

    def keep(self, state: Mapping[str, Any]) -> None:
        if self._left == 0:
            raise Killed
        self._left -= 1
        self.state = copy.deepcopy(dict(state))


def test_a_fit_that_was_cut_short_ends_as_it_would_have(
    followed: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The masks of an epoch depend on seed, member and epoch alone."""
    monkeypatch.setattr(SAGE_FIT, "_LEAST_STEPS", 40)
    asked, label, rows = everybody(followed)

    def fit(kept: KeptHere) -> Sage:
        return fit_sage(
            SageInputs.of(followed, asked),
            asked,
            label,
            np.ones(len(asked)),
            rows=rows,
            members=2,
            known=known_of(followed),
            checkpoints=kept,
        )

    whole = fit(KeptHere(100))
    cut = KeptHere(4)
    with pytest.raises(Killed):
        fit(cut)
    assert cut.state is not None
    cut._left = 100
    again = fit(cut)
    assert whole.told == again.told == N_COLUMNS
    for name, value in whole.state.items():
        np.testing.assert_array_equal(value, again.state[name])


@pytest.fixture(scope="module")
def told_build(tmp_path_factory: pytest.TempPathFactory, hash_key: str) -> tuple[Built, gnn.Bundle]:
    """A bundle of the small platform whose GraphSAGE is told of verdicts, whatever they gain."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HELD_OUT_SAGE, "_worth_it", lambda *_: True)
        patch.setattr("gnn.blend.WEIGHTS", (0.3,))
        patch.setattr("gnn.blend.LEAST_GAIN", -1.0)
        patch.setattr("gnn.sage_gain.Gain.hopeless", False)
        patch.setattr(SAGE_FIT, "_LEAST_STEPS", 40)
        spec = PLATFORM_SPEC.replace("moments: [signup, 1d, retrospective]", "moments: [retrospective]")
        built = build_from_text(tmp_path_factory.mktemp("told"), spec, platform_files())
        return built, gnn.train(built.snapshot, built.workspace, n_threads=1)


def test_a_bundle_scores_as_it_was_trained(told_build: tuple[Built, gnn.Bundle]) -> None:
    built, trained = told_build
    bundle = gnn.Bundle.open(trained.path)
    assert bundle.manifest["graph_sage"]["told_of_verdicts"]
    assert bundle.manifest["metrics"]["retrospective"]["graph_sage"]["told_of_verdicts"]
    assert bundle.sage is not None
    assert bundle.sage.told == N_COLUMNS
    asked = Queries.for_accounts(built.snapshot)
    scored = Scorer(built.snapshot, bundle).score(asked)
    np.testing.assert_array_equal(scored.score, bundle.scores["score"].to_numpy())
    # Not vacuous: without what it is told it says something else.
    where = SageInputs.of(built.snapshot, asked, bundle.epochs_for(built.snapshot))
    known = known_of(built.snapshot)
    silent = Known(np.full_like(known.since, NEVER), known.until)
    both = [run_sage(bundle.sage, where, asked, known=one)[0] for one in (known, silent)]
    assert (both[0] != both[1]).sum() >= 8  # the ban evaders' second accounts, at least
    with pytest.raises(ValueError, match="told of verdicts"):
        run_sage(bundle.sage, where, asked)


def test_embeddings_are_told_too(told_build: tuple[Built, gnn.Bundle]) -> None:
    built, bundle = told_build
    sage, snapshot = bundle.sage, built.snapshot
    assert sage is not None
    asked = Queries.for_accounts(snapshot)
    where = SageInputs.of(snapshot, asked, bundle.epochs_for(snapshot))
    odds, embedding = run_sage(sage, where, asked, known=known_of(snapshot))
    found = list(embed_all(snapshot, sage, bundle.epochs_for(snapshot), shift=7))
    np.testing.assert_allclose(np.concatenate([one[1] for one in found]), odds, rtol=1e-6)
    np.testing.assert_allclose(np.concatenate([one[2] for one in found]), embedding, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("overall", "untold", "of_folds", "expected"),
    [
        pytest.param(0.01, 0.0, (0.01, 0.01, -0.01), True, id="gains"),
        pytest.param(0.004, 0.0, (0.01, 0.01, 0.01), False, id="too-little"),
        pytest.param(0.01, -0.001, (0.01, 0.01, 0.01), False, id="loses-on-unseen-rings"),
        pytest.param(0.01, 0.0, (0.05, -0.01, -0.01), False, id="one-odd-fold"),
    ],
)
def test_it_must_gain_overall_in_most_folds_and_not_at_the_cost_of_unseen_rings(
    overall: float,
    untold: float,
    of_folds: tuple[float, ...],
    expected: bool,
    followed: Snapshot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    training = importlib.import_module("gnn.train")
    run = training.prepare(followed, n_threads=1)
    (moment,) = training.moments_of(run, ["signup"])
    moment.trees = moment.sage = np.zeros(followed.n_accounts)
    known = np.zeros(followed.n_accounts, np.bool_)
    known[::2] = True
    folds = [replace(run.folds[0], held_out=np.array([at])) for at in range(3)]
    answers = {tuple(np.flatnonzero(part)): value for part, value in zip(np.eye(3), of_folds, strict=True)}

    def gained(_run: Any, _moment: Any, _margins: Any, among: NDArray[np.bool_]) -> float:
        if among.all():
            return overall
        return answers[tuple(np.flatnonzero(among))] if among.sum() == 1 else untold

    monkeypatch.setattr(HELD_OUT_SAGE, "_gained", gained)
    run = replace(run, folds=folds)
    assert HELD_OUT_SAGE._worth_it(run, [moment], [moment], [known]) is expected


def test_verdicts_without_times_are_not_tried(
    own_transfers: tuple[Snapshot, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are targets only: nobody knows since when they were known."""
    snapshot, _ = own_transfers
    training = importlib.import_module("gnn.train")
    asked: list[bool] = []
    monkeypatch.setattr(HELD_OUT_SAGE, "_over_folds", lambda _run, _moments, *, told: asked.append(told))
    run = training.prepare(snapshot, n_threads=1)
    moments = training.moments_of(run, snapshot.manifest["moments"])
    HELD_OUT_SAGE.held_out_sage(run, moments)
    assert asked == [False]
    assert not moments[0].told


def test_a_live_verdict_is_told_from_then_on(told_build: tuple[Built, gnn.Bundle]) -> None:
    """The question of before it is answered as before, a later one hears of it; undone, nobody does."""
    built, bundle = told_build
    snapshot = built.snapshot
    live = LiveGraph(snapshot)
    scorer = Scorer(live, bundle)
    neighbour, account = "h060", snapshot.account_index("h061")  # a household: one device for both
    assert account is not None
    now_ms = int(snapshot.event_known_ms[-1]) + 1000

    def asked(horizon: int) -> float:
        question = Queries.for_accounts(snapshot, np.array([account]))
        later = replace(question, horizon=np.array([horizon]))
        return float(scorer.score(later).margin[0])

    begun = live.end_horizon
    before = asked(begun)
    live.apply(JournalRow(live.last_seq + 1, now_ms, LiveVerdict(neighbour, 1, now_ms, "analyst")))
    assert asked(begun) == before
    told = asked(live.end_horizon)
    assert told != before
    live.apply(JournalRow(live.last_seq + 1, now_ms, LiveVerdict(neighbour, None, now_ms, "analyst")))
    assert asked(live.end_horizon) == before
