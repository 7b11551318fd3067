"""The table of detection quality: figures worked out by hand, cells that are found again, words that warn."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from benchmarks.peers.problem import Part
from benchmarks.quality import report
from benchmarks.quality.cells import Cells, NotFinished
from benchmarks.quality.judging import (
    FIGURES,
    Judged,
    Spread,
    bootstrap,
    figures,
    judged_by_rings,
    judged_by_verdicts,
    prior_figures,
    recall_at_k,
)
from benchmarks.quality.measured import Row, gain, interval, measured
from benchmarks.quality.reduced import drawn, keeping
from benchmarks.quality.rows import PUBLISHED, RINGWATCH, Runner, parts_of
from benchmarks.quality.sets import ALL, DataSet, Verdicts, by_folds, fold_parts
from benchmarks.quality.slices import unseen_rings
from benchmarks.quality.timed import sign_ups
from graph_etl import Snapshot, Workspace
from tests.building import TRANSFERS_SPEC, Built, build_from_text, transfer_files


def test_weighted_figures_are_those_worked_out_by_hand() -> None:
    # Best first: bad (weight 2), good (1), bad (1), good (3).
    judged = Judged(np.arange(4), np.array([True, False, True, False]), np.array([2.0, 1.0, 1.0, 3.0]))
    found = figures(judged, np.array([0.9, 0.8, 0.7, 0.1]))
    assert found["average_precision"] == pytest.approx((2 / 3) * 1.0 + (1 / 3) * (3 / 4))
    assert found["auroc"] == pytest.approx((2 * 4 + 1 * 3) / (3 * 4))
    assert found["recall_at_k"] == pytest.approx(1 / 2)
    assert found["recall_at_1pct_fpr"] == pytest.approx(2 / 3)  # one good account is more than 1 % of them


def test_recall_in_the_first_k_draws_ties_by_lot() -> None:
    bad = np.array([True, True, False, False])
    assert recall_at_k(bad, np.array([1.0, 0.5, 0.5, 0.0])) == pytest.approx((1 + 0.5) / 2)
    assert recall_at_k(bad, np.zeros(4)) == pytest.approx(0.5)
    assert recall_at_k(bad, np.array([3.0, 2.0, 1.0, 0.0])) == 1.0


def test_an_account_without_a_score_is_an_error() -> None:
    judged = judged_by_verdicts(np.array([1, 0, -1], np.int8), np.arange(3))
    assert judged.rows.tolist() == [0, 1]
    with pytest.raises(ValueError, match="1 of 2 judged examples have no score"):
        figures(judged, np.array([0.5, np.nan, np.nan]))


def test_a_large_ring_weighs_as_forty_and_the_bad_as_a_fifth(
    untimed_snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.quality.judging.RING_CAP", 4)
    members = {"a": range(8), "b": range(8, 10)}
    rows = [(one, group, "judge", 0) for group, some in members.items() for one in some]
    groups = pl.DataFrame(rows, schema=["account", "group", "role", "mapping"], orient="row")
    snapshot = Snapshot.open(untimed_snapshot.path)
    monkeypatch.setitem(snapshot.__dict__, "groups", groups)
    judged = judged_by_rings(snapshot)
    weight = dict(zip(judged.rows.tolist(), judged.weight.tolist(), strict=True))
    assert weight[0] == pytest.approx(weight[8] / 2)  # 4 of 8 against 2 of 2
    assert judged.weight[judged.bad].sum() / judged.weight.sum() == pytest.approx(0.207)
    assert set(judged.rows[~judged.bad]) == set(np.flatnonzero(snapshot.labels() == 0)) - set(range(10))
    assert prior_figures(judged)["average_precision"] == pytest.approx(0.207)
    # A part keeps the share of the bad ones.
    some = np.zeros(snapshot.n_accounts, np.bool_)
    some[5:60] = True
    part = judged.within(some)
    assert part.both
    assert part.weight[part.bad].sum() / part.weight.sum() == pytest.approx(0.207)


def test_a_spread_has_the_standard_deviation_of_a_sample() -> None:
    spread = Spread.of([1.0, 2.0, 3.0])
    assert (spread.mean, spread.sd, spread.n) == (2.0, 1.0, 3)
    assert Spread.of([1.0, 3.0], pooled=5.0).mean == 5.0
    assert math.isnan(Spread.of([1.0]).sd)


def test_no_label_of_a_test_account_reaches_a_method(untimed_snapshot: Snapshot) -> None:
    labels = untimed_snapshot.labels()
    parts = fold_parts(untimed_snapshot)
    assert len(parts) == 5
    for part in parts:
        assert (labels[part.test] >= 0).any()
        assert (part.label[part.test] == -1).all()
        for rows in (part.train, part.valid):
            assert len(rows) > 0
            assert (part.label[rows] >= 0).all()
            assert not np.intersect1d(rows, part.test).size
    assert np.concatenate([part.test for part in parts]).size == untimed_snapshot.n_accounts
    with pytest.raises(ValueError, match="two of train, valid and test"):
        Part.of(
            "twice", np.array([0]), np.array([1]), np.array([1]), labels, np.ones(len(labels)), refit=False
        )


def test_folds_by_time_learn_only_from_accounts_and_verdicts_before_them(timed_snapshot: Snapshot) -> None:
    first_seen_ms = np.asarray(timed_snapshot.first_seen_ms)
    verdicts = timed_snapshot.verdicts.sort("known_ms").group_by("account", maintain_order=True).first()
    known_ms = dict(zip(verdicts["account"], verdicts["known_ms"], strict=True))
    parts = fold_parts(timed_snapshot)
    assert [part.name for part in parts] == ["fold1", "fold2", "fold3", "fold4"]
    for part in parts:
        began_ms = first_seen_ms[part.test].min()
        for rows in (part.train, part.valid):
            assert (first_seen_ms[rows] <= began_ms).all()
            assert all(known_ms[one] <= began_ms for one in rows.tolist() if part.label[one] == 1)
        assert first_seen_ms[part.train].max() <= first_seen_ms[part.valid].min()


def test_a_reduced_snapshot_has_the_same_graph_and_fewer_verdicts(
    untimed_build: Built, tmp_path: Path
) -> None:
    whole = untimed_build.snapshot
    workspace = Workspace(tmp_path)
    kept = drawn(whole.labels(), 0.1, seed=1)
    assert kept.sum() == round(0.1 * (whole.labels() >= 0).sum())
    few = keeping(whole, workspace, kept)
    assert few.id != whole.id
    assert (few.labels() >= 0).tolist() == kept.tolist()
    assert set(few.groups["account"]) <= set(np.flatnonzero(kept).tolist())
    assert len(whole.groups) > len(few.groups)
    assert few.relations[0].out.nbr.tolist() == whole.relations[0].out.nbr.tolist()
    assert keeping(whole, workspace, kept).id == few.id
    bans = keeping(whole, workspace, np.ones(whole.n_accounts, np.bool_), bad_only=True)
    assert set(bans.verdicts["label"].unique()) == {1}
    assert (bans.labels() == 1).sum() == (whole.labels() == 1).sum()


def _data(built: Built, tmp_path: Path) -> DataSet:
    label = built.snapshot.labels()
    return by_folds(built.snapshot, Workspace(tmp_path), judged_by_verdicts(label, np.arange(len(label))))


def test_fewer_verdicts_are_learned_from_and_all_of_them_judge(untimed_build: Built, tmp_path: Path) -> None:
    data = _data(untimed_build, tmp_path)
    few = data.with_verdicts(Verdicts("half", share=0.5, seed=3))
    assert [part.name for part in few.parts] == [part.name for part in data.parts]
    for part, whole in zip(few.parts, data.parts, strict=True):
        assert 0 < (part.label >= 0).sum() < 0.7 * (whole.label >= 0).sum()
        assert part.test.tolist() == whole.test.tolist()
    assert len(few.judged.rows) == len(data.judged.rows)
    assert few.trained_on(few.parts[0]).id != data.snapshot.id
    assert data.trained_on(data.parts[0]) is data.snapshot
    none = data.with_verdicts(Verdicts("none", share=0.0))
    assert all((part.label == -1).all() for part in none.parts)
    assert data.verdicts == ALL


def test_the_test_part_of_a_split_is_not_in_the_snapshot_that_is_trained_on(
    untimed_build: Built, tmp_path: Path
) -> None:
    data = _data(untimed_build, tmp_path)
    split = DataSet(**{**vars(data), "splits": (0, 1, 2, 3, 4)})
    for part in split.parts:
        seen = split.trained_on(part).labels()
        assert (seen[part.test] == -1).all()
        assert (seen >= 0).sum() > 0


def test_rings_of_which_somebody_is_known_bad_are_not_unseen(timed_snapshot: Snapshot) -> None:
    parts = fold_parts(timed_snapshot)
    unseen = unseen_rings(timed_snapshot, parts)
    rings: dict[str, set[int]] = {}
    for account, group in timed_snapshot.groups.select("account", "group").iter_rows():
        rings.setdefault(group, set()).add(account)
    ringed = set().union(*rings.values())
    for part in parts:
        for account in part.test.tolist():
            mates = set().union(*(some for some in rings.values() if account in some))
            assert unseen[account] == (not any(part.label[one] == 1 for one in mates))
    tested = np.concatenate([part.test for part in parts])
    assert unseen[[one for one in tested if one not in ringed]].all()
    assert 0 < (~unseen[tested]).sum() < len(ringed)  # not vacuous


def _cells(folder: Path, told: list[str], *, fresh: bool = False) -> Cells:
    return Cells(folder, fresh=fresh, tell=told.append)


def test_a_finished_cell_is_found_again(tmp_path: Path) -> None:
    made: list[int] = []

    def make() -> tuple[Any, dict[str, Any]]:
        made.append(1)
        return np.array([0.25, np.nan]), {"chosen": 3}

    told: list[str] = []
    first = _cells(tmp_path, told).get("one", {"seed": 0}, make)
    again = _cells(tmp_path, told).get("one", {"seed": 0}, make)
    assert len(made) == 1
    assert again.scores[0] == first.scores[0] == 0.25
    assert math.isnan(again.scores[1])
    assert (again.notes, again.seconds) == (first.notes, first.seconds)
    _cells(tmp_path, told).get("one", {"seed": 1}, make)
    assert len(made) == 2
    fresh = _cells(tmp_path, told, fresh=True)
    fresh.get("one", {"seed": 0}, make)
    fresh.get("one", {"seed": 0}, make)  # once in a run is enough
    assert len(made) == 3


def test_only_what_is_finished_is_shown_where_nothing_shall_be_computed(tmp_path: Path) -> None:
    told: list[str] = []
    Cells(tmp_path, fresh=False, tell=told.append).get("one", {"a": 1}, lambda: (np.ones(3), {}))
    shown = Cells(tmp_path, fresh=False, finished=True, tell=told.append)

    def never() -> tuple[np.ndarray, dict[str, object]]:
        raise AssertionError

    np.testing.assert_array_equal(shown.get("one", {"a": 1}, never).scores, np.ones(3))
    with pytest.raises(NotFinished, match="one"):
        shown.get("one", {"a": 2}, never)


def test_a_method_with_nothing_to_learn_from_has_no_row(untimed_build: Built, tmp_path: Path) -> None:
    none = _data(untimed_build, tmp_path).with_verdicts(Verdicts("none", share=0.0))
    runner = Runner(_cells(tmp_path / "cells", []))
    assert runner.scores(none, "xgbgraph") is None
    assert runner.scores(none, "reputation") is None
    assert runner.scores(none, "rule") is not None


@pytest.mark.slow
def test_ringwatch_has_a_row_and_one_less_each_part(tmp_path: Path) -> None:
    # Without known groups the folds are dealt by label: each has bad accounts, and others to learn from.
    spec = TRANSFERS_SPEC.split("groups:")[0]
    data = _data(build_from_text(tmp_path / "built", spec, transfer_files()), tmp_path)
    assert len(data.parts) == 5
    assert {"less links", "less bursts", "less neighbour aggregates", "less GraphSAGE"} <= set(parts_of(data))
    told: list[str] = []
    runner = Runner(_cells(tmp_path / "cells", told))
    ours = measured(runner, data, RINGWATCH)
    less = measured(runner, data, "less links")
    assert len(ours.values["auroc"]) == len(data.parts)
    assert ours.spread["auroc"].mean > 0.7  # rings that one wallet funded each
    assert ours.calibration_error is not None
    both = [runner.scores(data, name) for name in (RINGWATCH, "less links")]
    assert both[0] is not None
    assert both[1] is not None
    assert not np.array_equal(both[0][0].scores, both[1][0].scores)
    assert gain(ours, less).n == len(data.parts)
    measured(runner, data, RINGWATCH)
    assert sum(line.endswith("…") for line in told) == 2  # one training answers for all folds, and once


def _row(name: str, mean: float, values: list[float]) -> Row:
    spread = {figure: Spread(mean, 0.01, len(values)) for figure in FIGURES}
    return Row(name, spread, {figure: values for figure in FIGURES})


def test_a_part_is_worth_the_difference_fold_by_fold() -> None:
    ours, less = _row(RINGWATCH, 0.9, [0.9, 0.8, 0.7]), _row("less GraphSAGE", 0.89, [0.8, 0.8, 0.7])
    assert gain(ours, less).mean == pytest.approx(0.1 / 3)
    # sd of (0.1, 0, 0) is 0.0577; half an interval 1.96 × 0.0577 / √3 = 0.0653.
    assert report.added(ours, less) == "+0.0333 (95 % interval -0.0320 to +0.0987)"


def test_a_part_of_a_set_with_one_part_is_worth_the_difference_on_the_same_resamples() -> None:
    rng = np.random.default_rng(0)
    bad = rng.random(400) < 0.2
    judged = Judged(np.arange(400), bad, np.ones(400))
    good, poor = bad + rng.normal(size=400), bad + 3.0 * rng.normal(size=400)
    rows = []
    for name, score in ((RINGWATCH, good), ("less GraphSAGE", poor)):
        one, drawn = figures(judged, score), bootstrap(judged, score)
        rows.append(
            Row(
                name,
                {figure: Spread(one[figure], float(np.std(drawn[figure], ddof=1)), 1) for figure in FIGURES},
                {figure: [one[figure]] for figure in FIGURES},
                drawn,
            )
        )
    ours, less = rows
    between = interval(ours, less)
    assert between is not None
    assert 0.0 < between[0] < gain(ours, less).mean < between[1]
    assert interval(ours, ours) == (0.0, 0.0)  # the same resamples
    assert f"95 % interval {between[0]:+.4f}" in report.added(ours, less)
    assert "no interval" in report.added(_row("a", 0.5, [0.5]), _row("b", 0.4, [0.4]))


def test_a_slice_where_another_is_ahead_is_named() -> None:
    """Told where it is more than the greater of the two standard deviations, and nowhere else."""

    def row(name: str, new: float, old: float) -> Row:
        found = _row(name, 0.5, [0.5])
        for slice_name, mean in (("new accounts", new), ("old ones", old)):
            found.slices[slice_name] = {figure: Spread(mean, 0.05, 1) for figure in FIGURES}
        return found

    said = report._said([row("xgbgraph", 0.6, 0.54), row(RINGWATCH, 0.5, 0.5)])
    assert "new accounts, average precision 0.500 ± 0.050 for 0.600 ± 0.050 of XGBGraph" in said
    assert "old ones" not in said
    assert "standard deviation: none." in report._said([row("xgbgraph", 0.5, 0.5), row(RINGWATCH, 0.5, 0.5)])


def test_the_summary_names_the_best_rival_and_what_graph_sage_adds() -> None:
    rows = [
        _row("prior", 0.99, [0.99]),
        _row("rule with hindsight: x", 0.95, [0.95]),
        _row("xgbgraph", 0.8, [0.8]),
        _row("rfgraph", 0.7, [0.7]),
        _row(RINGWATCH, 0.9, [0.9, 0.9]),
        _row("less links", 0.91, [0.9, 0.92]),
        _row("less GraphSAGE", 0.89, [0.9, 0.88]),
    ]
    text = report.summary({"one": rows, "without ours": rows[:4]})
    assert (
        "| one | 0.900 ± 0.010 | 0.800 ± 0.010, XGBGraph | 0.900 ± 0.010 | 0.800 ± 0.010, XGBGraph |" in text
    )
    assert "| one | – | 0.890 ± 0.010 | 0.900 ± 0.010 | +0.0100 (95 % interval" in text
    assert "without ours" not in text
    assert report.summary({"without ours": rows[:4]}) == ""


def test_a_peer_below_its_published_figure_is_named_loudly() -> None:
    good = [
        Row(name, {f: Spread(v, 0.01, 10) for f, v in wanted.items()}) for name, wanted in PUBLISHED.items()
    ]
    text, agree = report.published(good)
    assert agree
    assert text.count("agrees") == len(PUBLISHED)
    assert "do not trust" not in text
    weak = Row("xgbgraph_published", {"average_precision": Spread(0.50, 0.01, 10)})
    text, agree = report.published([weak, *good[2:]])
    assert not agree
    assert "DOES NOT AGREE" in text
    assert "do not trust this table" in text


def test_the_table_goes_between_its_markers_and_nowhere_else(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    report.written(page, "new\n")
    report.written(page, "newer\n")
    assert page.read_text() == f"before\n{report.BEGIN}\n\nnewer\n\n{report.END}\nafter\n"
    page.write_text("no place")
    with pytest.raises(report.MarkersMissing, match="has no place for the table"):
        report.written(page, "new")


def test_sign_ups_are_learned_from_what_was_known_before_them(timed_build: Built) -> None:
    snapshot = timed_build.snapshot
    data = sign_ups((snapshot, timed_build.workspace))
    part = data.parts[0]
    first_seen_ms = np.asarray(snapshot.first_seen_ms)
    fitted = np.concatenate([part.train, part.valid])
    assert first_seen_ms[data.asked.account[fitted]].max() <= data.cut_ms
    assert first_seen_ms[data.asked.account[part.test]].min() > data.cut_ms
    late = set(snapshot.verdicts.filter(pl.col("known_ms") > data.cut_ms)["account"].to_list())
    early = set(snapshot.verdicts.filter(pl.col("known_ms") <= data.cut_ms)["account"].to_list())
    assert late - early  # not vacuous
    assert not (data.known[list(late - early)] == 1).any()
    assert (
        data.asked.horizon[part.test] == np.asarray(snapshot.first_pos)[data.asked.account[part.test]] + 1
    ).all()
    assert (data.label[part.test] == (snapshot.labels()[data.asked.account[part.test]] == 1)).all()


def test_the_rule_of_reputation_sees_verdicts_from_when_they_were_known(timed_build: Built) -> None:
    data = sign_ups((timed_build.snapshot, timed_build.workspace))
    test = data.parts[0].test
    goes_on, stands = data.reputation()[test], replace(data, verdicts_go_on=False).reputation()[test]
    order = np.argsort(data.asked.time_ms[test], kind="stable")
    first = order[: len(order) // 10]
    assert (goes_on[first] == stands[first]).all()
    assert (goes_on != stands).any()


def test_what_is_caught_at_sign_up_is_one_table() -> None:
    named = {name: _row(name, 0.5, [0.5]) for name in ("prior", "reputation", RINGWATCH)}
    few = [named["prior"], named[RINGWATCH]]
    text = report.at_signup({"shop": list(named.values()), "game": few})
    assert text.startswith("### At sign-up: recall at 1 % false positives")
    assert "| scores of | shop | game |" in text
    assert "| rule: share of known bad on the same thing | 0.500 ± 0.010 | – |" in text
    assert report.at_signup({}) == ""


def test_failed_rows_say_so_in_the_table(untimed_build: Built, tmp_path: Path) -> None:
    data = _data(untimed_build, tmp_path)
    rows = [
        _row(RINGWATCH, 0.9, [0.9] * 5),
        Row("xgbgraph", failed="KeyError: 'x'"),
        _row("rfgraph", 0.7, [0.7]),
    ]
    text = report.section(data, rows)
    assert "XGBGraph – FAILED: KeyError: 'x'" in text
    assert "0.200 ahead of the best other, RFGraph." in text
    assert "| **Ringwatch** | 0.900 ± 0.010 |" in text
