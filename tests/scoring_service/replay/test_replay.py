"""Replay: answers come out bit by bit as they were; what differs is named."""

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import gnn
from features import LiveGraph
from graph_etl import Hasher, JournalRow, LiveCut, LiveErasure, LiveEvent, LiveVerdict, Workspace
from graph_etl.build import build
from graph_etl.identifiers import keys_of
from scoring_service.journal import Answered, Entry, Journal
from scoring_service.replay import replay, try_bundle

N_EVENTS = 120


class Service:
    """Answers and keeps events in order, as the service does, on whatever is current."""

    def __init__(self, place: Workspace, journal: Journal) -> None:
        self.place = place
        self.journal = journal
        self.open()

    def open(self) -> None:
        """Start from what is current."""
        uses = self.place.current()
        assert uses["bundle"] is not None
        self.version = uses["bundle"]
        self.live = LiveGraph(self.place.open_snapshot())
        self.live.apply_all(self.journal.rows(self.live.last_seq))
        self.scorer = gnn.Scorer(self.live, gnn.Bundle.open(self.place.path_of("bundle", self.version)))

    def answer(self, events: list[LiveEvent]) -> None:
        """Score some events at one horizon, then keep and apply them together: a group commit."""
        entries = []
        for event in events:
            result = self.scorer.score(self.live.question(event), "signup")
            answered = Answered(
                horizon=self.live.last_seq,
                snapshot=self.live.id,
                bundle=self.version,
                rings=None,
                moment="signup",
                score=float(result.score[0]),
                margin=float(result.margin[0]),
                features=result.features[0].astype("<f4").tobytes(),
                answer=b"{}",
            )
            entries.append(Entry(event, answered))
        self.keep(entries)

    def keep(self, entries: list[Entry]) -> None:
        """Keep entries and apply what is new."""
        for entry, kept in zip(entries, self.journal.append(entries), strict=True):
            if kept.duplicate_of is None:
                self.live.apply(JournalRow(kept.seq, kept.received_ms, entry.content))


def drawn(place: Workspace, seed: int, n_events: int) -> Iterator[LiveEvent]:
    """Sign-ups and gifts: late ones, duplicates, several in one second, shared and unseen identifiers."""
    chance = random.Random(seed)
    spec, hasher = place.open_snapshot().spec, Hasher.from_env(required=True)
    at = int(place.open_snapshot().event_known_ms[-1])
    for number in range(n_events):
        at += chance.choice([0, 0, 500, 60_000])
        late = chance.choice([0, 0, 0, 86_400_000])
        account = f"late-{seed}-{chance.randrange(n_events)}"
        event_id = f"e{seed}-{chance.randrange(n_events)}" if chance.random() < 0.5 else None
        if chance.random() < 0.3:
            gift = (("gift", "account", f"single-{chance.randrange(150)}", float(chance.randrange(50))),)
            yield LiveEvent("gift", account, at - late, event_id, interactions=gift)
            continue
        raw = {
            "device": chance.choice([f"dev-single-{chance.randrange(150)}", f"dev-unseen-{number // 4}"]),
            "ip": f"84.0.{chance.randrange(3)}.1",
            "email": f"{account}@mail.example",
        }
        keys = tuple(key for kind, value in raw.items() for key in keys_of(spec, kind, value, hasher))
        told: dict[str, float | str | bool] = {
            "country": chance.choice(["DE", "FR"]),
            "form_s": chance.uniform(5, 90),
        }
        yield LiveEvent("account", account, at - late, event_id, keys, attributes=told)


@pytest.fixture
def service(copied: Workspace) -> Iterator[Service]:
    """A service that has answered some events, verdicts and cuts among them."""
    with Journal.open(copied.path / "state.db", commit="process") as journal:
        one = Service(copied, journal)
        run(one, seed=1)
        yield one


def run(service: Service, seed: int) -> None:
    chance = random.Random(seed)
    events = list(drawn(service.place, seed, N_EVENTS))
    while events:
        group = [events.pop(0) for _ in range(min(len(events), chance.choice([1, 1, 2, 4])))]
        service.answer(group)
        if chance.random() < 0.1:
            verdict = LiveVerdict(group[0].account, chance.choice([0, 1, None]), group[0].time_ms, "analyst")
            service.keep([Entry(verdict), Entry(LiveCut(group[0].account, "single-1", None))])
        if chance.random() < 0.1:
            service.keep([Entry(event) for event in drawn(service.place, chance.randrange(1000), 3)])


def test_every_answer_comes_out_as_it_was(service: Service) -> None:
    found = replay(service.place, service.journal)
    assert found.is_exact
    assert found.differences == []
    assert found.compared == found.equal > 0.6 * N_EVENTS
    assert found.context > 0
    assert found.rows == service.journal.last_seq()


def test_it_holds_over_a_swap_of_snapshot_and_bundle(service: Service) -> None:
    place = service.place
    first = place.current()
    report = build(
        place.open_snapshot().spec,
        place,
        data_dir=place.path.parent,
        append=True,
        journal=service.journal,
        max_quarantine=1.0,
    )
    assert report.snapshot_id != first["snapshot"]
    assert place.open_snapshot().last_seq == service.journal.last_seq()
    gnn.train(place.open_snapshot(), place, seed=1)
    service.open()
    assert service.live.n_new_events == 0
    run(service, seed=2)
    found = replay(place, service.journal)
    assert found.differences == []
    assert found.equal > 1.2 * N_EVENTS


def test_the_first_feature_that_differs_is_named(service: Service) -> None:
    names = [spec.name for spec in service.scorer.specs]
    seq = next(row.seq for row, answered in service.journal.records() if answered is not None)
    _, answered = service.journal.recorded(seq)
    assert answered is not None
    assert answered.features is not None
    features = np.frombuffer(answered.features, "<f4").copy()
    features[7] += 1.0
    with sqlite3.connect(service.place.path / "state.db") as store:
        store.execute("UPDATE journal SET features = ? WHERE seq = ?", (features.tobytes(), seq))
    found = replay(service.place, service.journal)
    assert [(one.seq, one.what) for one in found.differences] == [(seq, names[7])]
    assert not found.is_exact


def test_what_was_erased_is_told(service: Service) -> None:
    account = next(
        row.content.account
        for row in service.journal.rows()
        if isinstance(row.content, LiveEvent) and row.content.identifiers
    )
    service.journal.erase(account)
    found = replay(service.place, service.journal)
    rows = list(service.journal.rows())
    assert found.erased == [row.seq for row in rows if isinstance(row.content, LiveErasure)]
    assert found.erased
    assert found.different == 0  # whatever differs saw what was erased
    assert found.rows == len(rows)


def test_answers_of_a_bundle_that_is_gone_are_counted(service: Service) -> None:
    (service.place.path_of("bundle", service.version) / "manifest.json").unlink()
    found = replay(service.place, service.journal)
    assert found.gone > 0.6 * N_EVENTS
    assert found.compared == 0


def test_another_bundle_is_tried_on_what_was_answered(service: Service, tmp_path: Path) -> None:
    snapshot = service.place.open_snapshot()
    other = gnn.train(snapshot, service.place, seed=5, publish=False)
    same = try_bundle(service.place, service.journal, service.version)
    assert (same.recorded == same.tried).all()
    tried = try_bundle(service.place, service.journal, other.version)
    assert len(tried.seq) == len(same.seq)
    assert (tried.recorded != tried.tried).any()
