"""The head for an account at its events: there where accounts act, learned from the past of each block."""

import importlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from features import Queries, known_bad_of, moment_ms
from features.queries import EVENT
from gnn.event_head import EventHead, fit_event_head
from gnn.inputs import EPOCH_FAMILIES, input_specs, inputs, places_of, with_contacts
from gnn.targets import event_examples, targets
from gnn.tree_walk import FLAG_BITS
from gnn.trees import margins
from graph_etl import Snapshot
from tests.building import PLATFORM_SPEC, build_from_text, platform_files


@pytest.fixture(scope="module")
def fitted(timed_snapshot: Snapshot) -> EventHead:
    found = fit_event_head(timed_snapshot, targets(timed_snapshot))
    assert found is not None
    return found


def test_the_head_tells_bad_accounts_at_their_events(timed_snapshot: Snapshot, fitted: EventHead) -> None:
    assert fitted.head.moment == EVENT
    assert moment_ms(EVENT) is None
    assert fitted.head.booster is not None
    labels = targets(timed_snapshot)
    examples = event_examples(timed_snapshot, labels)
    assert len(fitted.margin) == len(examples) > 200
    asked = Queries.for_events(timed_snapshot, examples.position)
    columns = inputs(timed_snapshot, asked)
    if fitted.head.contact:
        known = known_bad_of(timed_snapshot, untimed=False)
        columns = with_contacts(timed_snapshot, asked, columns, known.since, known.until)
    np.testing.assert_array_equal(margins(fitted.head.booster, columns), fitted.margin)
    assert fitted.metrics["auroc"]["value"] > 0.8


def test_figures_are_of_later_blocks_only(timed_snapshot: Snapshot, fitted: EventHead) -> None:
    examples = event_examples(timed_snapshot, targets(timed_snapshot))
    assert 0 < fitted.metrics["events"] < len(examples)
    assert fitted.metrics["folds"] == "time"
    assert 0.0 <= fitted.metrics["calibration_error"] < 0.2
    assert 1 <= len(fitted.metrics["calibration_error_of_blocks"]) <= 4


def test_there_is_no_head_where_nothing_is_timed(untimed_snapshot: Snapshot) -> None:
    assert fit_event_head(untimed_snapshot, targets(untimed_snapshot)) is None


def test_there_is_no_head_where_accounts_only_sign_up(tmp_path: Path) -> None:
    files = platform_files()
    for name in ("logins.csv", "gifts.csv"):
        files[name] = files[name].splitlines()[0] + "\n"
    snapshot = build_from_text(tmp_path, PLATFORM_SPEC, files).snapshot
    assert (targets(snapshot).label == 1).sum() > 10
    assert fit_event_head(snapshot, targets(snapshot)) is None


def with_epoch_columns(
    monkeypatch: pytest.MonkeyPatch, values: Callable[[Queries], NDArray[np.float64]]
) -> None:
    """Let the columns of epochs say something over and over, and all others nothing."""

    def told(snapshot: Snapshot, queries: Queries, **_: object) -> NDArray[np.float32]:
        places = places_of(snapshot, EPOCH_FAMILIES)
        width = len(input_specs(snapshot, with_contact=False))
        columns = np.random.default_rng(0).normal(size=(len(queries), width)).astype(np.float32)
        said = values(queries)
        for at, place in enumerate(places):
            columns[:, place] = said[:, at % said.shape[1]]
        return columns

    monkeypatch.setattr("gnn.event_head.inputs", told)


def names_used(snapshot: Snapshot, found: EventHead) -> set[str]:
    names = [spec.name for spec in input_specs(snapshot, with_contact=True)]
    assert found.head.booster is not None
    return {names[column] for column in found.head.booster.nodes["feature"] >> FLAG_BITS}


def names_of_epochs(snapshot: Snapshot) -> set[str]:
    specs = input_specs(snapshot, with_contact=False)
    return {specs[place].name for place in places_of(snapshot, EPOCH_FAMILIES)}


