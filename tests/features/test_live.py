"""The live graph: what was applied to a snapshot reads, bit by bit, like a snapshot built with it."""

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from itertools import count

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import features.live
from features import (
    LiveGraph,
    LiveGraphFull,
    LiveOrderError,
    Queries,
    compute,
    contact,
    known_bad_of,
    registry_of,
    reputation,
)
from features.visibility import age_place_of, older
from graph_etl import Hasher, JournalRow, LiveCut, LiveEvent, LiveSwitch, LiveVerdict, Snapshot
from graph_etl.identifiers import keys_of
from graph_etl.spec import Spec
from rings import LINK_FEATURES, link_features
from tests.building import PLATFORM_SPEC, Built, build_from_text, csv_text, platform_files

CUT = "2025-04-05"
TIME_COLUMN = {"signups.csv": 2, "logins.csv": 2, "gifts.csv": 3, "verdicts.csv": 2}


def rows_of(text: str) -> tuple[str, list[list[str]]]:
    header, *rows = csv.reader(io.StringIO(text))
    return ",".join(header), rows


def ms(at: str) -> int:
    return int(datetime.fromisoformat(at).timestamp() * 1000)


def events_after(spec: Spec, files: dict[str, str], cut: str) -> list[LiveEvent | LiveVerdict]:
    """What the files tell from a time on, as a service would have been told it."""
    hasher = Hasher.from_env(required=True)

    def keys(**raw: str) -> tuple[tuple[str, str], ...]:
        return tuple(key for kind, value in raw.items() for key in keys_of(spec, kind, value, hasher))

    found: list[tuple[str, int, LiveEvent | LiveVerdict]] = []
    order = count()
    for event_id, account, at, device, ip, email, country, form_s, newsletter in rows_of(
        files["signups.csv"]
    )[1]:
        told = {"country": country, "form_s": form_s, "newsletter": newsletter}
        identifiers = keys(device=device, ip=ip, email=email)
        event = LiveEvent("signup", account, ms(at), event_id, identifiers, attributes=told)
        found.append((at, next(order), event))
    for event_id, account, at, device, ip in rows_of(files["logins.csv"])[1]:
        event = LiveEvent("login", account, ms(at), event_id, keys(device=device, ip=ip))
        found.append((at, next(order), event))
    for event_id, sender, receiver, at, coins in rows_of(files["gifts.csv"])[1]:
        gift = (("gift", "account", receiver, float(coins)),)
        found.append((at, next(order), LiveEvent("gift", sender, ms(at), event_id, interactions=gift)))
    for account, verdict, at, reason in rows_of(files["verdicts.csv"])[1]:
        said = LiveVerdict(account, int(verdict == "bad"), ms(at), "analyst", reason=reason)
        found.append((at, next(order), said))
    return [one for at, _, one in sorted(found, key=lambda row: row[:2]) if at >= cut]


@pytest.fixture(scope="module")
def orderly_files() -> dict[str, str]:
    """The small platform without gifts from or to accounts that sign up only later."""
    files = platform_files()
    came = {row[1]: row[2] for row in rows_of(files["signups.csv"])[1]}
    header, gifts = rows_of(files["gifts.csv"])
    kept = [row for row in gifts if max(came[row[1]], came[row[2]]) < row[3]]
    return files | {"gifts.csv": csv_text(header, kept)}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, orderly_files: dict[str, str]) -> Built:
    """The platform, built with all that ever happened."""
    return build_from_text(tmp_path_factory.mktemp("whole"), PLATFORM_SPEC, orderly_files)


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory, orderly_files: dict[str, str]) -> Snapshot:
    """The platform as it was at the cut."""
    cut = {
        name: csv_text(head, [row for row in rows if row[column] < CUT])
        for name, column in TIME_COLUMN.items()
        for head, rows in (rows_of(orderly_files[name]),)
    }
    folder = tmp_path_factory.mktemp("before")
    return build_from_text(folder, PLATFORM_SPEC, orderly_files | cut, max_quarantine=1.0).snapshot


@pytest.fixture(scope="module")
def since(whole: Built, orderly_files: dict[str, str]) -> list[LiveEvent | LiveVerdict]:
    """What happened since the cut, in order."""
    found = events_after(whole.spec, orderly_files, CUT)
    assert sum(isinstance(one, LiveVerdict) for one in found) > 5
    assert len(found) > 300
    return found


def journal(contents: list[LiveEvent | LiveVerdict]) -> Iterator[JournalRow]:
    known_ms = 0
    for seq, content in enumerate(contents, 1):
        known_ms = max(known_ms, content.time_ms if isinstance(content, LiveEvent) else content.known_ms)
        yield JournalRow(seq, known_ms, content)


def differing(names: list[str], one: NDArray[np.float32], other: NDArray[np.float32]) -> list[str]:
    same = (one == other) | (np.isnan(one) & np.isnan(other))
    return [name for name, column in zip(names, same.T, strict=True) if not column.all()]


