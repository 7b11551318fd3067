"""Accounts that asked to be forgotten: who they are without saying it, and what is left of their rows.

``erased.json`` holds a salted hash of each account's key, and the time up to which it is forgotten; rows that
become known later are those of somebody who came back. Staged parts that hold rows of such an account are
replaced by copies without them.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from graph_etl.identifiers import Hasher, account_key
from graph_etl.nodes import ACCOUNT
from graph_etl.parts import Part, write_part
from graph_etl.quarantine import Notes, gathered
from graph_etl.snapshot import NO_TIME, Snapshot, SnapshotError
from graph_etl.staged_keys import account_aliases
from graph_etl.workspace import WorkspaceError, fresh_folder, write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from graph_etl.spec import Spec
    from graph_etl.workspace import Workspace

_FILE = "erased.json"
_SALT_BYTES = 16
_ENDS = ("src", "dst", "account", "other")


@dataclass(frozen=True, slots=True)
class Erased:
    """Accounts to forget.

    Attributes:
        salt: What keeps the hashes from being looked up in a table made beforehand.
        until_ms: For the hash of each account, the time up to which its rows are forgotten, milliseconds.
    """

    salt: bytes
    until_ms: Mapping[str, int]

    def digest(self, account: str) -> str:
        """The salted hash of an account's key.

        Args:
            account: The key, as the graph stores it.

        Returns:
            32 hexadecimal digits.
        """
        return hashlib.blake2b(account.encode(), digest_size=16, key=self.salt).hexdigest()

    def alias_digest(self, low: int, high: int) -> str:
        """The salted hash of the name by which an end of an interaction finds its account.

        Args:
            low: Lower half of the alias.
            high: Upper half.

        Returns:
            32 hexadecimal digits.
        """
        return self.digest(f"alias\0{low:016x}{high:016x}")

    def joined(self, more: Mapping[str, int]) -> Erased:
        """With further accounts.

        Args:
            more: Time by hash; the later time counts.

        Returns:
            All of them.
        """
        until_ms = dict(self.until_ms)
        for digest, until in more.items():
            until_ms[digest] = max(until, until_ms.get(digest, until))
        return Erased(self.salt, until_ms)

    def tombstone(self, node: int) -> str:
        """The key of a node that is forgotten; nobody can guess it and so take its place."""
        return f"erased:{node}:{self.digest(str(node))[:16]}"


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What became of the order to forget accounts.

    Attributes:
        accounts: Accounts that are on the list now and were not before, or only up to an earlier time.
        snapshots: Snapshots that still hold one of them; the next build makes one that does not.
    """

    accounts: int
    snapshots: tuple[str, ...]


def read_erased(workspace: Workspace, *, draw: bool = True) -> Erased:
    """Read which accounts are to be forgotten; the first call draws the salt.

    Args:
        workspace: Where the list is kept.
        draw: Whether to start a list where there is none; else it is empty, and without a salt.

    Returns:
        The list.

    Raises:
        WorkspaceError: If it is damaged.
    """
    file = workspace.path / _FILE
    if not file.exists():
        if not draw:
            return Erased(b"", {})
        with workspace.locked("erased"):
            if not file.exists():
                _write(file, Erased(secrets.token_bytes(_SALT_BYTES), {}))
    return _read(file)


def _read(file: Path) -> Erased:
    try:
        words: dict[str, Any] = json.loads(file.read_text())
        return Erased(bytes.fromhex(words["salt"]), {str(k): int(v) for k, v in words["accounts"].items()})
    except (ValueError, KeyError, AttributeError, TypeError):
        message = f"{file}: damaged; restore it, or those who asked to be forgotten come back"
        raise WorkspaceError(message) from None


def forget(
    workspace: Workspace, spec: Spec, account_ids: Iterable[str], hasher: Hasher | None, until_ms: int
) -> Forgotten:
    """Have the next builds forget accounts: their rows in files and journal, and who they were.

    Args:
        workspace: The workspace.
        spec: Says how account ids are kept; that of the snapshot in use.
        account_ids: Ids as they stand in the source.
        hasher: Hashes what is not public; None if nothing is hashed.
        until_ms: Rows known up to this time are forgotten, usually now; milliseconds of Unix time.

    Returns:
        What is known now.
    """
    ids = tuple(account_ids)
    keys = tuple(account_key(spec, one, hasher or Hasher()) for one in ids)
    read_erased(workspace)
    with workspace.locked("erased"):
        before = _read(workspace.path / _FILE)
        digests = [before.digest(key) for key in keys]
        digests += [before.alias_digest(int(low), int(high)) for low, high in account_aliases(ids, hasher)]
        after = before.joined(dict.fromkeys(digests, until_ms))
        _write(workspace.path / _FILE, after)
    changed = sum(before.until_ms.get(one) != after.until_ms[one] for one in digests[: len(keys)])
    return Forgotten(changed, tuple(_holding(workspace, keys)))


def _write(file: Path, erased: Erased) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    words = {"salt": erased.salt.hex(), "accounts": dict(sorted(erased.until_ms.items()))}
    write_atomically(file, json.dumps(words, indent=1) + "\n", mode=0o600)


def _holding(workspace: Workspace, keys: Sequence[str]) -> Iterable[str]:
    for manifest in sorted(workspace.snapshots.glob("[!.]*/manifest.json")):
        try:
            snapshot = Snapshot.open(manifest.parent)
        except SnapshotError:  # of another version: nobody can tell, so it may
            yield manifest.parent.name
            continue
        if any(snapshot.account_index(key) is not None for key in keys):
            yield snapshot.id