def test_epoch_inputs_that_tell_more_of_later_events_stay(
    timed_snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    label = targets(timed_snapshot).label == 1
    with_epoch_columns(monkeypatch, lambda queries: label[queries.account][:, None].astype(float))
    found = fit_event_head(timed_snapshot, targets(timed_snapshot))
    assert found is not None
    assert found.metrics["communities"]
    assert names_used(timed_snapshot, found) & names_of_epochs(timed_snapshot)


def test_epoch_inputs_that_mislead_of_later_events_are_dropped(
    timed_snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One column a block: it tells the label in the block before and its opposite there."""
    labels = targets(timed_snapshot)
    known_ms = np.asarray(timed_snapshot.event_known_ms)
    timed = known_ms[np.unique(event_examples(timed_snapshot, labels).position)]
    cuts = np.array([timed[len(timed) * number // 5] for number in range(1, 5)])

    def misleading(queries: Queries) -> NDArray[np.float64]:
        bad = np.where(labels.label[queries.account] == 1, 1.0, -1.0)
        block = np.searchsorted(cuts, queries.time_ms, side="left")
        return np.stack(
            [np.where(block == at, -bad, np.where(block == at - 1, bad, 0.0)) for at in range(1, 5)], axis=1
        )

    with_epoch_columns(monkeypatch, misleading)
    found = fit_event_head(timed_snapshot, labels)
    assert found is not None
    assert not found.metrics["communities"]
    assert not names_used(timed_snapshot, found) & names_of_epochs(timed_snapshot)
    monkeypatch.setattr("gnn.event_head._worth_it", lambda *_: True)
    unmended = fit_event_head(timed_snapshot, labels)
    assert unmended is not None
    # Not vacuous: they do harm.
    assert unmended.metrics["auroc"]["value"] < found.metrics["auroc"]["value"]


def with_verdicts_that_say(
    monkeypatch: pytest.MonkeyPatch, values: Callable[[Queries], NDArray[np.float64]]
) -> None:
    """Let all other columns be noise, and what the verdicts of others say be the values."""
    with_epoch_columns(monkeypatch, lambda queries: np.zeros((len(queries), 1)))

    def told(
        snapshot: Snapshot, queries: Queries, columns: NDArray[np.float32], *_: object
    ) -> NDArray[np.float32]:
        width = len(input_specs(snapshot, with_contact=True)) - columns.shape[1]
        said = np.repeat(values(queries)[:, None], width, axis=1)
        return np.hstack([columns, said.astype(np.float32)])

    monkeypatch.setattr("gnn.event_head.with_contacts", told)


def test_verdicts_of_others_that_tell_more_of_later_events_become_inputs(
    timed_snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    label = targets(timed_snapshot).label == 1
    with_verdicts_that_say(monkeypatch, lambda queries: label[queries.account].astype(float))
    found = fit_event_head(timed_snapshot, targets(timed_snapshot))
    assert found is not None
    assert found.head.contact
    assert found.metrics["verdicts_of_others"]
    verdicts = {spec.name for spec in input_specs(timed_snapshot, with_contact=True) if spec.uses_verdicts}
    assert names_used(timed_snapshot, found) & verdicts
    without = fit_event_head(timed_snapshot, targets(timed_snapshot), without=("contact",))
    assert without is not None
    assert not without.head.contact


def test_verdicts_of_others_that_tell_nothing_are_no_inputs(
    timed_snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(1)
    with_verdicts_that_say(monkeypatch, lambda queries: noise.normal(size=len(queries)))
    found = fit_event_head(timed_snapshot, targets(timed_snapshot))
    assert found is not None
    assert not found.head.contact
    assert not found.metrics["verdicts_of_others"]


def test_an_event_is_told_of_verdicts_known_before_it_alone(
    timed_snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No event sees a verdict that became known after it, not even before the next one.

    Fails without ``at_events=True`` in `gnn.event_head.fit_event_head`.
    """
    seen: list[NDArray[np.int64]] = []

    def noted(
        snapshot: Snapshot,
        queries: Queries,
        columns: NDArray[np.float32],
        since: NDArray[np.int64],
        until: NDArray[np.int64],
    ) -> NDArray[np.float32]:
        seen.append(since)
        return with_contacts(snapshot, queries, columns, since, until)

    monkeypatch.setattr("gnn.event_head.with_contacts", noted)
    assert fit_event_head(timed_snapshot, targets(timed_snapshot)) is not None
    verdicts = timed_snapshot.verdicts
    bad = verdicts.filter((verdicts["label"] == 1) & verdicts["known_ms"].is_not_null())
    assert len(bad) > 10
    known_ms = np.asarray(timed_snapshot.event_known_ms)
    told = 0
    for account, when in bad.select("account", "known_ms").iter_rows():
        seeing = np.flatnonzero(
            np.arange(len(known_ms)) + 1 > seen[0][account]
        )  # horizon of an event's question
        if len(seeing) and seeing[0] < len(known_ms) - 1:
            told += 1
            assert known_ms[seeing[0]] >= when
    assert told > 5


def test_verdicts_prove_themselves_on_the_newest_events() -> None:
    """In the first blocks hardly anybody is known: a loss there weighs less than a gain where more are."""

    class Losses:
        """What the choice reads of a held-out model."""

        rounds = 30
        weight = np.ones(4)

        def __init__(self, *losses: float) -> None:
            self.losses = {30: np.array(losses)}

    event_head = importlib.import_module("gnn.event_head")
    plain = Losses(0.5, 0.5, 0.5, 0.5)
    assert event_head._lately_better(Losses(0.55, 0.55, 0.5, 0.45), plain)
    assert not event_head._lately_better(Losses(0.45, 0.45, 0.45, 0.51), plain)  # worse where it matters
    assert not event_head._lately_better(Losses(0.5, 0.6, 0.6, 0.49), plain)
    assert not event_head._lately_better(plain, plain)  # a tie goes to fewer inputs
