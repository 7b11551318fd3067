"""Where a snapshot or a bundle lies, and how a node that has none gets it: once, whole, checked."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import socket
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from graph_etl import Snapshot
from graph_etl.workspace import sync_folder
from ray_jobs.errors import PlaceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CACHE_VARIABLE: Final = "RINGWATCH_NODE_CACHE"
"""Names the folder of a node's copies; one for each user in the system's temporary folder if unset."""

MANIFEST: Final = "manifest.json"
LISTING: Final = "files.json"
"""Lists each file of a published folder with its size and SHA-256. Written last; without it none is whole."""

_CHUNK: Final = 8 << 20
_TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class Place:
    """A folder that was written once: a snapshot, a bundle or a ring run.

    Attributes:
        url: A path of the file system, or an address that fsspec understands (``s3://…``, ``gs://…``).
        content_hash: SHA-256 of its ``manifest.json``, 64 hexadecimal digits.
    """

    url: str
    content_hash: str


def place_of(folder: str | Path) -> Place:
    """The place of a folder, here or in a store.

    Args:
        folder: A path or an address, with a ``manifest.json``.

    Returns:
        The place; a path is made absolute.

    Raises:
        PlaceError: If there is no manifest.
    """
    url = str(folder)
    if "://" not in url:
        url = str(Path(url).resolve())
    return Place(url, hashlib.sha256(_read(url, MANIFEST)).hexdigest())


def published(folder: Path, store: str) -> Place:
    """Copy a folder into a store, unless it is there already.

    Args:
        folder: A snapshot, bundle or ring run; its name becomes that of the copy.
        store: Address of the store's folder.

    Returns:
        Where the copy is.

    Raises:
        PlaceError: If the folder has no manifest or the store cannot be written.
    """
    here = place_of(folder)
    url = f"{store.rstrip('/')}/{folder.name}"
    system, root = store_of(url)
    files = {
        path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()
    }
    files.pop(LISTING, None)
    try:
        if _listing(system, root).get("manifest") == here.content_hash:
            return Place(url, here.content_hash)
    except (OSError, ValueError):
        pass
    listed: dict[str, Any] = {}
    try:
        for name, path in files.items():
            system.makedirs(f"{root}/{name}".rpartition("/")[0], exist_ok=True)
            digest = hashlib.sha256()
            with path.open("rb") as source, system.open(f"{root}/{name}", "wb") as target:
                while chunk := source.read(_CHUNK):
                    digest.update(chunk)
                    target.write(chunk)
            listed[name] = {"bytes": path.stat().st_size, "sha256": digest.hexdigest()}
        text = json.dumps({"manifest": here.content_hash, "files": listed}, indent=1, sort_keys=True)
        system.pipe_file(f"{root}/{LISTING}", text.encode())
    except OSError as error:
        message = f"{url}: cannot be written ({error}); check the address and its credentials"
        raise PlaceError(message) from None
    return Place(url, here.content_hash)


def within_reach(folder: Path, store: str | None) -> Place:
    """The place of a folder of this machine for the nodes of a cluster.

    Args:
        folder: A snapshot, bundle or ring run.
        store: Address of a folder through which nodes get it; None: they see it where it is.

    Returns:
        Where they find it.

    Raises:
        PlaceError: See `place_of` and `published`.
    """
    return place_of(folder) if store is None else published(folder, store)


def fetched(place: Place) -> Path:
    """The folder of a place on this node.

    A path that exists here is used as it is. Else the folder is copied from its store, once for all processes
    of the node: they wait for one another, a copy appears only when it is whole, each file is checked against
    its SHA-256, and a copy that was changed since is fetched again.

    Args:
        place: The place.

    Returns:
        The folder; not to be changed.

    Raises:
        PlaceError: If it is not there, or what is there is not what was published.
    """
    local = _local(place.url)
    if local is not None and (local / MANIFEST).exists():
        _check_manifest(place, (local / MANIFEST).read_bytes())
        return local
    if local is not None and "://" not in place.url:
        message = (
            f"{socket.gethostname()}: no {place.url} on this node; keep the workspace where all nodes see it,"
            " or name a store that they reach with --store URL"
        )
        raise PlaceError(message)
    name = hashlib.sha256(f"{place.url}\0{place.content_hash}".encode()).hexdigest()[:24]
    cache = _cache()
    target = cache / name
    with _locked(cache / f".{name}.lock"):
        if target.exists():
            if _unchanged(target):
                return target
            shutil.rmtree(target)
        for left in cache.glob(f".{name}.*.partial"):
            shutil.rmtree(left, ignore_errors=True)
        _fetch(place, cache / f".{name}.{os.getpid()}.partial", target)
    return target


@lru_cache(maxsize=2)
def opened(place: Place) -> Snapshot:
    """A snapshot of this node, mapped into memory once by each process that asks for it.

    Args:
        place: Where it is.

    Returns:
        The snapshot.

    Raises:
        PlaceError: See `fetched`.
    """
    return Snapshot.open(fetched(place))


def _fetch(place: Place, partial: Path, target: Path) -> None:
    system, root = store_of(place.url)
    try:
        listing = _listing(system, root)
    except (OSError, ValueError) as error:
        message = (
            f"{place.url}: no readable {LISTING} there ({error}), so nothing can be checked; publish the"
            " folder again with --store"
        )
        raise PlaceError(message) from None
    if listing["manifest"] != place.content_hash:
        _differs(place, listing["manifest"])
    try:
        for name, expected in listing["files"].items():
            _fetch_file(system, f"{root}/{name}", partial / name, expected)
        _check_manifest(place, (partial / MANIFEST).read_bytes())
        (partial / LISTING).write_text(json.dumps({"files": _stamps(partial, listing["files"])}))
        sync_folder(partial)
        partial.rename(target)
    except OSError as error:
        message = f"{place.url}: cannot be fetched to {target.parent} ({error}); run the command again"
        raise PlaceError(message) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _fetch_file(system: Any, url: str, path: Path, expected: Mapping[str, Any]) -> None:
    """Copy one file and compare it with what was published; what broke on its way is asked for again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for _ in range(_TRIES):
        digest = hashlib.sha256()
        with system.open(url, "rb") as source, path.open("wb") as target:
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
                target.write(chunk)
        if digest.hexdigest() == expected["sha256"]:
            return
    message = (
        f"{url}: is not what was published (SHA-256 {digest.hexdigest()[:12]}…, expected"
        f" {expected['sha256'][:12]}…); delete the folder there and publish it again with --store"
    )
    raise PlaceError(message)


def _stamps(folder: Path, names: Mapping[str, Any]) -> dict[str, list[int]]:
    return {name: [(folder / name).stat().st_size, (folder / name).stat().st_mtime_ns] for name in names}


def _unchanged(folder: Path) -> bool:
    """Whether no file of a copy was touched since it was checked, by size and time of change."""
    try:
        files: dict[str, list[int]] = json.loads((folder / LISTING).read_text())["files"]
        return _stamps(folder, files) == files
    except (OSError, ValueError, KeyError):
        return False


def _check_manifest(place: Place, manifest: bytes) -> None:
    found = hashlib.sha256(manifest).hexdigest()
    if found != place.content_hash:
        _differs(place, found)


def _differs(place: Place, found: str) -> None:
    message = (
        f"{place.url}: its {MANIFEST} has the hash {found[:12]}…, expected {place.content_hash[:12]}…:"
        " another snapshot or bundle lies there; give its own folder to each, or run the command again"
    )
    raise PlaceError(message)


def _read(url: str, name: str) -> bytes:
    try:
        if "://" not in url:
            return (Path(url) / name).read_bytes()
        system, root = store_of(url)
        content: bytes = system.cat_file(f"{root}/{name}")
    except OSError as error:
        message = f"{url}: no {name} there ({error}); give the folder of a snapshot, a bundle or a ring run"
        raise PlaceError(message) from None
    return content


def _listing(system: Any, root: str) -> dict[str, Any]:
    listing: dict[str, Any] = json.loads(system.cat_file(f"{root}/{LISTING}"))
    if not {"manifest", "files"} <= listing.keys():
        message = f"{LISTING} lacks its entries"
        raise ValueError(message)
    return listing


def store_of(url: str) -> tuple[Any, str]:
    """The file system of an address and the path in it.

    Args:
        url: A path, or an address that fsspec understands.

    Returns:
        fsspec's file system, and the path without a slash at its end.

    Raises:
        PlaceError: If no package serves this kind of address.
    """
    import fsspec

    try:
        system, root = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        message = f"{url}: {error}; install the fsspec package that serves this kind of address"
        raise PlaceError(message) from None
    return system, root.rstrip("/")


def _local(url: str) -> Path | None:
    return Path(url) if "://" not in url else None


def _cache() -> Path:
    named = os.environ.get(CACHE_VARIABLE)
    cache = Path(named) if named else Path(tempfile.gettempdir()) / f"ringwatch-{os.getuid()}"
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    # In a folder that everybody may write to, somebody else could have made it first.
    if cache.stat().st_uid != os.getuid():
        message = f"{cache}: belongs to another user; name a folder of your own in {CACHE_VARIABLE}"
        raise PlaceError(message)
    return cache


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
