"""A model put back in time: it must know nothing that came after the cut."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from features import Queries
from gnn import Scorer
from gnn.backtest import BacktestError, as_of, backtest
from gnn.inputs import inputs
from graph_etl import Snapshot, Workspace
from tests.building import PLATFORM_SPEC, Built, build_from_text, platform_files

CUT = datetime(2025, 4, 12, tzinfo=UTC)
LATER = datetime(2025, 4, 22, tzinfo=UTC)
TIME_COLUMN = {"signups.csv": 2, "logins.csv": 2, "gifts.csv": 3, "verdicts.csv": 2}


def ms(when: datetime) -> int:
    return int(when.timestamp() * 1000)


def files_until(end: datetime) -> dict[str, str]:
    """The platform's files as they stood at a time."""
    kept = platform_files()
    for name, column in TIME_COLUMN.items():
        header, *rows = kept[name].splitlines()
        rows = [row for row in rows if datetime.fromisoformat(row.split(",")[column]) <= end]
        kept[name] = "\n".join([header, *rows]) + "\n"
    return kept


def only_gifts_among_members(files: dict[str, str]) -> dict[str, str]:
    """Files without gifts from or to somebody who has not signed up yet, as the drawn platform has some."""
    joined = {row.split(",")[1]: row.split(",")[2] for row in files["signups.csv"].splitlines()[1:]}
    header, *rows = files["gifts.csv"].splitlines()
    cells = [(row, row.split(",")) for row in rows]
    rows = [row for row, (_, *ends, at, _) in cells if all(joined.get(end, "~") <= at for end in ends)]
    return files | {"gifts.csv": "\n".join([header, *rows]) + "\n"}


def contents(snapshot: Snapshot) -> dict[str, bytes]:
    """The files of a snapshot, all but the manifest, which names where it came from."""
    return {
        str(path.relative_to(snapshot.path)): path.read_bytes()
        for path in snapshot.path.rglob("*")
        if path.is_file() and path.name != "manifest.json"
    }


def newcomers(snapshot: Snapshot) -> NDArray[np.int64]:
    first_seen_ms = np.asarray(snapshot.first_seen_ms)
    return np.flatnonzero((first_seen_ms > ms(CUT)) & (first_seen_ms <= ms(LATER)))


def test_the_graph_before_the_cut_is_what_a_build_then_would_have_given(
    timed_build: Built, tmp_path: Path
) -> None:
    then = build_from_text(tmp_path / "then", PLATFORM_SPEC, files_until(CUT)).snapshot
    before = as_of(timed_build.snapshot, Workspace(tmp_path / "cut"), ms(CUT)).before
    assert 150 < before.n_accounts < timed_build.snapshot.n_accounts
    assert before.n_events == then.n_events
    assert before.account_ids.to_list() == then.account_ids.to_list()
    assert before.node_keys.to_list() == then.node_keys.to_list()
    for name in (
        "first_seen_ms",
        "last_seen_ms",
        "first_pos",
        "event_known_ms",
        "event_type",
        "node_kind",
        "hub_since",
        "folds",
    ):
        np.testing.assert_array_equal(getattr(before, name), getattr(then, name), err_msg=name)
    columns = ["account", "label", "known_ms"]
    assert before.verdicts.select(columns).equals(then.verdicts.select(columns))
    for moment in ("signup", "retrospective"):
        np.testing.assert_array_equal(
            inputs(before, Queries.for_accounts(before, moment=moment)),
            inputs(then, Queries.for_accounts(then, moment=moment)),
        )


def test_the_graph_after_the_cut_answers_as_the_snapshot_does(timed_build: Built, tmp_path: Path) -> None:
    snapshot = timed_build.snapshot
    cut = as_of(snapshot, Workspace(tmp_path), ms(CUT))
    positions = np.flatnonzero(np.asarray(snapshot.event_known_ms) > ms(CUT))
    questions = Queries.for_events(snapshot, positions)
    assert len(positions) > 100
    np.testing.assert_array_equal(inputs(cut.after, cut.asked(questions)), inputs(snapshot, questions))
    assert cut.after.account_ids[: cut.before.n_accounts] == cut.before.account_ids.to_list()
    assert cut.after.node_keys[: cut.before.n_nodes] == cut.before.node_keys.to_list()


