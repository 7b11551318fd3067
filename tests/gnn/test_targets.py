"""Who is an example, of what, and from when."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from features import known_bad_of
from gnn.targets import EARLIER_EVENT, EVENTS_PER_ACCOUNT, Targets, event_examples, targets
from graph_etl import Snapshot
from tests.building import PLATFORM_SPEC, build_from_text, csv_text, platform_files

DAY_MS = 24 * 3_600_000


def at_ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def test_an_account_too_young_for_a_verdict_is_no_negative(timed_snapshot: Snapshot) -> None:
    found = targets(timed_snapshot)
    verdict = timed_snapshot.labels()
    end_ms = timed_snapshot.manifest["time_range_ms"][1]
    matured = np.asarray(timed_snapshot.first_seen_ms) + 30 * DAY_MS <= end_ms
    silent = verdict < 0
    assert (found.label[silent & matured] == 0).all()
    assert (found.label[silent & ~matured] == -1).all()
    assert (silent & matured).any()
    assert (silent & ~matured).any()


def test_a_verdict_counts_only_once_it_was_known(timed_snapshot: Snapshot) -> None:
    cut_ms = at_ms("2025-03-20")
    known = timed_snapshot.verdicts.filter(timed_snapshot.verdicts["known_ms"] <= cut_ms)
    bad = set(known.filter(known["label"] == 1)["account"].to_list())
    assert set(np.flatnonzero(targets(timed_snapshot, cut_ms).label == 1).tolist()) == bad
    assert len(bad) < int((targets(timed_snapshot).label == 1).sum())  # not vacuous


def test_known_bad_begins_and_ends_with_verdicts(tmp_path: Path) -> None:
    files = platform_files()
    rows = [
        ("h000", "bad", "2025-03-10T00:00:00+00:00", "reported"),
        ("h000", "good", "2025-03-20T00:00:00+00:00", "appeal"),
    ]
    files["verdicts.csv"] = csv_text("account,verdict,known_at,reason", rows)
    snapshot = build_from_text(tmp_path, PLATFORM_SPEC, files).snapshot
    known_bad = known_bad_of(snapshot, untimed=False)
    account = snapshot.account_index("h000")
    assert account is not None
    # The first event after a verdict sees it, the last one before does not.
    bad, good = (snapshot.horizon_at(at_ms(day)) for day in ("2025-03-10", "2025-03-20"))
    horizons = (bad - 1, bad, good - 1, good)
    assert [known_bad.holds(account, at) for at in horizons] == [False, True, True, False]
    others = np.arange(snapshot.n_accounts) != account
    assert (known_bad.since[others] == np.iinfo(np.int64).max).all()


def test_verdicts_without_a_time_are_never_inputs(untimed_snapshot: Snapshot) -> None:
    assert (untimed_snapshot.labels() == 1).any()
    since = known_bad_of(untimed_snapshot, untimed=False).since
    assert (since == np.iinfo(np.int64).max).all()
    today = known_bad_of(untimed_snapshot, untimed=True).since
    np.testing.assert_array_equal(today < 0, untimed_snapshot.labels() == 1)


EDITS_SPEC = """
ringwatch: 1
name: edits
title: Edits, and a user who was banned after some of them.
sources:
  edits: {path: edits.csv}
kinds:
  page: {identifier: false, public: true, normalise: exact}
events:
  - source: edits
    type: edit
    from: {account: user}
    to: {page: page}
    time: {column: at, unit: s}
verdicts:
  - {source: edits, account: user, label: banned, bad: ["1"], good: ["0"], known_at: {column: known, unit: s}}
