"""Guards against figures that are too good: each names a way to leak, and fails if it is opened.

What each would show was tried by opening the way in a copy of the code; the docstrings say where.
"""

from __future__ import annotations

import importlib
import random
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

import gnn
from features import Queries, known_bad_of
from gnn import Scorer
from gnn.inputs import inputs, with_contacts
from gnn.targets import targets
from gnn.validation import folds
from graph_etl import Snapshot, Workspace
from tests.building import PLATFORM_SPEC, Built, build_from_text, csv_text, platform_files

WORLD_SPEC = """
ringwatch: 1
name: small_world
title: Drawn wallets that nothing tells apart but whom they send to.
simulated: true
sources:
  accounts: {path: accounts.csv}
  transfers: {path: transfers.csv}
kinds:
  wallet: {identifier: false, public: true, normalise: exact}
accounts:
  - {source: accounts, id: account, attributes: {volume: number}}
events:
  - source: transfers
    type: transfer
    from: {account: src}
    to: {wallet: dst}
    count: n
verdicts:
  - {source: accounts, account: account, label: bad, bad: ["1"], good: ["0"]}
groups:
  - {source: accounts, account: account, group: ring, role: train}
"""
N_ACCOUNTS = 120


def world(size: int, *, told: str) -> dict[str, str]:
    """A world of groups whose members do exactly the same, under names of their own.

    Args:
        size: Accounts of a group.
        told: What an account's label follows: ``volume`` (the group's attribute), ``group`` (drawn once for
            each group) or ``nothing`` (drawn for each account).
    """
    draw = random.Random(5)
    names = [f"w{draw.randrange(10**9):09}" for _ in range(N_ACCOUNTS)]
    accounts: list[tuple[object, ...]] = []
    transfers: list[tuple[object, ...]] = []
    for first in range(0, N_ACCOUNTS, size):
        volume = round(draw.lognormvariate(3, 1), 2)
        sends = [(draw.randrange(60), draw.randrange(1, 6)) for _ in range(3)]
        drawn = draw.random() < 0.5
        for name in names[first : first + size]:
            bad = {"volume": volume > 20, "group": drawn, "nothing": draw.random() < 0.5}[told]
            accounts.append((name, volume, int(bad), f"ring-{first}" if size > 1 else None))
            transfers += [(name, f"to-{wallet}", n) for wallet, n in sends]
    return {
        "accounts.csv": csv_text("account,volume,bad,ring", accounts),
        "transfers.csv": csv_text("src,dst,n", transfers),
    }


def held_out_auroc(folder: Path, size: int, *, told: str) -> float:
    """How well held-out scores order the labels of a world."""
    built = build_from_text(folder, WORLD_SPEC, world(size, told=told))
    scores = gnn.train(built.snapshot, built.workspace).scores["oof_score"].to_numpy()
    judged = ~np.isnan(scores)
    assert judged.sum() > 0.9 * N_ACCOUNTS
    return float(roc_auc_score(built.snapshot.labels()[judged], scores[judged]))


def test_permuted_labels_are_not_learned_and_true_ones_are(tmp_path: Path) -> None:
    """Label permutation.

    Training each fold on its held-out accounts too (`gnn.validation.folds`, ``train`` without the fold's
    condition) gives 0.9 and more where the labels follow nothing.
    """
    assert held_out_auroc(tmp_path / "true", 1, told="volume") > 0.9
    # 60 of 120 by chance alone: standard deviation 0.053.
    assert abs(held_out_auroc(tmp_path / "permuted", 1, told="nothing") - 0.5) < 0.18


@pytest.mark.parametrize("size", [pytest.param(2, id="a-copied-account"), pytest.param(6, id="ring-mates")])
def test_who_does_the_same_is_held_out_together(size: int, tmp_path: Path) -> None:
    """Duplicate account across the split, and ring-mates: named as a group, none gives another's label away.

    The label is drawn once for each group, so that all there is to learn is to know a member again. Dealing
    accounts to folds one by one (`graph_etl.folds.ring_folds` as `stratified_folds`) gives 0.9 and more.
    """
    built = build_from_text(tmp_path / "folds", WORLD_SPEC, world(size, told="group"))
    table = np.asarray(built.snapshot.folds)
    accounts = built.snapshot.groups["account"].to_numpy().reshape(-1)
    groups = built.snapshot.groups["group"].to_list()
    assert len(accounts) == N_ACCOUNTS
    for group in set(groups):
        members = accounts[[at for at, one in enumerate(groups) if one == group]]
        assert len(members) == size
        assert len(set(table[members].tolist())) == 1
    # 20 groups of 6 drawn by chance: standard deviation 0.13; 60 of 2: 0.075.
    assert held_out_auroc(tmp_path / "trained", size, told="group") < 0.8


