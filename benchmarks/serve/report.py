"""Tables of what was measured, with the goals beside it, for the terminal and for docs/benchmarks.md."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from benchmarks.serve.load import summarised
from benchmarks.serve.measured import BARE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.serve.load import Summary
    from benchmarks.serve.measured import Measured
    from benchmarks.serve.parts import PartCost
    from benchmarks.serve.prepared import Prepared

HEADING: Final = "## Live scoring: `make bench-serve`"
_P99_TIMES, _P99_PLUS_MS = 2.0, 1.0
_MIB = 1024 * 1024


def goals(found: Measured) -> list[dict[str, Any]]:
    """Compare the figures at one connection with the goals.

    Args:
        found: What was measured.

    Returns:
        One row a target and goal: ``goal``, ``allowed_ms``, ``seen_ms``, ``times_bare``, ``met``.
    """
    at_one = {one.target: one for one in summarised(found.shots) if one.connections == 1}
    if BARE not in at_one:
        return []
    bare = at_one[BARE]
    rows = []
    for target in found.targets:
        if target.most_times_bare is None:
            continue
        seen = at_one[target.name]
        for name, allowed_ms, seen_ms, bare_ms in (
            (
                f"p50 at most {target.most_times_bare:g} × bare",
                target.most_times_bare * bare.p50_ms,
                seen.p50_ms,
                bare.p50_ms,
            ),
            (
                f"p99 at most {_P99_TIMES:g} × bare + {_P99_PLUS_MS:g} ms",
                _P99_TIMES * bare.p99_ms + _P99_PLUS_MS,
                seen.p99_ms,
                bare.p99_ms,
            ),
        ):
            rows.append(
                {
                    "target": target.name,
                    "goal": name,
                    "allowed_ms": round(allowed_ms, 3),
                    "seen_ms": round(seen_ms, 3),
                    "times_bare": round(seen_ms / bare_ms, 2),
                    "met": seen_ms <= allowed_ms,
                }
            )
    return rows


def as_text(prepared: Prepared, found: Measured, parts: Sequence[PartCost]) -> str:
    """Write everything as Markdown, which a terminal shows well enough.

    Args:
        prepared: Platform and workspace.
        found: Latency, memory, start.
        parts: Cost of each part.

    Returns:
        The text, without a heading.
    """
    size, machine = prepared.size, found.machine
    blocks = [
        f"{size.accounts:,} accounts, {size.identifiers:,} identifiers, {size.links:,} links "
        f"({prepared.n_links:,} in the snapshot, where subnets and mail domains count too), drawn with seed "
        f"{size.seed}; {machine['date']}, {machine['cores']} × {machine['processor']}, Python "
        f"{machine['python']}; load of the machine {machine['load_before']:.1f} before and "
        f"{machine['load_after']:.1f} after. A third of the sign-ups bring unseen identifiers; answers of "
        f"{found.answer_bytes:,} bytes. Decisions of {sum(found.decisions.values())} probes: "
        + ", ".join(f"{name} {count}" for name, count in sorted(found.decisions.items()))
        + ".",
        _latency(summarised(found.shots)),
        _goals(goals(found)),
        _parts(parts),
        _memory(prepared, found),
        _starts(found),
    ]
    if prepared.seconds:
        blocks.append(
            "Made for this run: "
            + ", ".join(f"{step} {seconds:.0f} s" for step, seconds in prepared.seconds.items())
        )
    return "\n\n".join(block for block in blocks if block)


def as_json(prepared: Prepared, found: Measured, parts: Sequence[PartCost]) -> dict[str, Any]:
    """Return everything as one object."""
    return {
        "size": asdict(prepared.size),
        "links_in_snapshot": prepared.n_links,
        "made_in_s": prepared.seconds,
        "machine": found.machine,
        "shots": [asdict(shot) for shot in found.shots],
        "medians": [asdict(one) for one in summarised(found.shots)],
        "goals": goals(found),
        "parts": [asdict(part) for part in parts],
        "memory": {name: asdict(memory) for name, memory in found.memory.items()},
        "started_in_s": found.started_in_s,
        "restarted_in_s": found.restarted_in_s,
        "restarted_events": found.restarted_events,
        "decisions": found.decisions,
        "answer_bytes": found.answer_bytes,
        "live": found.live,
    }


def write_into(document: Path, text: str) -> None:
    """Put the text below its heading in a document, instead of what stood there.

    Args:
        document: A Markdown file.
        text: The new section.
    """
    old = document.read_text(encoding="utf-8")
    before, _, after = old.partition(HEADING)
    following = after.find("\n## ")
    rest = "" if following < 0 else after[following:]
    document.write_text(f"{before.rstrip()}\n\n{HEADING}\n\n{text}\n{rest}", encoding="utf-8")


def _latency(summaries: Sequence[Summary]) -> str:
    bare = {one.connections: one for one in summaries if one.target == BARE}
    rows = [
        [
            str(one.connections),
            one.target,
            f"{one.p50_ms:.2f}",
            f"{one.p50_low_ms:.2f}–{one.p50_high_ms:.2f}",
            f"{one.p50_ms / bare[one.connections].p50_ms:.2f}",
            f"{one.p99_ms:.2f}",
            f"{one.p99_ms / bare[one.connections].p99_ms:.2f}",
            f"{one.requests_per_s:,.0f}",
            f"{one.requests:,}",
            f"{one.failed:,}",
        ]
        for one in summaries
    ]
    return _table(
        [
            "connections",
            "endpoint",
            "p50 ms",
            "of the rounds",
            "× bare",
            "p99 ms",
            "× bare",
            "requests/s",
            "requests",
            "failed",
        ],
        rows,
    )


def _goals(rows: Sequence[dict[str, Any]]) -> str:
    return _table(
        ["at one connection", "goal", "allowed ms", "seen ms", "× bare", ""],
        [
            [
                row["target"],
                row["goal"],
                f"{row['allowed_ms']:.2f}",
                f"{row['seen_ms']:.2f}",
                f"{row['times_bare']:.2f}",
                "met" if row["met"] else "**missed**",
            ]
            for row in rows
        ],
    )


def _parts(parts: Sequence[PartCost]) -> str:
    return _table(
        ["part of an answer", "median µs", "p99 µs", "of the answers"],
        [
            [part.name, f"{part.median_us:,.1f}", f"{part.p99_us:,.1f}", f"{part.share_of_answers:.0%}"]
            for part in parts
        ],
    )


def _memory(prepared: Prepared, found: Measured) -> str:
    rows = [
        [
            name,
            f"{memory.resident / _MIB:,.0f}",
            f"{memory.proportional / _MIB:,.0f}",
            f"{memory.own / _MIB:,.0f}",
            f"{memory.mapped / _MIB:,.0f}",
        ]
        for name, memory in found.memory.items()
    ]
    table = _table(["process", "RSS MiB", "PSS MiB", "own MiB", "mapped files MiB"], rows)
    ready, bare = found.memory["process, ready"], found.memory[f"{BARE}, ready"]
    above, own = ready.resident - bare.resident, ready.own - bare.own
    return (
        f"{table}\n\nAbove the bare endpoint's process: {above / prepared.size.accounts:,.0f} bytes an "
        f"account and {above / prepared.n_links:,.0f} a link if all is counted to either; without mapped "
        f"files {own / prepared.size.accounts:,.0f} and {own / prepared.n_links:,.0f}."
    )


def _starts(found: Measured) -> str:
    return (
        "From the start of the process until it is ready: "
        + ", ".join(f"{name} {seconds:.1f} s" for name, seconds in found.started_in_s.items())
        + f"; with {found.restarted_events:,} rows of the journal to read {found.restarted_in_s:.1f} s."
    )


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    widths = [max(len(row[at]) for row in [columns, *rows]) for at in range(len(columns))]
    lines = [columns, ["-" * width for width in widths], *rows]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in lines
    )
