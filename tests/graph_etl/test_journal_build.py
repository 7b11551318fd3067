"""The journal as one more source: alone or beside the files, nothing lost, nothing counted twice."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graph_etl import (
    AppendError,
    BuildReport,
    Content,
    DataError,
    LiveCut,
    LiveErasure,
    LiveEvent,
    LiveSwitch,
    LiveVerdict,
    Snapshot,
    SourceCount,
    Workspace,
    build,
    journal_staging,
)
from graph_etl.journal_staging import JournalOrderError
from tests.building import memory_folder, write_data
from tests.graph_etl.journals import LinesJournal, write_journal

SPEC = """
ringwatch: 1
name: live
sources:
  people: {path: "people*.csv"}
  logins: {path: "logins*.csv"}
  gifts: {path: "gifts*.csv"}
  bans: {path: "bans*.csv"}
kinds:
  device: {identifier: true, public: true, normalise: exact}
  page: {identifier: false, public: true, normalise: exact}
accounts:
  - source: people
    id: id
    time: at
    event_id: event
    identifiers: {device: device}
    attributes: {country: category, age: number, vip: flag}
events:
  - source: logins
    type: login
    from: {account: id}
    time: at
    event_id: event
    identifiers: {device: device}
  - source: gifts
    type: gift
    from: {account: giver}
    to: {account: taker}
    time: at
    event_id: event
    amount: coins
verdicts:
  - {source: bans, account: id, label: word, bad: [ban], good: [ok], known_at: at}
"""
FILES = {
    "people.csv": "event,id,at,device,country,age,vip\ns1,ann,10,d1,DE,30,yes\ns2,bob,20,d1,FR,,no\n",
    "logins.csv": "event,id,at,device\nl1,ann,30,d2\n",
    "gifts.csv": "event,giver,taker,at,coins\ng1,ann,bob,40,5\n",
    "bans.csv": "id,word,at\nbob,ban,50\n",
}
EMPTY = {name: text.splitlines()[0] + "\n" for name, text in FILES.items()}
# What the files say, as requests told it.
SAID: list[tuple[int, Content]] = [
    (
        10_000,
        LiveEvent(
            "signup",
            "ann",
            10_000,
            "s1",
            (("device", "d1"),),
            attributes={"country": "DE", "age": 30.0, "vip": True},
        ),
    ),
    (
        20_000,
        LiveEvent(
            "signup", "bob", 20_000, "s2", (("device", "d1"),), attributes={"country": "FR", "vip": False}
        ),
    ),
    (30_000, LiveEvent("login", "ann", 30_000, "l1", (("device", "d2"),))),
    (40_000, LiveEvent("gift", "ann", 40_000, "g1", interactions=(("gift", "account", "bob", 5.0),))),
]


class Place:
    """A folder with data, a journal and workspaces."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def journal(self, said: list[tuple[int, Content]], *, append: bool = False) -> LinesJournal:
        return write_journal(self.folder / "journal.jsonl", said, append=append)

    def build(
        self,
        files: dict[str, str],
        journal: LinesJournal | None = None,
        *,
        workspace: str = "w",
        spec: str = SPEC,
        append: bool = False,
    ) -> BuildReport:
        data = self.folder / f"data{len(list(self.folder.glob('data*')))}"
        loaded = write_data(data, spec, files)
        return build(loaded, self.workspace(workspace), journal=journal, append=append, max_quarantine=1.0)

    def workspace(self, name: str = "w") -> Workspace:
        return Workspace(self.folder / name)

    def snapshot(self, name: str = "w") -> Snapshot:
        return self.workspace(name).open_snapshot()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def _counts(report: BuildReport, mapping: str, source: str = "journal") -> SourceCount:
    (found,) = [c for c in report.sources if (c.source, c.mapping) == (source, mapping)]
    return found


def _numbers(count: SourceCount) -> tuple[int, int, int, int]:
    return count.rows, count.in_graph, count.duplicates, count.quarantined


def _edges(snapshot: Snapshot, relation: str) -> list[tuple[str, str, int, float]]:
    """Edges by position: from, to, position, value."""
    csr, keys = snapshot.relation(relation).out, snapshot.node_keys.to_list()
    owner = np.repeat(np.arange(snapshot.n_nodes), np.diff(csr.indptr))
    found = [
        (keys[a], keys[int(b)], int(pos), float(value))
        for a, b, pos, value in zip(owner, csr.nbr, csr.pos, csr.value, strict=True)
    ]
    return sorted(found, key=lambda edge: (edge[2], edge[1]))


