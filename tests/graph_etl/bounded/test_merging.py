"""What is merged in bounded tasks is what `build` writes: every file, byte for byte."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from graph_etl import BuildReport, Spec, TooManyQuarantined, Workspace, build
from graph_etl.bounded import Bounds, merge_bounded
from graph_etl.bounded.run import one_after_the_other
from tests.building import (
    PLATFORM_SPEC,
    TRANSFERS_SPEC,
    csv_text,
    memory_folder,
    platform_files,
    transfer_files,
    write_data,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from graph_etl.bounded.run import Step


def both(folder: Path, spec: Spec, rows: int, **options: Any) -> tuple[BuildReport, BuildReport]:
    plain = build(spec, Workspace(folder / "plain"), **options)
    merge = partial(merge_bounded, bounds=Bounds(rows))
    return plain, build(spec, Workspace(folder / "bounded"), merge=merge, **options)


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def assert_same(plain: BuildReport, bounded: BuildReport) -> None:
    expected, found = files_of(plain.path), files_of(bounded.path)
    assert expected.keys() == found.keys()
    assert [name for name in sorted(expected) if expected[name] != found[name]] == []
    ours, theirs = asdict(plain), asdict(bounded)
    assert {name for name in ours if ours[name] != theirs[name]} <= {"path", "seconds"}


def in_parts(files: Mapping[str, str | bytes], name: str, n_parts: int) -> dict[str, str | bytes]:
    """One of the files cut into parts of consecutive rows, a header each."""
    header, *lines = str(files[name]).splitlines()
    cut = -(-len(lines) // n_parts)
    stem = name.removesuffix(".csv")
    parts = {
        f"{stem}-{at:02d}.csv": "\n".join([header, *lines[at * cut : (at + 1) * cut]]) + "\n"
        for at in range(n_parts)
    }
    return {key: value for key, value in files.items() if key != name} | parts


@pytest.mark.parametrize("rows", [300, 1 << 20], ids=["many-tasks", "one-task"])
def test_a_platform_in_parts_is_the_same_to_the_byte(tmp_path: Path, hash_key: str, rows: int) -> None:
    text = PLATFORM_SPEC.replace("path: logins.csv", "path: logins-*.csv")
    spec = write_data(tmp_path / "data", text, in_parts(platform_files(), "logins.csv", 7))
    plain, bounded = both(tmp_path, spec, rows)
    assert bounded.events > 1_000
    assert_same(plain, bounded)
    assert not (tmp_path / "bounded" / "merging").exists()


@pytest.mark.parametrize("rows", [50, 1 << 20])
def test_tables_without_times_are_the_same_to_the_byte(tmp_path: Path, rows: int) -> None:
    assert_same(
        *both(tmp_path, write_data(tmp_path / "data", TRANSFERS_SPEC, transfer_files()), rows, seed=3)
    )


SHOP = """
ringwatch: 1
name: shop
unknown_accounts: {unknown}
sources:
  people: {{path: people-*.csv}}
  orders: {{path: orders-*.csv}}
  links: {{path: links.csv}}
  bans: {{path: bans.csv}}
kinds:
  device: {{identifier: true, public: true}}
  seller: {{identifier: false, public: true}}
accounts:
  - source: people
    id: id
    time: joined
    event_id: event
    identifiers: {{device: [phone, laptop]}}
    attributes: {{age: number, country: category, premium: flag}}
events:
  - source: orders
    type: {{columns: [kind]}}
    from: {{account: buyer}}
    to: {{account: seller, otherwise: seller}}
    time: at
    event_id: event
    amount: price
  - source: links
    type: knows
    directed: false
    from: {{account: one}}
    to: {{account: other}}
verdicts:
  - {{source: bans, account: id, label: word, bad: [ban], good: [fine], delay: 1h}}
