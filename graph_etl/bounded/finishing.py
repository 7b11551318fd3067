"""The end of a merge: what needs all accounts at once, the content's hash, and the snapshot's files.

What is held here for all accounts or nodes at a time: kinds, times, folds, attributes and names, about
60 bytes a node and 40 an account. Rows, edges, lists and keys are streamed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import polars as pl
import pyarrow as pa

from graph_etl.assembly import Assembled, counted
from graph_etl.bounded.exchange import read_batch
from graph_etl.bounded.nodes import indices
from graph_etl.bounded.places import account_rows
from graph_etl.bounded.rows import QUARANTINES
from graph_etl.content import Content, add_accounts
from graph_etl.doubts import warnings_of
from graph_etl.hubs import Contacts, find_hubs
from graph_etl.nodes import NamedNodes, NodeLayout
from graph_etl.quarantine import check_share, gathered
from graph_etl.snapshot import FORMAT, NO_HUB, AttributeInfo
from graph_etl.snapshot_writer import CUT_SCHEMA, SnapshotTables, write_frames, write_manifest
from graph_etl.targets import Targets, find_targets

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from graph_etl.bounded.run import Context
    from graph_etl.build import Merged, Work
    from graph_etl.report import SourceCount

_CHUNK = 1 << 20


def finish(work: Work, context: Context, found: dict[str, list[dict[str, Any]]]) -> Merged:
    """Write the snapshot.

    Args:
        work: What was merged.
        context: The merge, all steps done.
        found: What the tasks found, by step.

    Returns:
        The snapshot.
    """
    from graph_etl.build import Merged, manifest_words

    plan = context.plan
    graph = _Graph(context, found)
    accounts = graph.accounts()
    targets = _targets(work, context, accounts["first_seen_ms"])
    quarantine = _quarantine(context, targets)
    duplicates = targets.duplicates.copy()
    for one in found["touched"]:
        for ordinal, count in one["duplicates"].items():
            duplicates[int(ordinal)] += count
    counts = counted(plan, work.parts, quarantine, duplicates)
    check_share(quarantine, sum(count.rows for count in counts), work.max_quarantine)
    work.tell("writing the snapshot", 0, 3)
    scratch = context.folder / "snapshot"
    scratch.mkdir(exist_ok=True)
    graph.write_events(scratch)
    known_ms = np.load(scratch / "event_known_ms.npy", mmap_mode="r")
    hubs = find_hubs(
        graph.contacts(),
        kinds=plan.kinds,
        node_keys=graph.keys,
        account_pos=accounts["first_pos"],
        known_ms=known_ms,
    )
    infos, values = graph.attributes()
    tables = SnapshotTables(
        name=plan.spec.name,
        kinds=plan.kinds,
        node_kind=graph.node_kind,
        node_keys=[],
        account_node=np.arange(graph.n_accounts, dtype=np.int32),
        first_seen_ms=accounts["first_seen_ms"],
        last_seen_ms=accounts["last_seen_ms"],
        first_pos=accounts["first_pos"],
        event_time_ms=np.load(scratch / "event_time_ms.npy", mmap_mode="r"),
        event_known_ms=known_ms,
        event_type=np.load(scratch / "event_type.npy", mmap_mode="r"),
        event_types=context.types,
        relations=[],
        attributes=infos,
        attribute_values=values,
        hub_since=hubs.since,
        hubs=hubs.table,
        verdicts=targets.verdicts,
        cuts=pl.DataFrame(schema=CUT_SCHEMA),
        groups=targets.groups,
        folds=targets.folds,
        splits=targets.splits,
        quarantine=quarantine,
        manifest={"fold_policy": targets.fold_policy, "timed": plan.timed},
    )
    work.tell("writing the snapshot", 1, 3)
    content = graph.content_hash(tables)
    identity = graph.identity(content)
    tables.manifest |= manifest_words(work, identity, content, counts)
    work.tell("writing the snapshot", 2, 3)
    with work.workspace.new_folder("snapshot", identity) as folder:
        graph.write(folder, tables, scratch)
    work.tell("writing the snapshot", 3, 3)
    assembled = Assembled(tables, counts, quarantine, np.zeros(0, np.int32), content)
    return Merged(identity, graph.figures(tables, content, counts), warnings_of(plan, assembled))


def _targets(work: Work, context: Context, first_seen_ms: NDArray[np.int64]) -> Targets:
    n_nodes, n_accounts = sum(context.facts["by_kind"]), context.n_accounts
    account_node = np.arange(n_accounts, dtype=np.int32)
    names = np.zeros((n_accounts, 2), np.uint64)
    start = 0
    for number in range(len(context.facts["node_bases"]) - 1):
        if start == n_accounts:
            break
        some = _nodes_of(context, number)
        stop = min(n_accounts, start + len(some))
        names[start:stop, 0] = some["low"].to_numpy()[: stop - start]
        names[start:stop, 1] = some["high"].to_numpy()[: stop - start]
        start = stop
    itself = np.append(np.arange(n_nodes, dtype=np.int32), np.int32(-1))
    nothing = np.zeros(0, np.int16)
    no_keys = pl.Series("key", [], pl.String)
    named = NamedNodes(nothing, no_keys, names[:0], np.zeros(0, np.bool_), _PartIndices(context))
    layout = NodeLayout(nothing, no_keys, names, np.zeros(0, np.int32), itself, account_node)
    node_account = np.full(n_nodes, -1, np.int32)
    node_account[:n_accounts] = account_node
    return find_targets(work.plan, work.parts, named, layout, node_account, first_seen_ms, work.seed)


class _PartIndices(Sequence["NDArray[np.int32]"]):
    """Indices of the nodes of each part, read when they are asked for."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def __len__(self) -> int:
        return self._context.n_parts

    @overload
    def __getitem__(self, at: int) -> NDArray[np.int32]: ...

    @overload
    def __getitem__(self, at: slice) -> Sequence[NDArray[np.int32]]: ...

    def __getitem__(self, at: int | slice) -> NDArray[np.int32] | Sequence[NDArray[np.int32]]:
        if isinstance(at, slice):
            return [indices(self._context, number) for number in range(*at.indices(len(self)))]
        return indices(self._context, at)