def test_an_empty_journal_changes_nothing(place: Place) -> None:
    alone = place.build(FILES, workspace="alone")
    beside = place.build(FILES, place.journal([]))
    assert (beside.content_hash, beside.snapshot_id) == (alone.content_hash, alone.snapshot_id)
    assert beside.sources == alone.sources
    assert place.snapshot().last_seq == 0


def test_files_told_again_by_the_journal_count_once(place: Place) -> None:
    files = place.build(FILES | {"bans.csv": EMPTY["bans.csv"]}, workspace="files")
    both = place.build(FILES | {"bans.csv": EMPTY["bans.csv"]}, place.journal(SAID), workspace="both")
    journal = place.build(EMPTY, place.journal(SAID), workspace="journal")
    assert both.content_hash == journal.content_hash == files.content_hash
    assert _numbers(_counts(both, "accounts")) == (2, 2, 0, 0)
    assert _numbers(_counts(both, "events")) == (2, 2, 0, 0)
    assert _numbers(_counts(both, "accounts[0]", "people")) == (2, 0, 2, 0)
    assert _numbers(_counts(both, "events[1]", "gifts")) == (1, 0, 1, 0)
    assert place.build(EMPTY, place.journal(SAID), workspace="journal").snapshot_id == journal.snapshot_id


def test_the_journal_stands_where_a_file_tells_otherwise(place: Place) -> None:
    """The file says earlier, another device and an age; what counts is what was seen live, and when."""
    late = LiveEvent("signup", "ann", 10_000, "s1", (("device", "d9"),), attributes={"country": "PT"})
    report = place.build(FILES, place.journal([(60_000, late)]))
    snapshot = place.snapshot()
    assert _counts(report, "accounts[0]", "people").duplicates == 1
    assert _counts(report, "accounts[0]", "people").reasons == {}
    used = _edges(snapshot, "used:device")
    assert ("ann", "d9", snapshot.n_events - 1, 1.0) in used
    assert not [edge for edge in used if edge[:2] == ("ann", "d1")]
    ann = snapshot.account_index("ann")
    assert snapshot.event_known_ms[-1] == 60_000
    assert snapshot.event_time_ms[-1] == 10_000
    assert ann is not None
    assert snapshot.first_pos[ann] == snapshot.n_events - 1


def test_a_platform_may_start_with_nothing_but_the_journal(place: Place) -> None:
    report = place.build({}, place.journal(SAID))
    assert (report.accounts, report.events, report.last_seq) == (2, 4, 4)
    assert report.files_read == 0
    snapshot = place.snapshot()
    assert snapshot.last_seq == snapshot.manifest["last_seq"] == 4
    assert [info.name for info in snapshot.attributes] == ["country", "age", "vip"]
    assert snapshot.attribute_values[0].tolist() == [0.0, 30.0, 1.0]
    assert snapshot.attribute_values[1, [0, 2]].tolist() == [1.0, 0.0]


def test_one_missing_file_is_told_and_so_is_nothing_at_all(place: Place) -> None:
    some = {name: text for name, text in FILES.items() if name != "gifts.csv"}
    with pytest.raises(DataError, match="source 'gifts'"):
        place.build(some, place.journal(SAID))
    with pytest.raises(DataError, match="source 'people'"):
        place.build({}, place.journal([]))


def test_rows_of_one_event_stand_side_by_side_in_its_order(place: Place) -> None:
    """The event's own row, then its other interactions, before the next row of the journal."""
    said: list[tuple[int, Content]] = [
        (
            5_000,
            LiveEvent(
                "signup",
                "cyd",
                5_000,
                "s3",
                (("device", "d2"), ("device", "d1")),
                (("gift", "account", "zoe", 2.0), ("gift", "account", "abe", 3.0)),
            ),
        ),
        (5_000, LiveEvent("gift", "abe", 4_000, "g7", interactions=(("gift", "account", "cyd", 1.0),))),
        (
            5_000,
            LiveEvent(
                "gift",
                "abe",
                4_000,
                "g8",
                (("device", "d1"),),
                (("gift", "account", "zoe", 4.0), ("gift", "account", "cyd", 6.0)),
            ),
        ),
    ]
    report = place.build({}, place.journal(said))
    snapshot = place.snapshot()
    assert _edges(snapshot, "gift") == [
        ("cyd", "zoe", 1, 2.0),
        ("cyd", "abe", 2, 3.0),
        ("abe", "cyd", 3, 1.0),
        ("abe", "zoe", 4, 4.0),
        ("abe", "cyd", 5, 6.0),
    ]
    assert _edges(snapshot, "used:device") == [
        ("cyd", "d1", 0, 1.0),
        ("cyd", "d2", 0, 1.0),
        ("abe", "d1", 4, 1.0),
    ]
    assert _numbers(_counts(report, "interactions")) == (3, 3, 0, 0)
    assert _numbers(_counts(report, "events")) == (2, 2, 0, 0)


