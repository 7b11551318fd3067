"""A node gets a folder once, whole, or not at all."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ray_jobs.errors import PlaceError
from ray_jobs.places import CACHE_VARIABLE, LISTING, Place, fetched, place_of, published


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "snapshot-1"
    (folder / "relations" / "0").mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps({"id": "snapshot-1"}))
    (folder / "relations" / "0" / "nbr.npy").write_bytes(bytes(range(256)) * 64)
    return folder


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "node"))
    return tmp_path / "node"


def copies(cache: Path) -> list[Path]:
    return [path for path in cache.iterdir() if path.is_dir()]


def same(one: Path, other: Path) -> bool:
    names = {path.relative_to(one) for path in one.rglob("*") if path.is_file() and path.name != LISTING}
    there = {path.relative_to(other) for path in other.rglob("*") if path.is_file() and path.name != LISTING}
    return names == there and all((one / name).read_bytes() == (other / name).read_bytes() for name in names)


def test_a_path_that_is_there_is_used_as_it_is(folder: Path, cache: Path) -> None:
    assert fetched(place_of(folder)) == folder.resolve()
    assert not cache.exists()


def test_a_store_is_read_once_for_many_processes(folder: Path, cache: Path, tmp_path: Path) -> None:
    place = published(folder, (tmp_path / "store").as_uri())
    assert place.content_hash == place_of(folder).content_hash
    with ThreadPoolExecutor(8) as threads:
        found = set(threads.map(fetched, [place] * 8))
    assert found == set(copies(cache))
    assert len(found) == 1
    assert same(found.pop(), folder)
    # What is there needs no store any more.
    (tmp_path / "store").rename(tmp_path / "away")
    assert same(fetched(place), folder)


def test_a_half_copy_in_the_store_is_refused(folder: Path, cache: Path, tmp_path: Path) -> None:
    place = published(folder, (tmp_path / "store").as_uri())
    (tmp_path / "store" / "snapshot-1" / LISTING).unlink()
    with pytest.raises(PlaceError, match=r"files\.json"):
        fetched(place)
    assert copies(cache) == []


def test_a_flipped_bit_on_the_way_is_refused(folder: Path, cache: Path, tmp_path: Path) -> None:
    place = published(folder, (tmp_path / "store").as_uri())
    damaged = tmp_path / "store" / "snapshot-1" / "relations" / "0" / "nbr.npy"
    content = bytearray(damaged.read_bytes())
    content[77] ^= 1
    damaged.write_bytes(content)
    with pytest.raises(PlaceError, match="is not what was published"):
        fetched(place)
    assert copies(cache) == []


def test_a_copy_that_was_changed_is_fetched_again(folder: Path, cache: Path, tmp_path: Path) -> None:
    place = published(folder, (tmp_path / "store").as_uri())
    copy = fetched(place)
    (copy / "relations" / "0" / "nbr.npy").write_bytes(b"half")
    (cache / f".{copy.name}.1.partial").mkdir()  # left by a process that was killed
    assert same(fetched(place), folder)
    assert copies(cache) == [copy]


def test_another_snapshot_at_the_address_is_refused(folder: Path, cache: Path, tmp_path: Path) -> None:
    place = published(folder, (tmp_path / "store").as_uri())
    other = Place(place.url, "0" * 64)
    with pytest.raises(PlaceError, match="another snapshot"):
        fetched(other)
    with pytest.raises(PlaceError, match="another snapshot"):
        fetched(Place(str(folder), "0" * 64))


def test_a_node_without_the_folder_says_what_to_do(folder: Path, cache: Path, tmp_path: Path) -> None:
    place = place_of(folder)
    folder.rename(tmp_path / "elsewhere")
    with pytest.raises(PlaceError, match="--store URL"):
        fetched(place)


def test_an_address_of_an_unknown_kind_names_what_is_missing(folder: Path) -> None:
    with pytest.raises(PlaceError, match="fsspec"):
        published(folder, "nosuchstore://bucket")