def test_all_that_was_applied_reads_like_a_snapshot_built_with_it(
    before: Snapshot, whole: Built, since: list[LiveEvent | LiveVerdict]
) -> None:
    live = LiveGraph(before)
    live.apply_all(journal(since))
    built = whole.snapshot
    assert live.n_accounts == built.n_accounts > before.n_accounts + 50
    assert live.n_nodes == built.n_nodes
    places = np.array([live.account_index(account) for account in built.account_ids])
    asked = Queries.for_accounts(built)
    as_live = replace(asked, account=places, horizon=np.full(len(places), live.horizon))
    names = registry_of(built).names
    assert registry_of(live).names == names
    assert differing(names, compute(live, as_live), compute(built, asked)) == []
    links = [spec.name for spec in LINK_FEATURES]
    assert differing(links, link_features(live, as_live), link_features(built, asked)) == []
    known = known_bad_of(built, untimed=False)
    near = contact(live, as_live, live.known_bad_timed.since, live.known_bad_timed.until)
    expected = contact(built, asked, known.since, known.until)
    np.testing.assert_array_equal(near.features, expected.features)
    assert (expected.bad_account >= 0).sum() > 5  # not vacuous
    near_by = reputation(live, as_live, live.known_bad_timed.since, live.known_bad_timed.until)
    rated = reputation(built, asked, known.since, known.until)
    np.testing.assert_array_equal(near_by.features, rated.features)
    assert (rated.features[:, 0] > 0).sum() > 5


def test_an_event_is_answered_as_a_later_build_sees_it(
    before: Snapshot, whole: Built, since: list[LiveEvent | LiveVerdict]
) -> None:
    """Sign-ups are asked about before they are applied; training sees each at its own moment."""
    live = LiveGraph(before)
    built = whole.snapshot
    names = registry_of(built).names
    asked, trained = [], []
    for row in journal(since):
        content = row.content
        if (
            isinstance(content, LiveEvent)
            and content.identifiers
            and live.account_index(content.account) is None
        ):
            asked.append(compute(live, live.question(content))[0])
            account = built.account_index(content.account)
            assert account is not None
            trained.append(compute(built, Queries.for_accounts(built, np.array([account]), "signup"))[0])
        live.apply(row)
    assert len(asked) > 50
    assert differing(names, np.array(asked), np.array(trained)) == []


def test_nothing_applied_later_changes_an_earlier_answer(
    before: Snapshot, since: list[LiveEvent | LiveVerdict]
) -> None:
    live = LiveGraph(before)
    middle = len(since) // 2
    rows = list(journal(since))
    live.apply_all(rows[:middle])
    accounts = np.arange(live.n_accounts)
    queries = Queries.for_accounts(before, np.zeros(len(accounts), np.int64))
    queries = replace(
        queries,
        account=accounts,
        horizon=np.full(len(accounts), live.horizon),
        first_seen_ms=np.array([live.first_seen_ms(int(account)) for account in accounts]),
        attributes=np.array([live.attribute_values(int(account)) for account in accounts]),
    )
    then = np.hstack([compute(live, queries), link_features(live, queries)])
    live.apply_all(rows[middle:])
    now = np.hstack([compute(live, queries), link_features(live, queries)])
    np.testing.assert_array_equal(then, now)


def test_arrays_grow_without_a_change_to_what_they_say(
    before: Snapshot, since: list[LiveEvent | LiveVerdict], monkeypatch: pytest.MonkeyPatch
) -> None:
    roomy = LiveGraph(before)
    for name in ("_FIRST_NODES", "_FIRST_POSITIONS", "_FIRST_LISTS", "_FIRST_ENTRIES"):
        monkeypatch.setattr(features.live, name, 8)
    tight = LiveGraph(before)
    for live in (roomy, tight):
        live.apply_all(journal(since))
    queries = replace(
        Queries.for_accounts(before), horizon=np.full(before.n_accounts, roomy.horizon, np.int64)
    )
    np.testing.assert_array_equal(compute(tight, queries), compute(roomy, queries))
    assert tight.n_nodes == roomy.n_nodes > before.n_nodes + 8


accounts = st.sampled_from(["a", "b", "c", "d", "h000"])
things = st.tuples(st.sampled_from(["device", "email"]), st.sampled_from(["x", "y", "z"]))
happened = st.builds(
    LiveEvent,
    event_type=st.sampled_from(["login", "signup", "unheard_of"]),
    account=accounts,
    time_ms=st.integers(1_743_000_000_000, 1_744_000_000_000),
    identifiers=st.lists(things, max_size=4, unique=True).map(tuple),
    interactions=st.lists(
        st.tuples(st.just("gift"), st.just("account"), accounts, st.floats(0, 9, width=32)), max_size=3
    ).map(tuple),
)