def test_an_account_seen_first_as_a_counterpart_comes_in_at_its_sign_up(place: Place) -> None:
    said: list[tuple[int, Content]] = [
        (1_000, LiveEvent("gift", "ann", 1_000, interactions=(("gift", "account", "bob", 1.0),))),
        (2_000, LiveEvent("signup", "bob", 2_000, attributes={"country": "DE"})),
        (3_000, LiveEvent("signup", "ann", 3_000)),
    ]
    place.build({}, place.journal(said))
    snapshot = place.snapshot()
    places = {name: int(snapshot.first_pos[at]) for at, name in enumerate(snapshot.account_ids.to_list())}
    assert places == {"ann": 2, "bob": 1}
    bob = snapshot.account_index("bob")
    assert bob is not None
    assert snapshot.first_seen_ms[bob] == 2_000
    assert snapshot.attribute_values[bob, 0] == 0.0


def test_an_event_that_came_twice_counts_once(place: Place) -> None:
    other = LiveEvent("login", "bob", 30_000, "l1", (("device", "d2"),))
    report = place.build({}, place.journal([*SAID, (50_000, SAID[2][1]), (60_000, other)]))
    assert _numbers(_counts(report, "events")) == (4, 2, 1, 1)
    assert _counts(report, "events").reasons == {"event_id_conflict": 1}


def test_events_without_an_id_are_all_different(place: Place) -> None:
    event = LiveEvent("login", "ann", 30_000, None, (("device", "d2"),))
    report = place.build({}, place.journal([(1, event), (2, event)]))
    assert report.events == 2


def test_what_the_spec_does_not_name_is_quarantined_with_its_reason(place: Place) -> None:
    strange = LiveEvent(
        "signup",
        "ann",
        1_000,
        identifiers=(("device", "d1"), ("phone", "p"), ("page", "x")),
        interactions=(
            ("wave", "account", "bob", 1.0),
            ("gift", "planet", "x", 1.0),
            ("login", "account", "bob", 1.0),
            ("gift", "account", "bob", 1e300),
        ),
        attributes={"age": "old", "shoe": 43.0},
    )
    said: list[tuple[int, Content]] = [
        (1, strange),
        (2, LiveEvent("dance", "ann", 1_000, identifiers=(("device", "d3"),))),
        (3, LiveEvent("login", "ann", 1_000, attributes={"age": 3.0})),
        (4, LiveVerdict("nobody", 1, 4, "analyst")),
        (5, LiveCut("ann", "nobody", None)),
    ]
    report = place.build({}, place.journal(said))
    assert _counts(report, "accounts").cells == {
        "attribute_unknown": 1,
        "attribute_unreadable": 1,
        "identifier_unknown": 2,
    }
    assert _counts(report, "interactions").reasons == {
        "amount_unreadable": 1,
        "kind_unknown": 1,
        "type_unknown": 2,
    }
    assert _counts(report, "events").reasons == {"type_unknown": 1}
    assert _counts(report, "events").cells == {"attribute_elsewhere": 1}
    assert _counts(report, "verdicts").reasons == {"account_unknown": 1}
    assert _counts(report, "cuts").reasons == {"account_unknown": 1}
    for count in report.sources:
        assert count.rows == count.in_graph + count.duplicates + count.quarantined
    of_journal = {c.mapping: c.rows for c in report.sources if c.source == "journal"}
    assert sum(of_journal.values()) - of_journal["interactions"] == report.last_seq == 5
    assert set(place.snapshot().quarantine["row"]) == {1, 2, 3, 4, 5}


def test_accounts_that_must_be_listed_are_listed_by_the_journal_too(place: Place) -> None:
    spec = SPEC.replace("accounts:\n", "unknown_accounts: quarantine\naccounts:\n", 1)
    said = [*SAID, (50_000, LiveEvent("login", "eve", 50_000))]
    report = place.build({}, place.journal(said), spec=spec)
    assert report.accounts == 2
    assert _counts(report, "events").reasons == {"account_unknown": 1}