def without_erased(part: Part, erased: Erased) -> Part:
    """A part without the rows of forgotten accounts, and without the nodes that only they named.

    Args:
        part: A staged part.
        erased: Accounts to forget.

    Returns:
        The part itself if it holds none, else a copy beside it.
    """
    nodes = part.nodes()
    found = _named_by(nodes, erased)
    if not found:
        return part
    # One place more than there are nodes: -1, no node.
    gone = np.zeros(len(nodes) + 1, np.bool_)
    until_ms = np.full(len(nodes) + 1, NO_TIME)
    for node, digest in found:
        gone[node], until_ms[node] = True, erased.until_ms[digest]
    cutting = _Cutting(part, gone, until_ms)
    tables = cutting.tables()
    if not cutting.quarantine:
        return part
    words = "".join(f"{digest}:{erased.until_ms[digest]};" for _, digest in sorted(found, key=lambda f: f[1]))
    base = part.folder.name.partition(".")[0]
    folder = part.folder.with_name(f"{base}.{hashlib.sha256(words.encode()).hexdigest()[:16]}")
    tables["nodes"] = cutting.nodes(nodes)
    noted = part.table("quarantine")
    tables["quarantine"] = gathered([*([] if noted is None else [noted]), *cutting.quarantine])
    with fresh_folder(folder) as partial:
        write_part(partial, tables, {name: what for name, what in part.meta.items() if name != "files"})
    return Part.open(folder, source=part.source, file=part.file, fingerprint=part.fingerprint)


def _named_by(nodes: pl.DataFrame, erased: Erased) -> list[tuple[int, str]]:
    """Which nodes are forgotten accounts, by key or, where an end may be an account, by alias."""
    found: list[tuple[int, str]] = []
    accounts = nodes.with_row_index("node").filter(pl.col("kind") == ACCOUNT)
    for node, key in accounts.select("node", "key").iter_rows():
        found.append((node, erased.digest(key)))
    undecided = nodes.with_row_index("node").filter("either")
    for node, low, high in undecided.select("node", "alias_low", "alias_high").iter_rows():
        found.append((node, erased.alias_digest(low, high)))
    return [(node, digest) for node, digest in found if digest in erased.until_ms]


class _Cutting:
    """Cuts the rows of forgotten accounts out of a part's tables."""

    def __init__(self, part: Part, gone: NDArray[np.bool_], until_ms: NDArray[np.int64]) -> None:
        self._part, self._gone, self._until_ms = part, gone, until_ms
        self._dropped = np.zeros(len(gone), np.bool_)
        self._kept = np.zeros(len(gone), np.bool_)
        self.quarantine: list[pl.DataFrame] = []

    def tables(self) -> dict[str, pl.DataFrame]:
        """All tables of rows without theirs; notes in ``quarantine`` what was dropped."""
        found: dict[str, pl.DataFrame] = {}
        for name in self._part.tables:
            if not name.endswith(".rows"):
                continue
            mapping = name.removesuffix(".rows")
            rows = self._part.table(name)
            assert rows is not None
            drop = self._lost(rows)
            for end in _ends(rows):
                self._note(rows[end].to_numpy(), drop)
            if drop.any():
                notes = Notes(self._part.source, mapping, "")
                self.quarantine.append(notes.rows(rows["row"].to_numpy()[drop], "erased"))
            found[name] = rows.filter(pl.Series(~drop))
            found |= self._beside(mapping, drop)
        return found

    def _lost(self, rows: pl.DataFrame) -> NDArray[np.bool_]:
        known = np.full(len(rows), NO_TIME)
        if "known_ms" in rows.columns:
            known = rows["known_ms"].fill_null(NO_TIME).to_numpy()
        lost = np.zeros(len(rows), np.bool_)
        for end in _ends(rows):
            node = rows[end].to_numpy()
            lost |= self._gone[node] & (known <= self._until_ms[node])
        return lost

    def _beside(self, mapping: str, drop: NDArray[np.bool_]) -> dict[str, pl.DataFrame]:
        found: dict[str, pl.DataFrame] = {}
        attributes = self._part.table(f"{mapping}.attributes")
        if attributes is not None:
            found[f"{mapping}.attributes"] = attributes.filter(pl.Series(~drop))
        used = self._part.table(f"{mapping}.used")
        if used is not None:
            at = used["at"].to_numpy()
            self._note(used["node"].to_numpy(), drop[at])
            place = np.cumsum(~drop) - 1
            moved = used.with_columns(pl.Series("at", place[at], pl.Int64))
            found[f"{mapping}.used"] = moved.filter(pl.Series(~drop[at]))
        return found

    def _note(self, node: NDArray[np.int32], drop: NDArray[np.bool_]) -> None:
        self._dropped[node[drop]] = True
        self._kept[node[~drop]] = True

    def nodes(self, nodes: pl.DataFrame) -> pl.DataFrame:
        """The nodes under their numbers, blank where only dropped rows, or no row and no list, named them."""
        declared = np.append(nodes["declared"].to_numpy(), np.False_)
        blank = ((self._dropped | self._gone | ~declared) & ~self._kept)[:-1]
        neutral = {"key": "", "low": 0, "high": 0, "declared": False, "either": False}
        neutral |= {"alias_low": 0, "alias_high": 0}
        return nodes.with_columns(
            pl.when(pl.Series(blank))
            .then(pl.lit(value, dtype=nodes.schema[name]))
            .otherwise(pl.col(name))
            .alias(name)
            for name, value in neutral.items()
        )


def _ends(rows: pl.DataFrame) -> list[str]:
    return [name for name in _ENDS if name in rows.columns]