@settings(max_examples=60)
@given(events=st.lists(happened, max_size=40))
def test_lists_hold_what_happened(before: Snapshot, events: list[LiveEvent]) -> None:
    """Against the plainest count of who used what and who dealt with whom, itself included."""
    live = LiveGraph(before)
    live.apply_all(journal(list(events)))
    used: dict[tuple[str, str], list[str]] = {}
    dealt: dict[str, set[str]] = {}
    for event in events:
        for thing in event.identifiers if event.event_type != "unheard_of" else ():
            users = used.setdefault(thing, [])
            if event.account not in users:
                users.append(event.account)
        for _, _, other, _ in event.interactions:
            dealt.setdefault(event.account, set()).add(other)
            dealt.setdefault(other, set()).add(event.account)
    for (kind, key), users in used.items():
        node = live.node_index(kind, key)
        assert node is not None
        assert [live.account_id(int(account)) for account in live.used_by(node)] == users[::-1]
        assert live.n_users(node) == live.n_used_by(node) == len(users)
    for account, others in dealt.items():
        index = live.account_index(account)
        assert index is not None
        touched = live.touched(index, 10_000)
        assert len(touched) == len(set(touched))
        met = {live.node_key(node) for node in touched if live.node_account(node) >= 0}
        assert others == met if account != "h000" else others <= met


def test_verdicts_count_at_once_and_an_undo_goes_back_by_one(before: Snapshot) -> None:
    live = LiveGraph(before)
    judged = set(before.verdicts["account"].to_list())
    index = next(one for one in range(before.n_accounts) if one not in judged)
    account = before.account_ids[index]

    def say(label: int | None) -> bool:
        live.apply(JournalRow(live.last_seq + 1, 0, LiveVerdict(account, label, 0, "analyst")))
        return live.is_known_bad(index)

    assert [say(label) for label in (1, 0, 1, None, None, None, None)] == [
        True, False, True, False, True, False, False,
    ]  # fmt: skip
    assert [verdict.label for verdict in live.live_verdicts(index)] == [1, 0, 1, None, None, None, None]


def test_not_linked_cuts_a_link_until_it_ends(before: Snapshot) -> None:
    live = LiveGraph(before)
    seq = count(1)
    at = int(before.event_known_ms[-1]) + 1000
    shared = (("device", "only-these-two"),)

    def apply(content: LiveEvent | LiveVerdict | LiveCut | LiveSwitch) -> None:
        live.apply(JournalRow(next(seq), 0, content))

    def linked(time_ms: int) -> float:
        queries = live.question(LiveEvent("login", "one", time_ms))
        names = [spec.name for spec in LINK_FEATURES]
        return float(link_features(live, queries)[0, names.index("link.shared_count")])

    def worst_reputation(time_ms: int) -> float:
        known = live.known_bad_timed
        queries = live.question(LiveEvent("login", "one", time_ms))
        return float(reputation(live, queries, known.since, known.until).features[0, 0])

    for account in ("one", "two"):
        apply(LiveEvent("signup", account, at, identifiers=shared))
    apply(LiveVerdict("two", 1, at, "analyst"))
    assert linked(at) > 0
    assert worst_reputation(at) == pytest.approx(1 / (1 + 2))
    apply(LiveCut("two", "one", until_ms=at + 5000))
    assert linked(at) == 0
    assert worst_reputation(at) == 0.0
    assert linked(at + 5000) > 0  # it has ended
    assert worst_reputation(at + 5000) > 0.0
    assert list(live.cuts.values()) == [at + 5000]
    apply(LiveCut("one", "two", None, undone=True))
    assert linked(at) > 0
    assert live.cuts == {}


@pytest.mark.parametrize("seq", [0, 2])
def test_rows_come_in_order(before: Snapshot, seq: int) -> None:
    live = LiveGraph(before)
    with pytest.raises(LiveOrderError, match=rf"row 1 .* got row {seq}"):
        live.apply(JournalRow(seq, 0, LiveSwitch("s", None, None)))
    assert live.last_seq == 0


def test_no_more_events_than_it_may_hold(before: Snapshot) -> None:
    live = LiveGraph(before, max_events=2)
    live.apply_all(journal([LiveEvent("login", "a", 0), LiveEvent("login", "b", 0)]))
    with pytest.raises(LiveGraphFull, match="2 events"):
        live.apply(JournalRow(3, 0, LiveEvent("login", "c", 0)))


@pytest.fixture
def time_of(before: Snapshot) -> Callable[[int], int]:
    end_ms = int(before.event_known_ms[-1])
    return lambda after_s: end_ms + 1000 * after_s


def test_late_and_early_events_find_their_place_in_the_order_of_appearance(
    before: Snapshot, time_of: Callable[[int], int]
) -> None:
    live = LiveGraph(before)
    times = {"late": 50, "early": -20 * 86_400, "middle": 20, "same": 20}
    for seq, (account, after_s) in enumerate(times.items(), 1):
        live.apply(JournalRow(seq, 0, LiveEvent("signup", account, time_of(after_s))))
    graph = live.opened.graph
    found = live.account_index("late")
    assert found is not None
    place = age_place_of(graph, found, live.first_seen_ms(found))
    ordered = [found]
    while found >= 0:
        found, *place = older(graph, *place)
        ordered.append(found)
    appeared = [(live.first_seen_ms(account), account) for account in range(live.n_accounts)]
    assert [live.first_seen_ms(account) for account in ordered[-2::-1]] == sorted(at for at, _ in appeared)
    names = [live.account_id(account) for account in ordered[:-1]]
    assert [name for name in names if name in times] == ["late", "same", "middle", "early"]
    assert names.index("early") > 10  # between accounts of the snapshot
