"""Epochs: communities as of the past, the same for one question or many, for accounts nobody has seen too."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from features import Queries, profiles
from graph_etl import Snapshot
from rings import Epoch, around_specs, community_specs, epochs_of, link_features, neighbourhoods
from rings.epochs import epoch_at
from rings.link_features import LINK_FEATURES
from tests.rings.drawing import START, Game, indices

DAY_MIN = 60 * 24
MEMBERS = [f"m{at}" for at in range(6)]


def platform(late: int = 0) -> Game:
    game = Game()
    game.strangers(80, DAY_MIN * 20)
    for at, member in enumerate(MEMBERS):
        game.signup(member, 5000 + 3 * at, f"farm{at % 2}", "203.0.113.5", 5.0)
        game.gift(member, "m0" if at else "x0000", 5100 + at)
    for at in range(late):
        game.signup(f"late{at}", DAY_MIN * 40 + at, f"farm{at % 2}", "203.0.113.5", 5.0)
        game.gift(f"late{at}", f"m{at % 6}", DAY_MIN * 40 + 100 + at)
    return game


def columns(
    snapshot: Snapshot, queries: Queries, epochs: tuple[Epoch, ...]
) -> tuple[NDArray[np.float32], list[str]]:
    found = link_features(snapshot, queries, epochs=epochs)[:, len(LINK_FEATURES) :]
    return found, [spec.name.removeprefix("community.") for spec in community_specs(snapshot)]


def test_a_farm_is_a_community_and_a_stranger_is_in_none(tmp_path: Path) -> None:
    snapshot = platform().build(tmp_path)
    epochs = epochs_of(snapshot)
    assert [epoch.horizon for epoch in epochs] == [snapshot.end_horizon]
    asked = Queries.for_accounts(snapshot, np.array(indices(snapshot, ["m2", "x0040"])))
    rows, names = columns(snapshot, asked, epochs)
    member, stranger = (dict(zip(names, row, strict=True)) for row in rows)
    assert member["middle.size"] == pytest.approx(np.log1p(7))
    assert member["middle.density"] > 0.7
    # The six of the farm and the stranger that it paid; most sign-ups came 3 minutes after the last one.
    assert member["middle.pace"] == pytest.approx(np.log1p(3 / 60), abs=1e-4)
    assert member["middle.tie"] > 0.3
    assert np.isnan(stranger["tight.size"])


def test_means_of_a_community_are_those_of_its_members(tmp_path: Path) -> None:
    snapshot = platform().build(tmp_path)
    epochs = epochs_of(snapshot)
    (epoch,) = epochs
    account = indices(snapshot, ["m3"])[0]
    home = epoch.member[3, account]
    inside = np.flatnonzero(epoch.member[3] == home)
    rows, names = columns(snapshot, Queries.for_accounts(snapshot, np.array([account])), epochs)
    told = [value for name, value in zip(names, rows[0], strict=True) if name.startswith("wide.mean.")]
    np.testing.assert_allclose(told, profiles(snapshot)[inside].mean(0), rtol=1e-5)


def test_later_rows_change_nothing_that_an_earlier_epoch_says(tmp_path: Path) -> None:
    before, after = platform().build(tmp_path / "before"), platform(late=30).build(tmp_path / "after")
    epochs = epochs_of(before)
    then = epoch_at(after, before.end_horizon)
    everybody = Queries.for_accounts(before)
    # The larger platform numbers its accounts otherwise.
    same = Queries.for_accounts(after, np.array(indices(after, list(before.account_ids))))
    same.horizon[:] = before.end_horizon
    was, _ = columns(before, everybody, epochs)
    now, _ = columns(after, same, (then,))
    np.testing.assert_array_equal(was, now)
    # Not vacuous: the end of the larger platform says something else.
    late = Queries.for_accounts(after, same.account)
    assert not np.array_equal(was, columns(after, late, epochs_of(after))[0])


def test_questions_before_the_first_epoch_know_of_no_community(timed_snapshot: Snapshot) -> None:
    epochs = epochs_of(timed_snapshot)
    asked = Queries.for_accounts(timed_snapshot, np.arange(20), "signup")
    early = asked.take(np.flatnonzero(asked.horizon < timed_snapshot.end_horizon))
    assert len(early)
    rows, _ = columns(timed_snapshot, early, epochs)
    assert np.isnan(rows).all()
    assert np.isnan(neighbourhoods(timed_snapshot, early, epochs)).all()


def test_moments_in_the_past_get_epochs_of_their_own(timed_snapshot: Snapshot) -> None:
    epochs = epochs_of(timed_snapshot, ["signup", "retrospective"])
    horizons = [epoch.horizon for epoch in epochs]
    assert horizons == sorted(set(horizons))
    assert len(horizons) == 6
    assert horizons[-1] == timed_snapshot.end_horizon


def test_one_question_or_all_give_the_same_bits(timed_snapshot: Snapshot) -> None:
    epochs = epochs_of(timed_snapshot, ["signup"])
    everybody = Queries.for_accounts(timed_snapshot, None, "signup")
    together, _ = columns(timed_snapshot, everybody, epochs)
    around = neighbourhoods(timed_snapshot, everybody, epochs)
    assert around.shape == (timed_snapshot.n_accounts, len(around_specs(timed_snapshot)))
    for account in (0, 7, 120, 299):
        alone = everybody.take(np.array([account]))
        np.testing.assert_array_equal(columns(timed_snapshot, alone, epochs)[0][0], together[account])
        np.testing.assert_array_equal(neighbourhoods(timed_snapshot, alone, epochs)[0], around[account])


def test_a_newcomer_joins_the_community_that_its_links_hold_on_to(tmp_path: Path) -> None:
    snapshot = platform().build(tmp_path)
    asked = Queries.for_event(
        snapshot,
        "newcomer",
        time_ms=int(START.timestamp() * 1000 + DAY_MIN * 30 * 60_000),
        identifiers=[("device", "farm1"), ("ip", "203.0.113.5"), ("subnet", "203.0.113.0/24")],
        attributes={"form_s": 5.0},
    )
    rows, names = columns(snapshot, asked, epochs_of(snapshot))
    newcomer = dict(zip(names, rows[0], strict=True))
    assert newcomer["middle.size"] == pytest.approx(np.log1p(7))
    assert newcomer["middle.tie"] > 0.0


def test_an_epoch_follows_accounts_that_get_other_numbers(timed_snapshot: Snapshot) -> None:
    (epoch,) = epochs_of(timed_snapshot)
    n = timed_snapshot.n_accounts
    place = np.arange(n)[::-1].astype(np.int64).copy()
    place[3] = -1
    moved = epoch.renumbered(place, n)
    kept = place >= 0
    np.testing.assert_array_equal(moved.member[:, place[kept]], epoch.member[:, kept])
    assert (moved.member[:, n - 1 - 3] == -1).all()
    again = Epoch.of(epoch.arrays)
    assert again.horizon == epoch.horizon
    np.testing.assert_array_equal(again.table, epoch.table)
