"""Link features: only the past, one path for one account or many, also for accounts nobody has seen."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from features import Queries
from graph_etl import Snapshot
from rings import LINK_FEATURES, link_features
from tests.rings.drawing import START, Game, indices

NAMES = [spec.name for spec in LINK_FEATURES]


def value(row: NDArray[np.float32], name: str) -> float:
    return float(row[NAMES.index(f"link.{name}")])


def platform() -> Game:
    game = Game()
    game.strangers(80, 60 * 24 * 20)
    for at in range(6):
        game.signup(f"m{at}", 5000 + 3 * at, f"farm{at % 2}", "203.0.113.5", 5.0)
        game.gift(f"m{at}", "m0" if at else "x0000", 5100 + at)
    return game


def answers(snapshot: Snapshot, accounts: list[str], moment: str) -> NDArray[np.float32]:
    queries = Queries.for_accounts(snapshot, np.array(indices(snapshot, accounts)), moment)
    return link_features(snapshot, queries)


def test_features_say_what_links_an_account(tmp_path: Path) -> None:
    snapshot = platform().build(tmp_path)
    member, stranger = answers(snapshot, ["m2", "x0040"], "retrospective")
    # m0 and m4 share its device and address, m1, m3 and m5 the address; x0000 dealt with m0, as it did.
    assert value(member, "shared_count") == pytest.approx(np.log1p(6))
    assert value(member, "common_max") >= 3  # device, address, subnet
    assert value(member, "max") > 0.5
    assert value(member, "direct_count") == pytest.approx(np.log1p(1))
    assert value(stranger, "shared_count") == 0.0


@pytest.mark.parametrize("moment", ["signup", "1d"])
def test_later_rows_change_no_earlier_feature(moment: str, tmp_path: Path) -> None:
    before = platform().build(tmp_path / "before")
    grown = platform()
    last = 60 * 24 * 40.0
    for at in range(30):
        grown.signup(f"late{at}", last + at, f"farm{at % 2}", "203.0.113.5", 5.0)
        grown.gift(f"late{at}", f"m{at % 6}", last + 100 + at)
        grown.gift("x0003", f"x00{10 + at}", last + 200 + at)
    after = grown.build(tmp_path / "after")
    accounts = list(before.account_ids)
    was, now = answers(before, accounts, moment), answers(after, accounts, moment)
    assert np.array_equal(was, now, equal_nan=True)
    # Not vacuous: with everything visible they do differ.
    late = answers(after, accounts, "retrospective")
    assert not np.array_equal(answers(before, accounts, "retrospective"), late, equal_nan=True)


def test_one_account_or_all_give_the_same_bits(timed_snapshot: Snapshot) -> None:
    everybody = Queries.for_accounts(timed_snapshot, None, "retrospective")
    together = link_features(timed_snapshot, everybody)
    assert together.shape == (timed_snapshot.n_accounts, len(LINK_FEATURES))
    for account in (0, 7, 120, 299):
        alone = link_features(timed_snapshot, everybody.take(np.array([account])))
        assert np.array_equal(alone[0], together[account], equal_nan=True)


def test_an_unseen_account_gets_what_it_gets_once_it_is_in_the_graph(tmp_path: Path) -> None:
    minute = 60 * 24 * 30.0
    before = platform().build(tmp_path / "before")
    joined = platform()
    joined.signup("newcomer", minute, "farm1", "203.0.113.5", 5.0)
    after = joined.build(tmp_path / "after")
    asked = Queries.for_event(
        before,
        "newcomer",
        time_ms=int(START.timestamp() * 1000 + minute * 60_000),
        identifiers=[("device", "farm1"), ("ip", "203.0.113.5"), ("subnet", "203.0.113.0/24")],
        attributes={"form_s": 5.0},
    )
    unseen = link_features(before, asked)[0]
    assert value(unseen, "shared_count") == pytest.approx(np.log1p(6))
    assert np.allclose(unseen, answers(after, ["newcomer"], "signup")[0], equal_nan=True)


def test_names_are_unique_and_fit_the_columns() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert all(spec.family == "link" and not spec.uses_verdicts for spec in LINK_FEATURES)


def test_no_questions_give_no_rows(timed_snapshot: Snapshot) -> None:
    nobody = Queries.for_accounts(timed_snapshot, np.zeros(0, np.int64))
    assert link_features(timed_snapshot, nobody).shape == (0, len(LINK_FEATURES))