class _Keys(Sequence[str]):
    """Keys of the nodes by index, looked up one at a time."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._bases = np.array(context.facts["node_bases"])

    def __len__(self) -> int:
        return int(self._bases[-1])

    @overload
    def __getitem__(self, at: int) -> str: ...

    @overload
    def __getitem__(self, at: slice) -> Sequence[str]: ...

    def __getitem__(self, at: int | slice) -> str | Sequence[str]:
        if isinstance(at, slice):
            return [self[one] for one in range(*at.indices(len(self)))]
        number = int(np.searchsorted(self._bases, at, side="right")) - 1
        return str(_nodes_of(self._context, number)["key"][at - int(self._bases[number])])


def _nodes_of(context: Context, number: int) -> pl.DataFrame:
    return read_batch(context.folder / "nodes" / f"{number:06d}.arrow", 0)


def _quarantine(context: Context, targets: Targets) -> pl.DataFrame:
    found = []
    for name in QUARANTINES:
        paths = (
            context.folder / "quarantine" / f"{number:06d}.{name}.parquet"
            for number in range(context.n_parts)
        )
        found += [pl.read_parquet(path, glob=False, memory_map=False) for path in paths if path.exists()]
    return gathered([*found, *targets.quarantine])


class _Graph:
    """The files of a merge, read in the order of the snapshot."""

    def __init__(self, context: Context, found: dict[str, list[dict[str, Any]]]) -> None:
        facts = context.facts
        self._context = context
        self._found = found
        self.n_accounts = context.n_accounts
        self.n_nodes = sum(facts["by_kind"])
        self.n_events = int(facts["row_bases"][-1])
        self.keys = _Keys(context)
        self.node_kind = np.repeat(np.arange(len(facts["by_kind"]), dtype=np.int16), facts["by_kind"])
        self._n_ranges = len(facts["node_starts"]) - 1
        edges = np.sum([one["edges"] for one in found["placed"]], axis=0)
        self._relations = [
            (at, relation, int(edges[at]))
            for at, relation in enumerate(facts["relations"])
            if edges[at] or not relation.get("optional", False)
        ]

    def accounts(self) -> dict[str, NDArray[np.int64]]:
        """Times and first positions of all accounts."""
        names = ("first_seen_ms", "last_seen_ms", "first_pos")
        frames = [account_rows(self._context, number).select(names) for number in range(self._n_ranges)]
        whole = pl.concat(frames)
        return {name: whole[name].to_numpy() for name in names}

    def attributes(self) -> tuple[tuple[AttributeInfo, ...], NDArray[np.float64]]:
        """Attributes of all accounts, as `account_attributes` gives them."""
        wanted = self._context.facts["attributes"]
        values = np.full((self.n_accounts, len(wanted)), np.nan)
        infos, numbers = [], []
        for name, type_ in wanted:
            categories: dict[str, None] = {}
            if type_ == "category":
                seen = [
                    tuple(pair) for one in self._found["grouped"] for pair in one["categories"].get(name, ())
                ]
                categories = dict.fromkeys(value for _, value in sorted(seen))
            infos.append(AttributeInfo(name, type_, tuple(categories)))
            numbers.append({category: float(place) for place, category in enumerate(categories)})
        start = 0
        for number in range(self._n_ranges):
            rows = account_rows(self._context, number)
            for at, (name, type_) in enumerate(wanted):
                column = rows[f"attribute:{name}"]
                if type_ == "category":
                    column = column.replace_strict(numbers[at], default=None, return_dtype=pl.Float64)
                values[start : start + len(rows), at] = column.fill_null(float("nan")).to_numpy()
            start += len(rows)
        return tuple(infos), values

    def contacts(self) -> Iterator[Contacts]:
        """Contacts of one kind after the other, read a range of positions at a time."""
        totals = np.sum([one["contacts"] for one in self._found["met"]], axis=0)
        starts = np.concatenate([[0], np.cumsum(self._context.facts["by_kind"])])
        for kind in np.flatnonzero(totals).tolist():
            nodes = range(int(starts[kind]), int(starts[kind + 1]))
            yield Contacts(kind, nodes, self.n_accounts, partial(self._met, kind, nodes.start))

    def _met(self, kind: int, start: int) -> Iterator[tuple[NDArray[Any], NDArray[Any], NDArray[np.int64]]]:
        for path in self._context.files("met"):
            rows = read_batch(path, kind)
            yield rows["node"].to_numpy() - start, rows["account"].to_numpy(), rows["pos"].to_numpy()

    def write_events(self, folder: Path) -> None:
        """Write times and types of the events in the order of their positions."""
        columns = {"event_time_ms": "time_ms", "event_known_ms": "known_ms", "event_type": "type"}
        kinds = {"event_time_ms": np.int64, "event_known_ms": np.int64, "event_type": np.int16}
        for name, column in columns.items():
            chunks = (rows[column].to_numpy() for rows in self._events())
            _write_array(folder / f"{name}.npy", kinds[name], self.n_events, chunks)

    def _events(self) -> Iterator[pl.DataFrame]:
        for number in range(len(self._context.facts["row_bases"]) - 1):
            yield read_batch(self._context.folder / "events" / f"{number:06d}.arrow", 0)

    def _nodes(self) -> Iterator[pl.DataFrame]:
        for number in range(len(self._context.facts["node_bases"]) - 1):
            yield _nodes_of(self._context, number)

    def _edges(self, relation: int, column: str) -> Iterator[NDArray[Any]]:
        for number in range(self._context.facts["tasks"]["placed"]):
            yield read_batch(self._context.folder / "edges" / f"{number:06d}.arrow", relation)[
                column
            ].to_numpy()

    def content_hash(self, tables: SnapshotTables) -> str:
        """As `graph_etl.content.content_hash`, of a graph whose nodes lie in the order of kind and key."""
        content = Content()
        content.add_words("kinds", [[kind.name, kind.identifier, kind.public] for kind in tables.kinds])
        content.add("node_kind", tables.node_kind)
        content.add_text_chunks("node_key", self.n_nodes, lambda: (some["key"] for some in self._nodes()))
        assert tables.hub_since is not None
        content.add("hub_since", tables.hub_since)
        content.add_words("hubs", int((tables.hub_since != NO_HUB).sum()))
        add_accounts(content, tables, np.arange(self.n_accounts, dtype=np.int32))
        for name, column in (("event_time_ms", "time_ms"), ("event_known_ms", "known_ms")):
            chunks = (some[column].to_numpy() for some in self._events())
            content.add_chunks(name, np.int64, self.n_events, chunks)
        by_name = np.argsort(np.array(tables.event_types, dtype=np.str_), kind="stable")
        place = np.empty(len(by_name), np.int16)
        place[by_name] = np.arange(len(by_name), dtype=np.int16)
        content.add_words("event_types", sorted(tables.event_types))
        types = (place[some["type"].to_numpy()] for some in self._events())
        content.add_chunks("event_type", np.int16, self.n_events, types)
        for at, relation, n_edges in sorted(self._relations, key=lambda one: str(one[1]["name"])):
            words = [relation[key] for key in ("name", "used", "directed", "value")]
            content.add_words("relation", words)
            for column, kind in (
                ("src", np.int32),
                ("dst", np.int32),
                ("pos", np.int64),
                ("value", np.float32),
            ):
                content.add_chunks(column, kind, n_edges, self._edges(at, column))
        return content.hexdigest()

    def identity(self, content: str) -> str:
        """The id that `build` gives to the same content in the same order of indices, without a journal."""
        layout = hashlib.sha256(f"{FORMAT}:0:{content}".encode())
        for start in range(0, self.n_nodes, _CHUNK):
            layout.update(np.arange(start, min(self.n_nodes, start + _CHUNK), dtype=np.int32).data)
        return f"s{layout.hexdigest()[:12]}"

    def write(self, folder: Path, tables: SnapshotTables, scratch: Path) -> None:
        """Write the files of the snapshot."""
        for name in ("event_time_ms", "event_known_ms", "event_type"):
            (scratch / f"{name}.npy").rename(folder / f"{name}.npy")
        node_account = np.full(self.n_nodes, -1, np.int32)
        node_account[: self.n_accounts] = np.arange(self.n_accounts, dtype=np.int32)
        arrays: dict[str, NDArray[Any]] = {
            "node_kind": tables.node_kind,
            "node_account": node_account,
            "account_node": tables.account_node,
            "first_seen_ms": tables.first_seen_ms,
            "last_seen_ms": tables.last_seen_ms,
            "first_pos": tables.first_pos,
        }
        if tables.attribute_values is not None:
            arrays["attribute_values"] = tables.attribute_values
        if tables.hub_since is not None:
            arrays["hub_since"] = tables.hub_since
        if tables.folds is not None:
            arrays["folds"] = tables.folds
        if tables.splits is not None:
            arrays["splits"] = tables.splits.astype(np.int8)
        for name, array in arrays.items():
            np.save(folder / f"{name}.npy", np.ascontiguousarray(array), allow_pickle=False)
        del arrays, node_account
        self._write_names(folder)
        self._write_keys(folder / "node_keys.arrow", scratch)
        write_frames(folder, tables)
        relations = [
            self._write_relation(folder / "relations" / str(ordinal), at, relation, n_edges)
            for ordinal, (at, relation, n_edges) in enumerate(self._relations)
        ]
        for name in ("touched_by", "touches"):
            self._write_lists(folder, name, name, [0] * self._n_ranges, ("nbr", "pos"))
        write_manifest(
            folder,
            tables,
            relations,
            n_nodes=self.n_nodes,
            n_accounts=self.n_accounts,
            n_events=self.n_events,
            time_range_ms=self._time_range(),
        )

    def _write_names(self, folder: Path) -> None:
        names = np.concatenate([np.zeros(0, np.uint64), *(some["low"].to_numpy() for some in self._nodes())])
        order = np.argsort(names, kind="stable").astype(np.int32)
        np.save(folder / "node_by_name.npy", order, allow_pickle=False)
        np.save(folder / "node_names.npy", names[order], allow_pickle=False)

    def _write_keys(self, path: Path, scratch: Path) -> None:
        """Write all keys as one batch, by way of a file for the texts and one for where they start."""
        start = 0
        with (scratch / "texts").open("wb") as texts, (scratch / "starts").open("wb") as starts:
            starts.write(np.zeros(1, np.int64).data)
            for some in self._nodes():
                keys = some["key"]
                ends = start + np.cumsum(keys.str.len_bytes().to_numpy().astype(np.int64))
                starts.write(ends.data)
                start = int(ends[-1]) if len(ends) else start
                for at in range(0, len(keys), _CHUNK):
                    texts.write("".join(keys[at : at + _CHUNK].to_list()).encode())
        buffers = []
        for name in ("starts", "texts"):
            source = scratch / name
            whole = pa.memory_map(str(source)).read_buffer() if source.stat().st_size else pa.py_buffer(b"")
            buffers.append(whole)
        strings = pa.LargeStringArray.from_buffers(self.n_nodes, *buffers)
        table = pa.table({"key": strings})
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=max(1, len(table)))

    def _write_relation(
        self, folder: Path, at: int, relation: dict[str, Any], n_edges: int
    ) -> dict[str, Any]:
        folder.mkdir(parents=True)
        sides: dict[str, str] = {}
        for side, name, pair in ((0, "out", "pair_out"), (1, "into", "pair_in")):
            if side and not relation["directed"]:
                sides |= {name: sides["out"], pair: sides["pair_out"]}
                continue
            section = 2 * at + side
            once = [one["once"][section] for one in self._found["grouped"]]
            columns = ("nbr", "pos", "value")
            self._write_lists(folder, name, "lists", [2 * section] * self._n_ranges, columns)
            if not all(once):
                batches = [2 * section if alone else 2 * section + 1 for alone in once]
                self._write_lists(folder, pair, "lists", batches, columns)
            sides |= {name: name, pair: name if all(once) else pair}
        ends = [
            sorted(
                {kind for one in self._found["placed"] for number, kind in one["ends"][end] if number == at}
            )
            for end in ("src", "dst")
        ]
        return {
            "name": relation["name"],
            "used": relation["used"],
            "directed": relation["directed"],
            "value": relation["value"],
            "edges": n_edges,
            "from_kinds": ends[0],
            "to_kinds": ends[1],
            "sides": sides,
        }

    def _write_lists(
        self, folder: Path, name: str, step: str, batches: Sequence[int], columns: Sequence[str]
    ) -> None:
        """Put the lists of all ranges of nodes one behind the other."""
        kinds = {"nbr": np.int32, "pos": np.int64, "value": np.float32}
        source = self._context.folder / step

        def lengths() -> Iterator[NDArray[np.int64]]:
            for number, batch in enumerate(batches):
                yield read_batch(source / f"{number:06d}.lengths.arrow", batch)["length"].to_numpy()

        def starts() -> Iterator[NDArray[np.int64]]:
            start = 0
            yield np.zeros(1, np.int64)
            for some in lengths():
                ends = start + np.cumsum(some)
                start = int(ends[-1]) if len(ends) else start
                yield ends

        _write_array(folder / f"{name}.indptr.npy", np.int64, self.n_nodes + 1, starts())
        n_entries = sum(int(some.sum()) for some in lengths())
        for column in columns:
            chunks = (
                read_batch(source / f"{number:06d}.arrow", batch)[column].to_numpy()
                for number, batch in enumerate(batches)
            )
            _write_array(folder / f"{name}.{column}.npy", kinds[column], n_entries, chunks)

    def _time_range(self) -> tuple[int, int] | None:
        ranges = [one["time_range_ms"] for one in self._found["placed"] if one["time_range_ms"] is not None]
        if not ranges:
            return None
        return min(int(first) for first, _ in ranges), max(int(last) for _, last in ranges)

    def figures(
        self, tables: SnapshotTables, content: str, counts: tuple[SourceCount, ...]
    ) -> dict[str, Any]:
        """What a report says of the graph."""
        kinds = self._context.plan.kinds
        hubs = tables.hubs
        return {
            "content_hash": content,
            "name": tables.name,
            "simulated": self._context.plan.spec.simulated,
            "sources": counts,
            "accounts": self.n_accounts,
            "entities": {
                kind.name: int(self._context.facts["by_kind"][at]) for at, kind in enumerate(kinds) if at
            },
            "edges": {str(relation["name"]): n_edges for _, relation, n_edges in self._relations},
            "events": self.n_events,
            "hubs": ()
            if hubs is None
            else tuple(hubs.select("kind", "key", "accounts", "reason").to_dicts()),
            "fold_policy": tables.manifest["fold_policy"],
            "time_range_ms": self._time_range(),
            "erased": sum(count.reasons.get("erased", 0) for count in counts),
        }


def _write_array(path: Path, kind: Any, length: int, chunks: Iterator[NDArray[Any]]) -> None:
    """Write a one-dimensional array as `numpy.save` would, chunk by chunk."""
    dtype = np.dtype(kind)
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": (length,)}
    written = 0
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        for chunk in chunks:
            stream.write(np.ascontiguousarray(chunk, dtype).data)
            written += len(chunk)
    assert written == length, f"{path.name}: {written} of {length} entries"