@pytest.mark.parametrize("which", ["by time", "rings", "split"])
def test_nobody_is_trained_on_and_held_out_at_once(
    which: str, timed_snapshot: Snapshot, tmp_path: Path
) -> None:
    """Duplicate account across the split: the same account on both sides.

    Fails with ``train`` in `gnn.validation.folds` without the fold's condition.
    """
    split = None
    if which == "by time":
        snapshot = timed_snapshot
    else:
        spec, files = WORLD_SPEC, world(6, told="group")
        if which == "split":
            spec += "splits: {source: splits, account: account, train: a, validation: b, test: c}\n"
            spec = spec.replace(
                "  transfers: {path: transfers.csv}\n",
                "  transfers: {path: transfers.csv}\n  splits: {path: splits.csv}\n",
            )
            names = [line.split(",")[0] for line in files["accounts.csv"].splitlines()[1:]]
            rows = [(name, *(int(at % 3 == part) for part in range(3))) for at, name in enumerate(names)]
            files["splits.csv"] = csv_text("account,a,b,c", rows)
            split = 0
        snapshot = build_from_text(tmp_path, spec, files).snapshot
    found = list(folds(snapshot, split))
    assert found
    for fold in found:
        assert len(fold.train)
        assert len(fold.held_out)
        assert not set(fold.train.tolist()) & set(fold.held_out.tolist())


def grown_platform(folder: Path) -> Snapshot:
    """The small platform after two more months: newcomers on known devices, verdicts, gifts, log-ins."""
    files = platform_files()
    later: dict[str, list[tuple[object, ...]]] = {
        "signups.csv": [
            (
                f"x{at}",
                f"late{at}",
                f"2025-06-0{at + 1}T00:00:00+00:00",
                device,
                "10.0.61.9",
                "a@b.com",
                "FR",
                8,
                "no",
            )
            for at, device in enumerate(["device-h000", "device-farm-0", "device-h061"])
        ],
        "logins.csv": [("y0", "h000", "2025-06-05T00:00:00+00:00", "device-farm-0", "203.0.113.4")],
        "gifts.csv": [("z0", "farm00", "h000", "2025-06-06T00:00:00+00:00", 5)],
        "verdicts.csv": [
            (name, word, "2025-06-07T00:00:00+00:00", "later")
            for name, word in (("h000", "bad"), ("h061", "bad"), ("farm00", "good"), ("late0", "bad"))
        ],
    }
    for name, rows in later.items():
        files[name] += csv_text("", rows).partition("\n")[2]
    return build_from_text(folder, PLATFORM_SPEC, files).snapshot


def test_what_comes_later_changes_no_score_of_an_earlier_moment(timed_scorer: Scorer, tmp_path: Path) -> None:
    """Future shift: later accounts, events and verdicts, one bundle, the same moments.

    The way that ``tests/test_invariants_can_fail.py`` opens in ``features/visibility.py``, seen from scores.
    """
    before = timed_scorer.snapshot
    grown = grown_platform(tmp_path)
    assert grown.n_events > before.n_events
    assert len(grown.verdicts) == len(before.verdicts) + 4
    later = Scorer(grown, timed_scorer.bundle)
    grown_up = np.asarray(before.first_seen_ms) + 24 * 3_600_000 <= int(before.event_known_ms[-1])
    there = np.flatnonzero(grown_up)
    here = np.array([grown.account_index(before.account_ids[at]) for at in there.tolist()])
    assert len(there) > 250
    for moment in ("signup", "1d"):
        was = timed_scorer.score(Queries.for_accounts(before, there, moment), moment)
        now = later.score(Queries.for_accounts(grown, here, moment), moment)
        np.testing.assert_array_equal(was.features, now.features)
        np.testing.assert_array_equal(was.score, now.score)
    # Not vacuous: today's scores do move.
    today = later.score(Queries.for_accounts(grown, here))
    assert (today.score != timed_scorer.score(Queries.for_accounts(before, there)).score).any()


def test_later_verdicts_change_no_target_of_an_earlier_cut(timed_snapshot: Snapshot, tmp_path: Path) -> None:
    """Future shift of labels. Fails without the filter on ``known_ms`` in `gnn.targets.targets`."""
    grown = grown_platform(tmp_path)
    cut_ms = int(timed_snapshot.event_known_ms[-1])
    was, now = targets(timed_snapshot, cut_ms), targets(grown, cut_ms)
    here = np.array([grown.account_index(name) for name in timed_snapshot.account_ids.to_list()])
    np.testing.assert_array_equal(was.label, now.label[here])
    assert (targets(grown).label[here] != was.label).sum() >= 3  # not vacuous


