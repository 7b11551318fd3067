"""Honest explanations: households and offices are explained, rings are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import rings
from graph_etl import Snapshot
from rings.evidence import evidence
from rings.honest import EXPLAINED, Honest, honest
from rings.words import sentences
from tests.rings.drawing import Game, indices
from tests.rings.test_minimal import grounds_of

DAY = 60.0 * 24


def compared(snapshot: Snapshot, *groups: list[str], bad: list[str] | None = None) -> Honest:
    member = np.full(snapshot.n_accounts, -1, np.int32)
    for ring, names in enumerate(groups):
        member[indices(snapshot, names)] = ring
    known = np.zeros(snapshot.n_accounts, np.bool_)
    known[indices(snapshot, bad or [])] = True
    return honest(snapshot, member, known)


def town() -> Game:
    """Strangers, a household, an office that hires over weeks, and a farm that fills forms in step."""
    game = Game()
    for at in range(400):
        game.signup(
            f"x{at:03}", 90 * DAY * at / 400, "", f"10.{at // 200}.{at % 200}.9", form_s=30 + (at * 37) % 60
        )
    for at, minute in enumerate((3 * DAY, 31 * DAY, 77 * DAY)):
        game.signup(f"home{at}", minute, "", "203.0.113.5", form_s=(31, 88, 57)[at])
    for at in range(9):
        game.signup(
            f"office{at}",
            DAY * (4 + 9.3 * at),
            "",
            "198.51.100.2",
            form_s=(25, 84, 47, 63, 31, 89, 55, 40, 72)[at],
        )
    for at in range(9):
        game.signup(f"farm{at}", 40 * DAY + 3 * at, "phone", "192.0.2.2", form_s=12)
    return game


HOME = [f"home{at}" for at in range(3)]
OFFICE = [f"office{at}" for at in range(9)]
FARM = [f"farm{at}" for at in range(9)]


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    return town().build(tmp_path_factory.mktemp("town"))


def test_a_household_and_an_office_are_explained_and_a_farm_is_not(snapshot: Snapshot) -> None:
    found = compared(snapshot, HOME, OFFICE, FARM)
    assert found.probability[0] > EXPLAINED
    assert found.probability[1] > EXPLAINED
    assert found.probability[2] < 0.01
    assert found.log_odds["arrivals"][0] > 0 > found.log_odds["arrivals"][2]
    assert found.log_odds["behaviour"][1] > 0 > found.log_odds["behaviour"][2]


def test_the_words_say_what_speaks_for_and_against(snapshot: Snapshot) -> None:
    told = [
        next(piece for piece in pieces if piece["type"] == "honest")
        for pieces in evidence(grounds_of(snapshot, HOME, OFFICE, FARM))
    ]
    assert [piece["story"] for piece in told] == ["household", "office_or_campus", "office_or_campus"]
    assert [piece["explained_benign"] for piece in told] == [True, True, False]
    assert "apart" in told[0]["for"]
    assert told[2]["against"] == ["alike", "together"]
    assert told[0]["odds"][1] == 1
    assert told[2]["odds"][0] == 1


def test_known_bad_members_speak_against_it_and_only_where_they_are_told_of(snapshot: Snapshot) -> None:
    nobody = compared(snapshot, HOME, OFFICE)
    some = compared(snapshot, HOME, OFFICE, bad=HOME[:2])
    assert nobody.log_odds["verdicts"].tolist() == [0, 0]
    assert some.log_odds["verdicts"][0] < -5 + 1e-9
    assert some.log_odds["verdicts"][1] == 0
    assert some.probability[0] < nobody.probability[0]
    assert some.probability[1] == nobody.probability[1]


def test_nothing_explains_a_ring_in_which_a_third_is_known_to_be_bad(tmp_path: Path) -> None:
    game = town()
    for at in range(4):
        game.signup(f"late{at}", DAY * (3 + 25 * at), "", "203.0.113.9", form_s=(31, 88, 57, 43)[at])
    snapshot = game.build(tmp_path)
    late = [f"late{at}" for at in range(4)]
    few, some, every = (compared(snapshot, late, bad=late[:n]) for n in (1, 2, 4))
    assert few.probability[0] > EXPLAINED > 0.5 > some.probability[0] >= every.probability[0]
    # All else together says more for the honest story than verdicts, which are capped, say against it.
    assert sum(values[0] for values in every.log_odds.values()) > np.log(4)
    assert every.probability[0] == pytest.approx(1 / (1 + np.exp(5)))
    grounds = grounds_of(snapshot, late)
    grounds.known_bad[indices(snapshot, late)] = True
    (told,) = [piece for piece in evidence(grounds)[0] if piece["type"] == "honest"]
    assert (told["explained_benign"], told["odds"]) == (False, [1, 150])


def by_day(tmp_path: Path, *, days: int, order: int = 1) -> Snapshot:
    """A platform that only knows the day: 40 accounts on each, the first 8 of them on one device."""
    game = Game()
    for day in range(days):
        for at in range(40)[::order]:
            game.signup(f"a{day:02}-{at:02}", day * DAY, f"dev{day}" if at < 8 else "", form_s=30 + at)
    return game.build(tmp_path)


def test_where_all_have_the_same_time_it_says_nothing(tmp_path: Path) -> None:
    snapshot = by_day(tmp_path, days=1)
    apart, first = [f"a00-{at:02}" for at in range(0, 40, 8)], [f"a00-{at:02}" for at in range(1, 6)]
    found = compared(snapshot, apart, first)
    assert found.log_odds["arrivals"] == pytest.approx(0)
    assert found.spacing.tolist() == [0, 0]
    for pieces in evidence(grounds_of(snapshot, apart, first)):
        said = {one.text for one in sentences(pieces)}
        assert "they appeared at the same time" in said
        assert not any("second" in text or "came close together" in text for text in said)


def test_times_by_day_do_not_depend_on_the_order_of_rows(tmp_path: Path) -> None:
    groups = [["a01-09", "a05-09", "a09-09"], ["a01-30", "a01-31", "a02-30"]]
    groups.append(["a03-01", "a03-30", "a03-39"])
    one, other = (compared(by_day(tmp_path / str(order), days=10, order=order), *groups) for order in (1, -1))
    assert one.log_odds["arrivals"].tolist() == other.log_odds["arrivals"].tolist()
    # Two spacings: (1 - .9^3) against .9 + .1 (1 - .9^3), for a day has a tenth of the accounts.
    alone = 1 - 0.9**3
    assert one.log_odds["arrivals"][2] == pytest.approx(2 * np.log(alone / (0.9 + 0.1 * alone)), abs=1e-6)


def test_a_burst_counts_all_that_have_its_times(tmp_path: Path) -> None:
    snapshot = by_day(tmp_path, days=20)
    ring = [f"a07-{at:02}" for at in range(7)] + ["a13-00"]
    (burst,) = [piece for piece in evidence(grounds_of(snapshot, ring))[0] if piece["type"] == "burst"]
    # Three quarters of the ring would be 6; the seventh has that time too.
    assert (burst["accounts"], burst["platform_accounts"], burst["span_ms"]) == (7, 40, 0)
    assert burst["by_chance"] == 8 * 40 / 800


def test_no_feature_speaks_louder_than_five(snapshot: Snapshot) -> None:
    found = compared(snapshot, HOME, OFFICE, FARM, bad=FARM)
    for values in found.log_odds.values():
        assert np.abs(values).max() <= 5.0
    assert found.log_odds["verdicts"][2] == -5.0


def test_the_size_of_a_household_is_worked_out_by_hand(snapshot: Snapshot) -> None:
    # (.8 * .5^2 + .2 * 3^-2 / .644934) / (3^-1.5 / 1.612375) = .2345 / .1194 = 1.964
    assert compared(snapshot, HOME).log_odds["size"][0] == pytest.approx(np.log(1.964), abs=1e-3)


def test_platforms_without_times_or_identifiers_leave_those_features_out(untimed_snapshot: Snapshot) -> None:
    found = compared(untimed_snapshot, [str(at) for at in range(8)])
    assert found.log_odds["arrivals"].tolist() == [0]
    assert found.log_odds["churn"].tolist() == [0]
    assert np.isnan(found.spacing).all()
    assert 0 < found.probability[0] < 1


def test_rings_do_not_depend_on_each_other(snapshot: Snapshot) -> None:
    together = compared(snapshot, HOME, OFFICE, FARM).probability
    alone = [compared(snapshot, group).probability[0] for group in (HOME, OFFICE, FARM)]
    assert together.tolist() == alone
    member = np.full(snapshot.n_accounts, -1, np.int32)
    assert len(honest(snapshot, member).probability) == 0


def test_accounts_that_use_more_identifiers_than_others_speak_against_it(tmp_path: Path) -> None:
    game = town()
    for at in range(4):
        for turn in range(6):
            game.signup(f"churn{at}", DAY * (5 + 20 * at), f"d{at}-{turn}", "203.0.113.77")
    snapshot = game.build(tmp_path)
    found = compared(snapshot, HOME, [f"churn{at}" for at in range(4)])
    assert found.churn[1] > 0.9 > found.churn[0]
    assert found.log_odds["churn"][1] < -1 < found.log_odds["churn"][0]


def test_in_a_run_the_farm_comes_first_and_what_the_household_is_in_is_explained(snapshot: Snapshot) -> None:
    run = rings.find(snapshot)
    home = {account: (ring, rank) for ring, account, rank in _placed(run)}
    assert home["farm0"][1] == 1
    assert home["farm0"][0] == home["farm8"][0]
    told = dict(run.table.select("ring", "honest").iter_rows())
    assert told[home["farm0"][0]] < 0.01
    for name in (*HOME, *OFFICE):
        if name in home:
            assert told[home[name][0]] >= EXPLAINED
    assert set(OFFICE) & set(home)  # not vacuous: sharing an address makes a group of some


def _placed(run: rings.RingsRun) -> list[tuple[str, str, int]]:
    rank = dict(run.table.select("ring", "rank").iter_rows())
    return [
        (ring, account, rank[ring]) for ring, account in run.members.select("ring", "account_id").iter_rows()
    ]
