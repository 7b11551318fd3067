"""The build on tables small enough to work out by hand, and row accounting on drawn ones."""

from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graph_etl import NO_TIME, HashKeyError, RingwatchError, Snapshot, build, entity_key
from graph_etl.identifiers import HASH_KEY_VARIABLE, Hasher
from tests.building import Built, build_from_text, csv_text, memory_folder

# Times are seconds: known_at decides the order, time places the event.
SHOP_SPEC = """
ringwatch: 1
name: shop
sources:
  people: {path: people.csv}
  orders: {path: orders.csv}
  bans: {path: bans.csv}
kinds:
  device: {identifier: true}
  seller: {identifier: false, public: true}
accounts:
  - source: people
    id: id
    time: joined
    identifiers: {device: [phone, laptop]}
    attributes: {age: number, country: category, premium: flag}
events:
  - source: orders
    type: order
    from: {account: buyer}
    to: {account: seller, otherwise: seller}
    time: at
    known_at: seen
    amount: price
verdicts:
  - {source: bans, account: id, label: word, bad: [ban], good: [fine], delay: 1h}
"""
SHOP_FILES = {
    "people.csv": csv_text(
        "id,joined,phone,laptop,age,country,premium",
        [
            ("ann", 100, "P1", "L1", 30, "DE", "yes"),
            ("bob", 200, "p1 ", None, None, "FR", "no"),
            ("cyd", 300, "P3", "P3", "x", "DE", None),
        ],
    ),
    "orders.csv": csv_text(
        "buyer,seller,at,seen,price",
        [
            ("ann", "shop7", 150, 400, 5),
            ("bob", "ann", 250, 250, 2.5),
            ("bob", "ann", 260, None, 1),
            ("dan", "shop7", 120, 120, None),
        ],
    ),
    "bans.csv": csv_text("id,word", [("bob", "ban"), ("ann", "fine"), ("ann", "?"), ("dan", "ban")]),
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build_from_text(tmp_path_factory.mktemp("shop"), SHOP_SPEC, SHOP_FILES)


@pytest.fixture(scope="module")
def snapshot(shop: Built) -> Snapshot:
    return shop.snapshot


def _ids(snapshot: Snapshot, nodes: np.ndarray) -> list[str]:
    return snapshot.node_keys[nodes]


def test_rows_stand_in_the_order_in_which_they_became_known(snapshot: Snapshot) -> None:
    # ann 100, dan's order 120, bob 200, orders 250 and 260, cyd 300, ann's order known at 400.
    assert snapshot.event_known_ms.tolist() == [
        100_000,
        120_000,
        200_000,
        250_000,
        260_000,
        300_000,
        400_000,
    ]
    assert snapshot.event_time_ms[-1] == 150_000
    types = [snapshot.event_types[at] for at in snapshot.event_type]
    assert types == ["signup", "order", "signup", "order", "order", "signup", "order"]


def test_nodes_are_sorted_by_kind_and_key_and_accounts_come_first(snapshot: Snapshot) -> None:
    assert snapshot.account_ids.to_list() == ["ann", "bob", "cyd", "dan"]
    assert [kind.name for kind in snapshot.kinds] == ["account", "device", "seller"]
    assert snapshot.node_kind.tolist() == [0, 0, 0, 0, 1, 1, 1, 2]
    assert snapshot.node_index("seller", "shop7") == 7


def test_an_end_is_an_account_if_one_is_listed_else_an_entity(snapshot: Snapshot) -> None:
    order = snapshot.relation("order")
    ann, bob, dan = (snapshot.account_index(name) for name in ("ann", "bob", "dan"))
    assert ann is not None
    assert bob is not None
    assert dan is not None
    assert _ids(snapshot, order.out.nbr[order.out.of(bob)]) == ["ann", "ann"]
    assert order.out.value[order.out.of(bob)].tolist() == [2.5, 1.0]
    assert order.pair_out.value[order.pair_out.of(bob)].tolist() == [3.5]
    assert order.into.nbr[order.into.of(7)].tolist() == [dan, ann]
    assert order.into.value[order.into.of(7)].tolist() == [0.0, 5.0]  # a blank amount moved nothing


def test_one_device_in_two_spellings_is_one_and_counts_once_a_row(shop: Built, snapshot: Snapshot) -> None:
    used = snapshot.relation("used:device")
    device = snapshot.node_index("device", entity_key(shop.spec, "device", "P1", Hasher.from_env()))
    assert device is not None
    assert _ids(snapshot, used.into.nbr[used.into.of(device)]) == ["ann", "bob"]
    cyd = snapshot.account_index("cyd")
    assert cyd is not None
    assert len(used.out.nbr[used.out.of(cyd)]) == 1
    assert used.edges == 4


def test_accounts_know_when_they_came(snapshot: Snapshot) -> None:
    assert snapshot.first_seen_ms.tolist() == [100_000, 200_000, 300_000, 120_000]
    assert snapshot.last_seen_ms.tolist() == [260_000, 260_000, 300_000, 120_000]
    assert snapshot.first_pos.tolist() == [0, 2, 5, 1]


def test_attributes_are_numbers_and_an_unreadable_one_is_noted(shop: Built, snapshot: Snapshot) -> None:
    assert [attribute.name for attribute in snapshot.attributes] == ["age", "country", "premium"]
    assert snapshot.attributes[1].categories == ("DE", "FR")
    values = np.nan_to_num(snapshot.attribute_values, nan=-9)
    assert values.tolist() == [[30, 0, 1], [-9, 1, 0], [-9, 0, -9], [-9, -9, -9]]
    assert shop.report.sources[0].cells == {"attribute_unreadable": 1}
    assert shop.report.sources[0].quarantined == 0


def test_a_delayed_verdict_is_known_an_hour_after_the_account_came(snapshot: Snapshot) -> None:
    rows = snapshot.verdicts.select("account", "label", "known_ms").rows()
    assert rows == [(0, 0, 3_700_000), (3, 1, 3_720_000), (1, 1, 3_800_000)]
    assert snapshot.labels().tolist() == [0, 1, -1, 1]


def test_the_report_adds_up_and_can_be_shown(shop: Built) -> None:
    assert [(count.mapping, count.rows, count.in_graph) for count in shop.report.sources] == [
        ("accounts[0]", 3, 3),
        ("events[0]", 4, 4),
        ("verdicts[0]", 4, 4),  # a word that means nothing is no fault
    ]
    assert shop.report.entities == {"device": 3, "seller": 1}
    assert shop.report.edges == {"used:device": 4, "order": 4}
    assert [table.title for table in shop.report.tables()] == ["Rows", "Quarantine", "Graph"]
    assert shop.report.to_dict()["totals"] == {"rows": 11, "in_graph": 11, "duplicates": 0, "quarantined": 0}


def test_the_same_files_give_the_same_snapshot(shop: Built, tmp_path: Path) -> None:
    again = build_from_text(tmp_path, SHOP_SPEC, SHOP_FILES)
    assert again.report.content_hash == shop.report.content_hash
    assert again.report.snapshot_id == shop.report.snapshot_id
    for path in sorted(shop.report.path.rglob("*.npy")):
        other = again.report.path / path.relative_to(shop.report.path)
        assert path.read_bytes() == other.read_bytes()


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        pytest.param("orders.csv", ",2.5", ",2.6", id="amount"),
        pytest.param("people.csv", "P3,P3", "P3,P4", id="identifier"),
        pytest.param("people.csv", "FR", "US", id="category"),
        pytest.param("orders.csv", "150,400", "150,401", id="known"),
        pytest.param("bans.csv", "bob,ban", "bob,fine", id="verdict"),
    ],
)
def test_other_content_has_another_hash(shop: Built, tmp_path: Path, file: str, old: str, new: str) -> None:
    assert old in SHOP_FILES[file]
    changed = build_from_text(tmp_path, SHOP_SPEC, SHOP_FILES | {file: SHOP_FILES[file].replace(old, new)})
    assert changed.report.content_hash != shop.report.content_hash