def test_verdicts_are_known_from_when_they_were_received(place: Place) -> None:
    said = [
        *SAID,
        (60_000, LiveVerdict("ann", 1, 15_000, "analyst", "bonus_abuse", "one flat")),
        (70_000, LiveVerdict("bob", 0, 70_000, "appeal")),
        (80_000, LiveVerdict("bob", None, 80_000, "analyst")),
        (85_000, LiveVerdict("ann", None, 85_000, "analyst")),
        (90_000, LiveVerdict("ann", None, 90_000, "analyst")),
    ]
    report = place.build(FILES, place.journal(said))
    snapshot = place.snapshot()
    ids = snapshot.account_ids.to_list()
    assert [(ids[account], *rest) for account, *rest in snapshot.verdicts.rows()] == [
        ("bob", 1, 50_000, None, None, None, False),
        ("ann", 1, 60_000, "one flat", "analyst", "bonus_abuse", False),
        ("bob", 0, 70_000, None, "appeal", None, False),
        ("bob", 1, 80_000, None, "analyst", None, True),  # the ban of the file stands again
        ("ann", -1, 85_000, None, "analyst", None, True),  # nothing stands; the second undoing undoes nothing
    ]
    assert snapshot.labels().tolist() == [-1, 1]
    assert _numbers(_counts(report, "verdicts")) == (5, 5, 0, 0)


def test_cuts_say_from_and_until_when_they_are_known(place: Place) -> None:
    said: list[tuple[int, Content]] = [
        *SAID[:2],  # events at positions 0 and 1
        (20_000, LiveCut("bob", "ann", 99_000)),
        *SAID[2:],  # 2 and 3
        (50_000, LiveCut("ann", "bob", None)),
        (60_000, LiveCut("ann", "bob", None, undone=True)),
        (60_000, LiveCut("ann", "ann", None)),
    ]
    report = place.build({}, place.journal(said))
    # A score of the event at 2, with horizon 2, sees the first cut; one of the event at 1 does not.
    assert place.snapshot().cuts.rows() == [(0, 1, 99_000, 1, 3), (0, 1, None, 3, 3)]
    assert _numbers(_counts(report, "cuts")) == (4, 4, 0, 0)


def test_switches_and_erased_rows_are_counted_and_say_nothing(place: Place) -> None:
    plain = place.build({}, place.journal(SAID), workspace="plain")
    said = [*SAID, (50_000, LiveSwitch("s1", None, None)), (60_000, LiveErasure("tombstone"))]
    report = place.build({}, place.journal(said))
    assert report.content_hash == plain.content_hash
    assert report.snapshot_id != plain.snapshot_id  # it holds two more rows
    assert _numbers(_counts(report, "switches")) == _numbers(_counts(report, "erasures")) == (1, 1, 0, 0)
    assert place.snapshot().last_seq == 6


@pytest.mark.parametrize(
    ("said", "told"),
    [
        pytest.param([(2, SAID[0][1]), (1, SAID[1][1])], "row 2 is older than the row before it", id="falls"),
        pytest.param("gap", "row 2 is due, got row 3", id="gap"),
    ],
)
def test_a_journal_with_a_hole_is_refused(
    place: Place, said: list[tuple[int, Content]] | str, told: str
) -> None:
    journal = place.journal(SAID if said == "gap" else said)  # type: ignore[arg-type]
    if said == "gap":
        lines = journal.path.read_text().splitlines()
        journal.path.write_text("\n".join([lines[0], *lines[2:]]))
    with pytest.raises(JournalOrderError, match=told):
        place.build({}, journal)


def test_a_grown_journal_reads_only_what_is_new(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_staging, "ROWS_PER_PART", 2)
    first = place.build(FILES, place.journal(SAID[:3]))
    assert (first.journal_read, first.journal_reused) == (2, 0)
    grown = place.build(FILES, place.journal(SAID[3:], append=True))
    assert (grown.journal_read, grown.journal_reused) == (1, 1)
    monkeypatch.setattr(journal_staging, "ROWS_PER_PART", 100)
    assert place.build(FILES, place.journal(SAID), workspace="one").content_hash == grown.content_hash
    erased = place.journal([*SAID[:2], (SAID[2][0], LiveErasure("t")), *SAID[3:]])
    monkeypatch.setattr(journal_staging, "ROWS_PER_PART", 2)
    after = place.build(EMPTY, erased)
    assert (after.journal_read, after.journal_reused) == (1, 1)
    assert after.events == 3


