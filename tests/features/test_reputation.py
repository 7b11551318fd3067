"""Reputation: the share of known bad accounts on what an account touches, as of its question."""

import numpy as np
import pytest

from features import REPUTATION_FEATURES, Queries, Reputation, known_bad_of, reputation
from graph_etl import Snapshot
from tests.building import Built, build_from_text, csv_text

SPEC = """
ringwatch: 1
name: pages
title: Users that edit pages, some of them banned.
sources:
  edits: {path: edits.csv}
  bans: {path: bans.csv}
kinds:
  page: {identifier: false, public: true}
events:
  - source: edits
    type: edit
    from: {account: user}
    to: {page: page}
    time: at
verdicts:
  - source: bans
    account: user
    label: verdict
    bad: [bad]
    known_at: at
"""


def minute(number: int) -> str:
    return f"2026-01-01T00:{number:02d}:00Z"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    edits = [
        ("quiet1", "peace", 0),
        ("quiet2", "peace", 1),
        ("bad1", "war", 2),
        ("bad2", "war", 3),
        ("quiet2", "calm", 4),
        ("quiet1", "war", 10),
        ("newcomer", "war", 20),
        ("newcomer", "peace", 21),
        ("late", "nowhere", 30),
    ]
    bans = [("bad1", "bad", 5), ("bad2", "bad", 25), ("newcomer", "bad", 40)]
    files = {
        "edits.csv": csv_text("user,page,at", [(user, page, minute(at)) for user, page, at in edits]),
        "bans.csv": csv_text("user,verdict,at", [(user, verdict, minute(at)) for user, verdict, at in bans]),
    }
    return build_from_text(tmp_path_factory.mktemp("pages"), SPEC, files)


@pytest.fixture(scope="module")
def pages(built: Built) -> Snapshot:
    return built.snapshot


def told(snapshot: Snapshot, user: str, moment: str = "retrospective") -> Reputation:
    account = snapshot.account_index(user)
    assert account is not None
    known = known_bad_of(snapshot, untimed=False)
    asked = Queries.for_accounts(snapshot, np.array([account]), moment)
    return reputation(snapshot, asked, known.since, known.until)


def values(found: Reputation) -> dict[str, float]:
    return {
        spec.name: float(value) for spec, value in zip(REPUTATION_FEATURES, found.features[0], strict=True)
    }


def test_shares_are_of_the_others_on_each_thing(pages: Snapshot) -> None:
    """Of three others on "war" two are bad, of two on "peace" none; its own ban counts nowhere."""
    found = told(pages, "newcomer")
    war, peace = 2 / (3 + 2), 0.0
    assert values(found) == pytest.approx(
        {"reputation.worst": war, "reputation.mean": (war + peace) / 2, "reputation.newest": peace}
    )
    assert pages.node_keys[int(found.thing[0])] == "war"
    assert (int(found.n_bad[0]), int(found.n_others[0])) == (2, 3)


def test_a_verdict_counts_from_when_it_was_known(pages: Snapshot) -> None:
    """When "newcomer" came to the page, at 20, one of the three others had been banned, one not yet."""
    assert values(told(pages, "newcomer", "signup"))["reputation.newest"] == pytest.approx(1 / (3 + 2))
    before = Queries.for_events(pages, np.array([3]))  # "bad2" at 3: nobody has been banned
    known = known_bad_of(pages, untimed=False)
    assert values(reputation(pages, before, known.since, known.until))["reputation.worst"] == 0.0


def test_nobody_known_bad_is_nothing_to_follow(pages: Snapshot) -> None:
    found = told(pages, "late")
    assert values(found) == {"reputation.worst": 0.0, "reputation.mean": 0.0, "reputation.newest": 0.0}
    assert found.thing.tolist() == [-1]


def test_an_account_that_touches_nothing_has_none(pages: Snapshot) -> None:
    known = known_bad_of(pages, untimed=False)
    nobody = Queries.for_event(pages, "nobody", time_ms=int(np.asarray(pages.event_known_ms)[-1]))
    assert np.isnan(reputation(pages, nobody, known.since, known.until).features).all()


def test_a_question_s_own_first_touch_counts(pages: Snapshot) -> None:
    """A user that nobody has seen edits "war": four others are on it, three of them banned by now."""
    known = known_bad_of(pages, untimed=False)
    time_ms = int(np.asarray(pages.event_known_ms)[-1]) + 3_600_000
    asked = Queries.for_event(pages, "new", time_ms=time_ms, interactions=[("edit", "page", "war", 1.0)])
    assert values(reputation(pages, asked, known.since, known.until))["reputation.worst"] == pytest.approx(
        3 / 6
    )