def test_the_snapshot_remembers_its_spec(shop: Built, snapshot: Snapshot) -> None:
    assert snapshot.spec.spec_hash == shop.spec.spec_hash
    assert snapshot.manifest["spec_hash"] == shop.spec.spec_hash


def test_private_kinds_need_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(HASH_KEY_VARIABLE)
    with pytest.raises(HashKeyError, match="RINGWATCH_HASH_KEY is not set"):
        build_from_text(tmp_path, SHOP_SPEC, SHOP_FILES)


def test_an_undirected_edge_is_one_edge_seen_from_both_ends(tmp_path: Path) -> None:
    spec = """
    ringwatch: 1
    name: met
    sources: {met: {path: met.csv}}
    events: [{source: met, type: met, from: {account: a}, to: {account: b}, directed: false}]
    """
    snapshot = build_from_text(tmp_path, spec, {"met.csv": "a,b\nx,y\ny,z\n"}).snapshot
    met = snapshot.relation("met")
    assert met.edges == 2
    assert _ids(snapshot, met.out.nbr[met.out.of(1)]) == ["x", "z"]
    assert snapshot.first_seen_ms.tolist() == [NO_TIME] * 3


def test_secret_account_ids_are_stored_as_keys(tmp_path: Path) -> None:
    spec = SHOP_SPEC + "account_ids: {secret: true}\n"
    built = build_from_text(tmp_path, spec, SHOP_FILES)
    assert built.snapshot.account_index("ann") is None
    key = entity_key(built.spec, "account", "ann", Hasher.from_env())
    assert built.snapshot.account_index(key) is not None
    order = built.snapshot.relation("order")
    ann = built.snapshot.account_index(key)
    assert ann is not None
    assert len(order.into.nbr[order.into.of(ann)]) == 2