"""


def nobody(snapshot: Snapshot) -> NDArray[np.bool_]:
    return np.zeros(snapshot.n_accounts, dtype=np.bool_)


def edits_snapshot(folder: Path) -> Snapshot:
    """Ten edits of bad, banned after the eighth; forty of busy and one of rare, both good."""
    rows = [("bad", at, 100 + at, 1 if at == 7 else None, 107 if at == 7 else None) for at in range(10)]
    rows += [("busy", at, 200 + at, 0 if at == 0 else None, 200 if at == 0 else None) for at in range(40)]
    rows += [("rare", 0, 300, 0, 300)]
    return build_from_text(
        folder, EDITS_SPEC, {"edits.csv": csv_text("user,page,at,banned,known", rows)}
    ).snapshot


def few_labels(snapshot: Snapshot) -> Targets:
    return Targets(snapshot.labels(), np.ones(snapshot.n_accounts), "supervised", nobody(snapshot))


def test_a_bad_account_is_an_example_at_its_last_events_before_the_verdict(tmp_path: Path) -> None:
    snapshot = edits_snapshot(tmp_path)
    found = event_examples(snapshot, few_labels(snapshot))
    bad = found.account == snapshot.account_index("bad")
    assert found.position[bad].tolist() == [2, 3, 4, 5, 6, 7]
    np.testing.assert_allclose(found.weight[bad], EARLIER_EVENT ** np.arange(5.0, -1.0, -1.0))
    assert (found.label == bad).all()


def test_a_few_events_of_a_good_account_stand_for_all_of_them(tmp_path: Path) -> None:
    snapshot = edits_snapshot(tmp_path)
    found = event_examples(snapshot, few_labels(snapshot))
    busy, rare = (found.account == snapshot.account_index(name) for name in ("busy", "rare"))
    assert busy.sum() == EVENTS_PER_ACCOUNT
    assert found.weight[busy].sum() == pytest.approx(40)
    assert found.stands_for[busy].sum() == pytest.approx(40)
    assert found.weight[rare].tolist() == [1.0]
    assert (np.diff(found.position) > 0).all()
    again = event_examples(snapshot, few_labels(snapshot))
    np.testing.assert_array_equal(found.position, again.position)


@pytest.mark.parametrize(
    ("delay_s", "expected"),
    [
        # The verdict came with the event: silence after an event is good news at once.
        pytest.param(0, {"bad": [2, 3, 4, 5, 6, 7], "new": [10, 11]}, id="verdicts-come-at-once"),
        # It came 48 s after the last event: at 300 s nobody knows what becomes of events after 252 s.
        pytest.param(50, {"bad": [4, 5, 6, 7, 8, 9], "new": [10]}, id="verdicts-take-50-s"),
    ],
)
def test_silence_is_good_news_once_a_verdict_would_have_come(
    delay_s: int, expected: dict[str, list[int]], tmp_path: Path
) -> None:
    rows: list[tuple[object, ...]] = [("bad", at, 100 + at, int(at == 7), 107 + delay_s) for at in range(10)]
    rows += [("new", 1, 250, None, None), ("new", 1, 300, None, None)]
    spec = EDITS_SPEC.replace('good: ["0"], ', "") + "assume_good_after: 7d\n"
    snapshot = build_from_text(
        tmp_path, spec, {"edits.csv": csv_text("user,page,at,banned,known", rows)}
    ).snapshot
    labels = Targets(snapshot.labels(), np.ones(snapshot.n_accounts), "supervised", nobody(snapshot))
    assert sorted(labels.label.tolist()) == [-1, 1]
    found = event_examples(snapshot, labels)
    by_name = {
        name: found.position[found.account == snapshot.account_index(name)].tolist() for name in expected
    }
    assert by_name == expected
    assert found.label.tolist() == [1] * 6 + [0] * len(expected["new"])


def test_events_after_a_cut_are_no_examples(tmp_path: Path) -> None:
    snapshot = edits_snapshot(tmp_path)
    found = event_examples(snapshot, few_labels(snapshot), cut_ms=205_000)
    assert found.position.max() == 15  # ten edits of bad, then those of busy at 200 to 205 s
    assert len(event_examples(snapshot, few_labels(snapshot), cut_ms=99_000).position) == 0


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        pytest.param("none", "label_free", id="no-verdicts-at-all"),
        pytest.param("bad", "positive_unlabelled", id="bans-only"),
        pytest.param("all", "supervised", id="both"),
    ],
)
def test_supervision_follows_what_is_known(keep: str, expected: str, tmp_path: Path) -> None:
    files = platform_files()
    header, *rows = files["verdicts.csv"].splitlines()
    kept = [row for row in rows if keep == "all" or (keep == "bad" and ",bad," in row)]
    files["verdicts.csv"] = "\n".join([header, *kept]) + "\n"
    spec = PLATFORM_SPEC.replace("assume_good_after: 30d\n", "")
    snapshot = build_from_text(tmp_path, spec, files).snapshot
    assert targets(snapshot).supervision == expected


SIGNUPS_SPEC = """
ringwatch: 1
name: signups
title: Accounts that sign up, and some verdicts.
sources:
  signups: {path: signups.csv}
  verdicts: {path: verdicts.csv}
