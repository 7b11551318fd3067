"""What the terminal shows while the game streams: decisions, pace, latency, lag, who was stopped and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ringwatch.live_stream import DECISIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import RenderableType

    from ringwatch.live_stream import Pulse, SignUp, Tally

STYLES: Final = {"allow": "green", "challenge": "yellow", "review": "dark_orange", "deny": "red"}
_BAR: Final = 40
_KINDS: Final = (
    ("signup", "sign-ups"),
    ("login", "log-ins"),
    ("gift", "gifts"),
    ("payment", "payments"),
    ("verdict", "verdicts"),
)


def line_of(tally: Tally, live: Mapping[str, Any] | None) -> str:
    """Say in one line how it goes, for a log."""
    pulse = tally.pulse()
    decided = ", ".join(f"{tally.decisions[name]} {name}" for name in DECISIONS)
    return f"{tally.clock}: {decided}; {_pace(pulse)}; {_journal(live)}"


def view_of(
    tally: Tally, live: Mapping[str, Any] | None, *, elapsed_s: float, seconds: float
) -> RenderableType:
    """Draw the state of the stream for a terminal.

    Args:
        tally: What came back so far.
        live: The last answer of `GET /v1/live`; None before the first.
        elapsed_s: Seconds since the stream began.
        seconds: How long it will take.

    Returns:
        A panel.
    """
    pulse = tally.pulse()
    happened = ", ".join(f"{tally.counts[kind]:,} {words}" for kind, words in _KINDS)
    parts: list[RenderableType] = [
        Text(f"{tally.clock.replace('T', ' ').rstrip('Z')}   {happened}"),
        Text(f"{_pace(pulse)}   {_journal(live)}"),
        Text(),
        _bars(tally),
        Text(),
        Text("Stopped at sign-up, the latest first", style="bold"),
        _stopped(list(tally.stopped)),
    ]
    return Panel(
        Group(*parts),
        title="Live: the game (simulated)",
        subtitle=f"{min(elapsed_s, seconds):.0f} of {seconds:.0f} s",
        border_style="cyan",
    )


def _pace(pulse: Pulse) -> str:
    latency = (
        ""
        if pulse.p50_ms is None or pulse.p99_ms is None
        else f", answers in {pulse.p50_ms:.1f} ms (p50), {pulse.p99_ms:.1f} ms (p99)"
    )
    behind = f", {pulse.behind_s:.1f} s behind" if pulse.behind_s > 1 else ""
    return f"{pulse.events_per_s:.0f} events/s{latency}{behind}"


def _journal(live: Mapping[str, Any] | None) -> str:
    if live is None:
        return "journal: not asked yet"
    lag = live["lag"]["rows"]
    late = "unavailable" if lag is None else f"{lag:,} not yet visible"
    return f"journal: {live['last_seq']:,} rows, {late}"


def _bars(tally: Tally) -> Table:
    table = Table.grid(padding=(0, 2))
    most = max([1, *tally.decisions.values()])
    for name in DECISIONS:
        count = tally.decisions[name]
        bar = "█" * round(_BAR * count / most) if count else ""
        table.add_row(Text(name, style=STYLES[name]), f"{count:>6,}", Text(bar, style=STYLES[name]))
    return table


def _stopped(sign_ups: list[SignUp]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", expand=True)
    for name in ("time", "account", "decision", "score"):
        table.add_column(name, no_wrap=True)
    table.add_column("why", ratio=1, no_wrap=True, overflow="ellipsis")
    for one in sign_ups:
        table.add_row(
            one.at[5:16].replace("T", " "),
            Text(one.account),
            Text(one.decision, style=STYLES[one.decision]),
            "–" if one.score is None else f"{one.score:.2f}",
            Text(one.reason or one.rule),
        )
    return table