def test_later_verdicts_change_no_contact_of_an_earlier_moment(
    timed_snapshot: Snapshot, tmp_path: Path
) -> None:
    """Future shift of verdicts as inputs.

    Fails with ``since = np.where(since < np.iinfo(np.int64).max, 0, since)`` at the start of
    `features.contact`.
    """
    grown = grown_platform(tmp_path)
    grown_up = np.asarray(timed_snapshot.first_seen_ms) + 24 * 3_600_000 <= int(
        timed_snapshot.event_known_ms[-1]
    )
    there = np.flatnonzero(grown_up)
    here = np.array([grown.account_index(timed_snapshot.account_ids[at]) for at in there.tolist()])
    for moment in ("signup", "1d"):
        was, now = contacts(timed_snapshot, there, moment), contacts(grown, here, moment)
        np.testing.assert_array_equal(was, now)
        assert (np.nan_to_num(was) > 0).any()  # not vacuous
    today = contacts(grown, here, "retrospective")
    assert (np.nan_to_num(today) != np.nan_to_num(contacts(timed_snapshot, there, "retrospective"))).any()


def contacts(snapshot: Snapshot, accounts: NDArray[np.int64], moment: str) -> NDArray[np.float32]:
    """What the verdicts of others say of accounts."""
    asked = Queries.for_accounts(snapshot, accounts, moment)
    known = known_bad_of(snapshot, untimed=False)
    columns = inputs(snapshot, asked)
    return with_contacts(snapshot, asked, columns, known.since, known.until)[:, columns.shape[1] :]


def test_an_account_s_own_verdict_is_none_of_its_inputs(timed_snapshot: Snapshot) -> None:
    """Target neighbour removal: without its own verdict every known bad account looks the same.

    Fails with ``j != account`` left out of `features.contact`'s kernel.
    """
    known = known_bad_of(timed_snapshot, untimed=False)
    never = np.iinfo(np.int64).max
    bad = np.flatnonzero(known.since < never)
    assert len(bad) > 20
    told = 0
    for account in bad:
        asked = Queries.for_accounts(timed_snapshot, np.array([account]))
        columns = inputs(timed_snapshot, asked)
        without = known.since.copy()
        without[account] = never
        found = with_contacts(timed_snapshot, asked, columns, known.since, known.until)
        removed = with_contacts(timed_snapshot, asked, columns, without, known.until)
        np.testing.assert_array_equal(found, removed)
        told += int(np.nansum(np.abs(found[:, columns.shape[1] :])) > 0)
    assert told > 5  # not vacuous: the verdicts of others are there


def test_labels_of_held_out_accounts_leave_their_order_alone_with_verdicts_as_inputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Target neighbour removal, the whole chain: all bad accounts of one fold are called good instead.

    The verdicts of others are made an input. Fails with ``since[held_out]`` left alone in
    `gnn.stages.Run.columns`: then the fold's own verdicts reach its accounts through shared devices.
    """
    # Choices by validation may see held-out labels; they are pinned, so that only leaks remain.
    training = importlib.import_module("gnn.held_out")
    monkeypatch.setattr(training, "ROUNDS", (30,))
    monkeypatch.setattr(training, "SHAPES", ("narrow",))
    monkeypatch.setattr(training, "_worth_it", lambda *_: True)
    monkeypatch.setattr("gnn.blend.WEIGHTS", (0.3,))
    monkeypatch.setattr("gnn.sage_gain.Gain.hopeless", False)
    files = platform_files()
    header, *rows = files["signups.csv"].splitlines()
    fold_of = {row.split(",")[1]: at % 3 for at, row in enumerate(rows)}
    files["signups.csv"] = "\n".join(
        [f"{header},fold", *(f"{row},{fold_of[row.split(',')[1]]}" for row in rows)]
    )
    spec = PLATFORM_SPEC.replace("moments: [signup, 1d, retrospective]", "moments: [retrospective]")
    spec += "folds: {source: signups, account: account, fold: fold}\n"

    def turned(row: str) -> str:
        return row.replace(",bad,", ",good,") if fold_of[row.split(",")[0]] == 1 else row

    def held_out(name: str, verdicts: str) -> tuple[Built, NDArray[np.float64]]:
        built = build_from_text(tmp_path / name, spec, files | {"verdicts.csv": verdicts})
        bundle = gnn.train(built.snapshot, Workspace(tmp_path / name / "own"))
        assert bundle.heads["retrospective"].contact
        return built, bundle.scores["oof_score"].to_numpy()

    told, *lines = files["verdicts.csv"].splitlines()
    built, before = held_out("as-told", files["verdicts.csv"])
    other, after = held_out("turned", "\n".join([told, *map(turned, lines)]) + "\n")
    assert (built.snapshot.labels() != other.snapshot.labels()).sum() > 5  # not vacuous
    fold = np.asarray(built.snapshot.folds) == 1
    assert len(np.unique(before[fold])) > 10
    np.testing.assert_array_equal(np.argsort(before[fold]), np.argsort(after[fold]))
    assert (np.argsort(before[~fold]) != np.argsort(after[~fold])).any()