def test_free_text_cannot_be_the_type(tmp_path: Path) -> None:
    spec = """
    ringwatch: 1
    name: talk
    sources: {talk: {path: talk.csv}}
    events: [{source: talk, type: {columns: [text]}, from: {account: a}, to: {account: b}}]
    """
    rows = csv_text("a,b,text", [("ann", "bob", f"hello {at}") for at in range(300)])
    with pytest.raises(RingwatchError, match=r"events\[0\]: text give 300 types of events, more than 256"):
        build_from_text(tmp_path, spec, {"talk.csv": rows})


def test_headers_without_rows_build_an_empty_snapshot(tmp_path: Path) -> None:
    files = {name: text.split("\n")[0] + "\n" for name, text in SHOP_FILES.items()}
    built = build_from_text(tmp_path, SHOP_SPEC, files)
    assert built.report.accounts == 0
    assert built.snapshot.end_horizon == 0
    assert built.snapshot.relation("order").out.indptr.tolist() == [0]


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    build_from_text(
        tmp_path, SHOP_SPEC, SHOP_FILES, progress=lambda step, done, total: told.append((step, done, total))
    )
    assert told[0] == ("reading people.csv", 0, 3)
    assert told[-1] == ("writing the snapshot", 2, 2)


USES_SPEC = """
ringwatch: 1
name: uses
sources: {uses: {path: "uses*.csv"}}
kinds: {ip: {normalise: ip, derive: [subnet]}}
events:
  - {source: uses, type: login, from: {account: who}, time: at, event_id: id, identifiers: {ip: ip}}
"""
_ROW = st.tuples(
    st.sampled_from(["e1", "e2", "e3", "e4", None, None]),
    st.sampled_from(["ann", "bob", "cyd", None]),
    st.sampled_from(["10", "20", "30", None, "soon"]),
    st.sampled_from(["10.0.0.1", "10.0.1.2", None, "10.0.0.999"]),
)
_FILES = st.lists(st.lists(_ROW, max_size=12), min_size=1, max_size=3)
_Row = tuple[str | None, str | None, str | None, str | None]


def _expected(files: list[list[_Row]]) -> Counter[str]:
    """Where each row goes, the slow way."""
    found: Counter[str] = Counter()
    readable = []
    for number, rows in enumerate(files):
        seen: Counter[_Row] = Counter()
        for row, (event, who, at, ip) in enumerate(rows):
            if who is None:
                found["account_missing"] += 1
            elif at is None:
                found["time_missing"] += 1
            elif at == "soon":
                found["time_unreadable"] += 1
            else:
                if ip == "10.0.0.999":
                    found["cells"] += 1
                content = (None, who, at, None if ip == "10.0.0.999" else ip)
                identity = event or (content, seen[content])
                seen[content] += 1
                readable.append((int(at), number, row, identity, content))
    kept: dict[object, object] = {}
    for _, _, _, identity, content in sorted(readable, key=lambda found: found[:3]):
        if identity not in kept:
            kept[identity] = content
        elif kept[identity] == content:
            found["duplicates"] += 1
        else:
            found["event_id_conflict"] += 1
    found["in_graph"] = len(kept)
    return found


@settings(max_examples=30, deadline=None)
@given(_FILES)
def test_every_row_ends_in_the_graph_or_in_quarantine(files: list[list[_Row]]) -> None:
    texts = {f"uses{at}.csv": csv_text("id,who,at,ip", rows) for at, rows in enumerate(files)}
    expected = _expected(files)
    with memory_folder() as folder:
        built = build_from_text(Path(folder), USES_SPEC, texts, max_quarantine=1.0)
        (count,) = built.report.sources
        assert count.rows == sum(map(len, files))
        assert count.rows == count.in_graph + count.duplicates + count.quarantined
        found = Counter(count.reasons) + Counter(cells=count.cells.get("identifier_unreadable", 0))
        found += Counter(in_graph=count.in_graph, duplicates=count.duplicates)
        assert found == +expected
        assert built.snapshot.n_events == count.in_graph
        quarantine = built.snapshot.quarantine
        assert len(quarantine.filter(pl.col("scope") == "row")) == count.quarantined
        assert set(quarantine["file"]) <= set(texts)


@settings(max_examples=10, deadline=None)
@given(_FILES)
def test_loading_twice_equals_loading_once(files: list[list[_Row]]) -> None:
    once = {f"uses{at}.csv": csv_text("id,who,at,ip", rows) for at, rows in enumerate(files)}
    twice = once | {f"uses{at}_copy.csv": once[f"uses{at}.csv"] for at in range(len(files))}
    with memory_folder() as folder:
        first = build_from_text(Path(folder, "once"), USES_SPEC, once, max_quarantine=1.0)
        again = build_from_text(Path(folder, "twice"), USES_SPEC, twice, max_quarantine=1.0)
    assert again.report.content_hash == first.report.content_hash
    assert again.report.sources[0].rows == 2 * first.report.sources[0].rows
    assert again.report.sources[0].in_graph == first.report.sources[0].in_graph


def test_a_build_of_an_unknown_folder_says_where(shop: Built, tmp_path: Path) -> None:
    with pytest.raises(RingwatchError, match="no such folder"):
        build(shop.spec, shop.workspace, data_dir=tmp_path / "nowhere")