def test_what_comes_later_changes_no_score(tmp_path: Path) -> None:
    files = [only_gifts_among_members(found) for found in (platform_files(), files_until(LATER))]
    whole, short = (
        build_from_text(tmp_path / name, PLATFORM_SPEC, kept)
        for name, kept in zip(("whole", "short"), files, strict=True)
    )
    asked = newcomers(whole.snapshot)
    names = whole.snapshot.account_ids[asked]
    questions = Queries.for_accounts(whole.snapshot, asked, "signup")
    found = backtest(
        whole.snapshot,
        whole.workspace,
        ms(CUT),
        questions,
        moment="signup",
        without=["graph_sage"],  # most of the time, and the same past
    )
    assert found.bundle.manifest["supervision"] == "supervised"
    assert whole.workspace.current()["bundle"] is None
    # What is learned from is the same to the last byte, so the model is; then it is asked the same.
    cut = as_of(short.snapshot, short.workspace, ms(CUT))
    assert whole.snapshot.n_events > short.snapshot.n_events  # not vacuous
    assert contents(cut.before) == contents(found.as_of.before)
    again = Queries.for_accounts(
        short.snapshot, np.array([short.snapshot.account_index(name) for name in names]), "signup"
    )
    scores = Scorer(cut.after, found.bundle).score(cut.asked(again), "signup").score
    np.testing.assert_array_equal(scores, found.score)
    assert len(names) > 30
    assert len(np.unique(scores)) > 10


def test_labels_count_from_when_they_were_known_unless_they_are_given(
    timed_build: Built, tmp_path: Path
) -> None:
    snapshot = timed_build.snapshot
    known = as_of(snapshot, Workspace(tmp_path), ms(CUT)).before
    given = as_of(snapshot, Workspace(tmp_path), ms(CUT), labels="matured").before
    seen = np.isin(snapshot.account_ids.to_list(), known.account_ids.to_list())
    verdicts = snapshot.verdicts
    of_seen = seen[verdicts["account"].to_numpy()]
    by_then = (verdicts["known_ms"] <= ms(CUT)).to_numpy()
    assert len(known.verdicts) == int((of_seen & by_then).sum())
    assert len(given.verdicts) == int(of_seen.sum()) > len(known.verdicts)
    # As if known at the sign-up; some of the drawn verdicts are older than that, and stay.
    first_seen_ms = np.asarray(snapshot.first_seen_ms)[verdicts["account"].to_numpy()]
    expected = np.minimum(verdicts["known_ms"].to_numpy(), np.minimum(first_seen_ms, ms(CUT)))[of_seen]
    assert sorted(given.verdicts["known_ms"].to_list()) == sorted(expected.tolist())
    assert known.verdicts["known_ms"].to_list() != given.verdicts["known_ms"].to_list()


def test_a_question_from_before_the_cut_is_refused(timed_build: Built, tmp_path: Path) -> None:
    snapshot = timed_build.snapshot
    cut = as_of(snapshot, Workspace(tmp_path), ms(CUT))
    last_before = np.array([cut.horizon - 1])
    # Just after the cut's last row nothing later is seen: the boundary is allowed, the row before is not.
    assert len(cut.asked(Queries.for_events(snapshot, last_before))) == 1
    with pytest.raises(BacktestError, match="1 of 1 questions have a horizon before the cut"):
        cut.asked(Queries.for_events(snapshot, last_before - 1))


def test_tables_without_times_cannot_be_cut(untimed_snapshot: Snapshot, tmp_path: Path) -> None:
    with pytest.raises(BacktestError, match="has no times"):
        as_of(untimed_snapshot, Workspace(tmp_path), 0)
    assert not (tmp_path / "snapshots").exists()


def test_nothing_is_known_before_the_first_row(timed_snapshot: Snapshot, tmp_path: Path) -> None:
    with pytest.raises(BacktestError, match="choose a later cut"):
        as_of(timed_snapshot, Workspace(tmp_path), ms(datetime(2020, 1, 1, tzinfo=UTC)))
