"""Reputation: the share of known bad accounts on what an account touches, as of its question."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from features import REPUTATION_FEATURES, LiveGraph, Queries, Reputation, known_bad_of, reputation
from graph_etl import LiveEvent, Snapshot
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


def as_served_and_as_learned(
    tmp_path: Path,
    spec: str,
    edits: Sequence[tuple[str, ...]],
    bans: Sequence[tuple[str, str, str]],
    event: LiveEvent,
) -> tuple[Reputation, Reputation]:
    """What a service says at an event, and what a later build says of the last row of its edits."""
    header = "user,page,device,at"

    def built(name: str, rows: Sequence[tuple[str, ...]]) -> Snapshot:
        files = {"edits.csv": csv_text(header, rows), "bans.csv": csv_text("user,verdict,at", bans)}
        return build_from_text(tmp_path / name, spec, files).snapshot

    live, after = LiveGraph(built("before", edits[:-1])), built("after", edits)
    known = live.known_bad_timed
    served = reputation(live, live.question(event), known.since, known.until)
    last = Queries.for_events(after, np.array([after.n_events - 1]))
    table = known_bad_of(after, untimed=False, at_events=True)
    return served, reputation(after, last, table.since, table.until)


DEVICES_SPEC = SPEC.replace(
    "    time: at\nverdicts", "    time: at\n    identifiers: {device: device}\nverdicts"
).replace("kinds:\n", "kinds:\n  device: {identifier: true, public: true}\n")


def millisecond(at: int) -> int:
    return 1_767_225_600_000 + at * 60_000


def test_an_event_on_a_busy_thing_is_served_as_it_was_learned(tmp_path: Path) -> None:
    """70 users on a page: the account's own edge, there in a build and not in a question, takes no place."""
    crowd = [(f"u{at}", "war", "", f"2026-01-01T00:00:{at % 60:02d}.{at:03d}Z") for at in range(70)]
    crowd.sort(key=lambda row: row[3])
    edits = [*crowd, ("pad", "calm", "", minute(30)), ("new", "war", "", minute(40))]
    bans = [(f"u{at}", "bad", minute(20)) for at in (66, 20, 30)]
    event = LiveEvent("edit", "new", millisecond(40), interactions=(("edit", "page", "war", 1.0),))
    served, learned = as_served_and_as_learned(tmp_path, DEVICES_SPEC, edits, bans, event)
    assert served.n_others.tolist() == learned.n_others.tolist() == [64]
    assert served.n_bad.tolist() == learned.n_bad.tolist()
    assert served.n_bad[0] > 0
    np.testing.assert_array_equal(served.features, learned.features)


def test_things_that_came_together_are_all_the_newest(tmp_path: Path) -> None:
    """A page of a banned user and a clean device in one event: the worse one counts, in any order."""
    edits = [
        ("b", "war", "d1", minute(0)),
        ("g", "peace", "d2", minute(1)),
        ("pad", "calm", "d3", minute(6)),
        ("new", "war", "d2", minute(10)),
    ]
    event = LiveEvent(
        "edit",
        "new",
        millisecond(10),
        identifiers=(("device", "d2"),),
        interactions=(("edit", "page", "war", 1.0),),
    )
    served, learned = as_served_and_as_learned(
        tmp_path, DEVICES_SPEC, edits, [("b", "bad", minute(5))], event
    )
    assert values(served)["reputation.newest"] == pytest.approx(1 / (1 + 2))
    np.testing.assert_array_equal(served.features, learned.features)


def test_a_verdict_between_two_events_counts_from_the_second(tmp_path: Path) -> None:
    """Learned at events, the first of the two would see what came after it, perhaps because of it."""
    edits = [
        ("b", "war", "", minute(0)),
        ("x", "war", "", minute(4)),
        ("z", "war", "", minute(10)),
    ]
    files = {
        "edits.csv": csv_text("user,page,device,at", edits),
        "bans.csv": csv_text("user,verdict,at", [("b", "bad", minute(5))]),
    }
    snapshot = build_from_text(tmp_path, DEVICES_SPEC, files).snapshot
    asked = Queries.for_events(snapshot, np.array([1, 2]))
    table = known_bad_of(snapshot, untimed=False, at_events=True)
    found = reputation(snapshot, asked, table.since, table.until)
    assert found.n_bad.tolist() == [0, 1]


def test_dealings_with_accounts_do_not_hide_what_an_account_touches(tmp_path: Path) -> None:
    """Hundreds of gifts after the edit: an account cannot buy itself a clean slate."""
    spec = DEVICES_SPEC.replace(
        "verdicts:\n  -",
        "  - {source: gifts, type: gift, from: {account: a}, to: {account: b}, time: at}\nverdicts:\n  -",
    ).replace("  bans: {path", "  gifts: {path: gifts.csv}\n  bans: {path")
    files = {
        "edits.csv": csv_text(
            "user,page,device,at", [("b", "war", "", minute(0)), ("x", "war", "", minute(10))]
        ),
        "bans.csv": csv_text("user,verdict,at", [("b", "bad", minute(5))]),
        "gifts.csv": csv_text("a,b,at", [("x", f"f{at}", minute(20)) for at in range(150)]),
    }
    snapshot = build_from_text(tmp_path, spec, files).snapshot
    assert values(told(snapshot, "x"))["reputation.worst"] == pytest.approx(1 / (1 + 2))