kinds:
  device: {identifier: true, public: true, normalise: exact}
accounts:
  - source: signups
    id: account
    time: {column: at, unit: s}
    identifiers: {device: device}
verdicts:
  - source: verdicts
    account: account
    label: verdict
    bad: [bad]
    good: [good]
    known_at: {column: at, unit: s}
assume_good_after: 10d
moments: [retrospective]
"""
DAY_S = 24 * 3600


def signups(folder: Path, days: dict[str, tuple[int, str]]) -> Snapshot:
    """Accounts by name: the day of the sign-up, and what somebody says of them a day later, if anything."""
    order = sorted(days.items(), key=lambda one: one[1][0])
    files = {
        "signups.csv": csv_text(
            "account,device,at", [(name, f"d-{name}", day * DAY_S) for name, (day, _) in order]
        ),
        "verdicts.csv": csv_text(
            "account,verdict,at",
            [(name, verdict, (day + 1) * DAY_S) for name, (day, verdict) in order if verdict],
        ),
    }
    return build_from_text(folder, SIGNUPS_SPEC, files).snapshot


def found_by_name(snapshot: Snapshot, values: NDArray[np.generic]) -> dict[str, object]:
    return dict(zip(snapshot.account_ids.to_list(), values.tolist(), strict=True))


def test_young_bad_accounts_weigh_the_less_the_more_old_ones_there_are(tmp_path: Path) -> None:
    """The last sign-up is on day 30, so accounts of day 20 are the youngest whose silence says good."""
    days = {f"old{at}": (at % 20, "bad") for at in range(30)} | {f"silent{at}": (5, "") for at in range(40)}
    days |= {"boundary": (20, "bad"), "young": (21, "bad"), "young-good": (25, "good"), "last": (30, "")}
    days |= {f"young-silent{at}": (26, "") for at in range(3)}
    snapshot = signups(tmp_path, days)
    found = targets(snapshot)
    assert found.supervision == "supervised"
    labelled = np.flatnonzero(found.label >= 0)
    weight = {
        snapshot.account_ids[at]: told
        for at, told in zip(labelled.tolist(), found.fit_weight(labelled), strict=True)
    }
    label, young = (found_by_name(snapshot, one) for one in (found.label, found.young))
    assert label["young-silent0"] == label["last"] == -1
    assert label["silent0"] == 0
    assert weight["young"] == pytest.approx(30 / (30 + 31))  # 30 and the one at the boundary
    assert weight["boundary"] == weight["old0"] == weight["silent0"] == weight["young-good"] == 1.0
    assert {name for name, told in young.items() if told} == {
        name for name, (day, _) in days.items() if day > 20
    }
    # Only those that are fitted on count: a held-out account's label says nothing to the others.
    index = snapshot.account_index
    fewer = np.array([index("old0"), index("old1"), index("young")])
    np.testing.assert_allclose(found.fit_weight(fewer), [1.0, 1.0, 30 / 32])


def test_young_bad_accounts_count_in_full_where_people_judged_the_young(tmp_path: Path) -> None:
    days = {f"old{at}": (at % 20, "bad") for at in range(30)} | {f"silent{at}": (5, "") for at in range(40)}
    days |= {"young": (21, "bad"), "last": (30, "")} | {f"young-good{at}": (25, "good") for at in range(3)}
    found = targets(signups(tmp_path, days))
    assert not found.young.any()
    assert (found.fit_weight(np.arange(len(days))) == 1.0).all()


def test_a_few_good_accounts_picked_by_hand_do_not_stand_for_the_silent_ones(tmp_path: Path) -> None:
    """On day 9 nobody is ten days old. Twelve were called good, sixty are silent: all are learned from."""
    days = {f"bad{at}": (3, "bad") for at in range(15)} | {f"good{at}": (4, "good") for at in range(12)}
    days |= {f"silent{at}": (5, "") for at in range(60)} | {"last": (9, "")}
    snapshot = signups(tmp_path, days)
    found = targets(snapshot)
    assert found.supervision == "positive_unlabelled"
    assert int((found.label == 0).sum()) == 12 + 60 + 1
    assert not found.young.any()
    # With as many judged as are silent they are no few any more.
    days = {name: one for name, one in days.items() if not name.startswith("silent")}
    judged = targets(signups(tmp_path / "judged", days | {f"silent{at}": (5, "") for at in range(26)}))
    assert judged.supervision == "supervised"
    assert int((judged.label == -1).sum()) == 27