"""

PEOPLE = st.sampled_from(["ann", "bob", "cyd", "dan", "eve", "fay"])
SMALL = st.one_of(st.none(), st.integers(0, 3))


def rows_of(*columns: st.SearchStrategy[Any]) -> st.SearchStrategy[list[tuple[Any, ...]]]:
    return st.lists(st.tuples(*columns), max_size=12)


@settings(max_examples=12, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    people=st.lists(
        rows_of(
            PEOPLE, st.integers(0, 5), SMALL, SMALL, SMALL, st.sampled_from(["x", "7", None, "8"]),
            st.sampled_from(["DE", "FR", None]), st.sampled_from(["yes", "no", None]),
        ),
        min_size=1,
        max_size=3,
    ),
    orders=st.lists(
        rows_of(
            PEOPLE, st.sampled_from(["ann", "bob", "shop1", "shop2"]), st.integers(0, 5), SMALL,
            st.sampled_from(["1", "2.5", "no"]), st.sampled_from(["order", "refund"]),
        ),
        min_size=1,
        max_size=3,
    ),
    links=rows_of(PEOPLE, PEOPLE),
    bans=rows_of(PEOPLE, st.sampled_from(["ban", "fine", "?"])),
    unknown=st.sampled_from(["add", "quarantine"]),
    rows=st.integers(2, 40),
)  # fmt: skip
def test_rows_that_repeat_contradict_and_miss_are_the_same_to_the_byte(
    people: Sequence[Sequence[tuple[Any, ...]]],
    orders: Sequence[Sequence[tuple[Any, ...]]],
    links: Sequence[tuple[Any, ...]],
    bans: Sequence[tuple[Any, ...]],
    unknown: str,
    rows: int,
) -> None:
    files = {
        f"people-{at}.csv": csv_text("id,joined,event,phone,laptop,age,country,premium", part)
        for at, part in enumerate(people)
    }
    files |= {
        f"orders-{at}.csv": csv_text("buyer,seller,at,event,price,kind", part)
        for at, part in enumerate(orders)
    }
    files |= {"links.csv": csv_text("one,other", links), "bans.csv": csv_text("id,word", bans)}
    with memory_folder() as name:
        folder = Path(name)
        spec = write_data(folder / "data", SHOP.format(unknown=unknown), files)
        assert_same(*both(folder, spec, rows, max_quarantine=1.0))


def test_too_many_rows_in_quarantine_stop_it_as_they_stop_a_build(tmp_path: Path) -> None:
    files = {
        "people-0.csv": csv_text(
            "id,joined,event,phone,laptop,age,country,premium", [(None, 1, 1, 1, 1, 1, 1, 1)]
        ),
        "orders-0.csv": csv_text("buyer,seller,at,event,price,kind", [("ann", "bob", 1, 1, 1, "order")]),
        "links.csv": csv_text("one,other", [("ann", "bob")]),
        "bans.csv": csv_text("id,word", []),
    }
    spec = write_data(tmp_path / "data", SHOP.format(unknown="add"), files)
    with pytest.raises(TooManyQuarantined):
        build(spec, Workspace(tmp_path / "workspace"), merge=merge_bounded)


class _KilledError(Exception):
    """Stands for the death of the driver."""


@pytest.mark.parametrize("at", [0, 25, 100])
def test_a_merge_that_was_cut_short_goes_on_where_it_was(tmp_path: Path, hash_key: str, at: int) -> None:
    spec = write_data(tmp_path / "data", PLATFORM_SPEC, platform_files())
    done: list[tuple[str, int]] = []

    def dying(step: Step, calls: list[tuple[str, int]]) -> Iterable[tuple[int, dict[str, Any]]]:
        for one in one_after_the_other(step, calls):
            if len(done) == at:
                raise _KilledError
            done.append((step.__name__, calls[one[0]][1]))
            yield one

    bounds = Bounds(100)
    workspace = Workspace(tmp_path / "bounded")
    with pytest.raises(_KilledError):
        build(spec, workspace, merge=partial(merge_bounded, runner=dying, bounds=bounds))
    assert len(done) == at
    before = set(done)
    again: list[tuple[str, int]] = []

    def counting(step: Step, calls: list[tuple[str, int]]) -> Iterable[tuple[int, dict[str, Any]]]:
        again.extend((step.__name__, number) for _, number in calls)
        return one_after_the_other(step, calls)

    bounded = build(spec, workspace, merge=partial(merge_bounded, runner=counting, bounds=bounds))
    # The generator dies after it handed one on and before that was written down: that one is done again.
    assert len(before & set(again)) <= 1
    assert len(before | set(again)) == len(set(again)) + len(before) - len(before & set(again))
    assert files_of(build(spec, Workspace(tmp_path / "plain")).path) == files_of(bounded.path)