def test_appending_a_grown_journal_keeps_indices_and_equals_a_fresh_build(place: Place) -> None:
    first: list[tuple[int, Content]] = [
        (1_000, LiveEvent("signup", "mia", 1_000, "s8", (("device", "d8"),), attributes={"country": "IT"})),
        (2_000, LiveVerdict("mia", 1, 2_000, "rule")),
    ]
    place.build(FILES, place.journal(first), workspace="grown")
    before = place.snapshot("grown")
    more: list[tuple[int, Content]] = [
        (3_000, LiveEvent("signup", "abe", 3_000, "s9", (("device", "d0"),), attributes={"country": "AT"})),
        (4_000, LiveCut("abe", "mia", None)),
    ]
    journal = place.journal(more, append=True)
    extra = {"people_2.csv": "event,id,at,device,country,age,vip\ns3,cyd,60,d0,DE,1,no\n"}
    grown = place.build(extra, journal, workspace="grown", append=True)
    fresh = place.build(FILES | extra, journal, workspace="fresh")
    assert grown.content_hash == fresh.content_hash
    after = place.snapshot("grown")
    assert after.node_keys[: before.n_nodes] == before.node_keys.to_list()
    assert after.account_ids[: before.n_accounts] == before.account_ids.to_list()
    assert (before.last_seq, after.last_seq) == (2, 4)
    # Without the journal, what the snapshot has of it stays.
    kept = place.build(EMPTY, workspace="grown", append=True)
    assert (kept.last_seq, kept.content_hash) == (4, grown.content_hash)


def test_a_journal_that_lost_rows_is_not_appended(place: Place) -> None:
    place.build({}, place.journal(SAID))
    with pytest.raises(AppendError, match="the journal ends at row 2, the snapshot holds rows up to 4"):
        place.build(EMPTY, place.journal(SAID[:2]), append=True)


def test_a_build_that_leaves_rows_of_the_journal_out_says_so(place: Place) -> None:
    place.build(FILES, place.journal(SAID))
    told = "rows of the journal up to 0 are in; the snapshot before held 4"
    assert place.build(FILES).warnings == (told,)
    assert place.build(FILES).warnings == ()


_NAMES = st.sampled_from(["ann", "bob", "cyd"])
_EVENTS = st.lists(
    st.one_of(
        st.builds(
            lambda name, at, device, id_: ("signup", name, at, device, None, id_),
            _NAMES, st.integers(1, 5), st.sampled_from(["d1", "d2"]), st.integers(1, 4),
        ),
        st.builds(
            lambda name, at, taker, id_: ("gift", name, at, None, taker, id_),
            _NAMES, st.integers(1, 5), _NAMES, st.integers(1, 4),
        ),
    ),
    max_size=8,
)  # fmt: skip


@settings(max_examples=8, deadline=None)
@given(_EVENTS)
def test_any_events_in_files_and_journal_count_once(
    events: list[tuple[str, str, int, str | None, str | None, int]],
) -> None:
    """Of an id that comes twice within a type only the first counts, on both ways."""
    ordered = sorted(events, key=lambda event: event[2])
    unique = list({(event[0], event[5]): event for event in reversed(ordered)}.values())[::-1]
    unique.sort(key=lambda event: event[2])
    people = [f"{id_},{who},{at},{device},,," for kind, who, at, device, _, id_ in unique if kind == "signup"]
    gifts = [f"{id_},{who},{taker},{at},3" for kind, who, at, _, taker, id_ in unique if kind == "gift"]
    files = EMPTY | {
        "people.csv": "\n".join([EMPTY["people.csv"].strip(), *people]) + "\n",
        "gifts.csv": "\n".join([EMPTY["gifts.csv"].strip(), *gifts]) + "\n",
    }
    # The order in which the build reads files of one time: sign-ups, then gifts.
    told = sorted(unique, key=lambda event: (event[2], event[0] == "gift"))
    said: list[tuple[int, Content]] = [
        (
            at * 1_000,
            LiveEvent(
                kind,
                who,
                at * 1_000,
                str(id_),
                ((("device", device),) if device else ()),
                ((("gift", "account", taker, 3.0),) if taker else ()),
            ),
        )
        for kind, who, at, device, taker, id_ in told
    ]
    with memory_folder() as name:
        place = Place(Path(name))
        journal = place.journal(said)
        both = place.build(files, journal, workspace="both")
        alone = place.build(EMPTY, journal, workspace="journal")
        assert both.content_hash == alone.content_hash
        assert both.events == len(unique)
        if said:
            assert sum(count.duplicates for count in both.sources) == len(unique)
