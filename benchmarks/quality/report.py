"""The table as Markdown, for the terminal and for docs/benchmarks.md."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from benchmarks.quality.judging import Spread
from benchmarks.quality.measured import Row, gain, interval
from benchmarks.quality.rows import PRIOR, PUBLISHED, PUBLISHED_TITLES, RINGWATCH, TITLES
from graph_etl.errors import RingwatchError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from benchmarks.quality.sets import DataSet

BEGIN: Final = "<!-- bench-quality: begin; written by `make bench-quality ARGS=--write` -->"
END: Final = "<!-- bench-quality: end -->"
_COLUMNS: Final = {
    "average_precision": "average precision",
    "auroc": "AUROC",
    "recall_at_k": "recall in first K",
    "recall_at_1pct_fpr": "recall at 1 % FPR",
}
# What a peer's code may differ from the authors' by: three quarters of a standard deviation of the splits.
TOLERANCE: Final = 0.01


class MarkersMissing(RingwatchError):
    """A document that has no place for the table."""

    def __init__(self, path: Path) -> None:
        """Say which lines to add."""
        super().__init__(f"{path}: has no place for the table; add the lines '{BEGIN}' and '{END}'")


def title_of(row: str) -> str:
    """A row's name for readers.

    Args:
        row: Name of the row.

    Returns:
        Text.
    """
    return TITLES.get(row, f"… {row}" if row.startswith("less ") else row)


def shown(spread: Spread | None) -> str:
    """A figure with its standard deviation.

    Args:
        spread: The figure; None where there is none.

    Returns:
        Text such as ``0.584 ± 0.017``, or a dash.
    """
    if spread is None:
        return "–"
    if math.isnan(spread.sd) or spread.sd < 5e-7:  # of parts of one size, say
        return f"{spread.mean:.3f}"
    return f"{spread.mean:.3f} ± {spread.sd:.3f}"


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table.

    Args:
        head: Titles of the columns.
        lines: Cells.

    Returns:
        Text that ends with a line break.
    """
    all_lines = [head, ["---"] * len(head), *lines]
    return "".join("| " + " | ".join(line) + " |\n" for line in all_lines)


def section(data: DataSet, rows: Sequence[Row]) -> str:
    """One data set.

    Args:
        data: The data set.
        rows: Its rows.

    Returns:
        Heading, protocol, tables, and what they say.
    """
    lines = []
    for row in rows:
        error = "" if row.calibration_error is None else f"{row.calibration_error:.3f}"
        title = title_of(row.name) if not row.failed else f"{title_of(row.name)} – FAILED: {row.failed}"
        lines.append([title, *(shown(row.spread.get(name)) for name in _COLUMNS), error])
    text = (
        f"### {data.name}\n\n{len(data.judged.rows):,} judged, {int(data.judged.bad.sum()):,} of them bad: "
        f"{data.protocol}.\n\n" + table(["scores of", *_COLUMNS.values(), "ECE"], lines)
    )
    return text + _slices(rows) + _said(rows)


def _slices(rows: Sequence[Row]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row.slices))
    if not names:
        return ""
    lines = [
        [
            title_of(row.name),
            *(
                shown(row.slices.get(name, {}).get(figure))
                for name in names
                for figure in ("average_precision", "recall_at_1pct_fpr")
            ),
        ]
        for row in rows
        if row.spread and not row.name.startswith("less ")
    ]
    head = [f"{name}: {short}" for name in names for short in ("AP", "recall at 1 % FPR")]
    return "\nSlices:\n\n" + table(["scores of", *head], lines)


def _said(rows: Sequence[Row]) -> str:
    """Ringwatch beside the best of the others, and what GraphSAGE adds, in words."""
    named = {row.name: row for row in rows if row.spread}
    if RINGWATCH not in named:
        return ""
    ours = named[RINGWATCH]
    others = _others(named)
    lines = []
    for figure in ("average_precision", "auroc"):
        if not others:
            continue
        best = max(others, key=lambda row: row.spread[figure].mean)
        ahead = ours.spread[figure].mean - best.spread[figure].mean
        sd = max(ours.spread[figure].sd, best.spread[figure].sd)
        word = "ahead of" if ahead > 0 else "behind"
        much = "" if math.isnan(sd) or abs(ahead) > sd else ", which is less than one standard deviation"
        lines.append(
            f"By {_COLUMNS[figure]} Ringwatch is {abs(ahead):.3f} {word} the best other, "
            f"{title_of(best.name)}{much}."
        )
    behind = _slices_behind(ours, others)
    if ours.slices and others:
        lines.append(
            "Slices where the best other is ahead by more than one standard deviation: "
            + ("; ".join(behind) if behind else "none")
            + "."
        )
    if "less GraphSAGE" in named:
        lines.append(f"GraphSAGE adds {added(ours, named['less GraphSAGE'])} to average precision.")
    return "\n" + "\n".join(lines) + "\n" if lines else ""


def _slices_behind(ours: Row, others: Sequence[Row]) -> list[str]:
    """Slices and figures in which another method is ahead by more than the greater standard deviation."""
    found = []
    for name, spread in ours.slices.items():
        for figure in ("average_precision", "auroc"):
            best = max(others, key=lambda row: row.slices[name][figure].mean if name in row.slices else -1.0)
            if name not in best.slices:
                continue
            rival = best.slices[name][figure]
            if rival.mean - spread[figure].mean > max(rival.sd, spread[figure].sd):
                found.append(
                    f"{name}, {_COLUMNS[figure]} {shown(spread[figure])} for {shown(rival)} of "
                    f"{title_of(best.name)}"
                )
    return found


def summary(found: Mapping[str, Sequence[Row]]) -> str:
    """All data sets in one table, and what GraphSAGE adds on each.

    Args:
        found: Rows by data set.

    Returns:
        Tables; nothing where Ringwatch was not asked.
    """
    lines, sage = [], []
    for name, rows in found.items():
        named = {row.name: row for row in rows if row.spread}
        if RINGWATCH not in named:
            continue
        ours = named[RINGWATCH]
        others = _others(named)
        line = [name]
        for figure in ("average_precision", "auroc"):
            best = max(others, key=lambda row: row.spread[figure].mean, default=None)
            rival = "–" if best is None else f"{shown(best.spread[figure])}, {title_of(best.name)}"
            line += [shown(ours.spread[figure]), rival]
        lines.append(line)
        if "less GraphSAGE" in named:
            less = named["less GraphSAGE"]
            alone = named["graphsage"].spread["average_precision"] if "graphsage" in named else None
            sage.append(
                [
                    name,
                    shown(alone),
                    shown(less.spread["average_precision"]),
                    shown(ours.spread["average_precision"]),
                    added(ours, less),
                ]
            )
    text = ""
    if lines:
        head = ["", "Ringwatch: average precision", "best other", "Ringwatch: AUROC", "best other"]
        text += "### In short\n\n" + table(head, lines)
    if sage:
        head = [
            "average precision",
            "GraphSAGE alone",
            "Ringwatch less GraphSAGE",
            "Ringwatch",
            "GraphSAGE adds",
        ]
        text += "\nDoes GraphSAGE earn its place?\n\n" + table(head, sage)
    return text


def at_signup(found: Mapping[str, Sequence[Row]]) -> str:
    """What is caught at sign-up, where one account in a hundred that is good may be stopped.

    Args:
        found: Rows by data set, of those whose examples are accounts at their sign-up.

    Returns:
        A table; nothing without such data sets.
    """
    wanted = (PRIOR, "rule", "reputation", "lightgbm", "xgbgraph", "rfgraph", "graphsage", RINGWATCH)
    names = [name for name in wanted if any(row.name == name for rows in found.values() for row in rows)]
    if not names:
        return ""
    lines = []
    for name in names:
        cells = [next((row for row in rows if row.name == name), None) for rows in found.values()]
        lines.append(
            [
                title_of(name),
                *("–" if one is None else shown(one.spread.get("recall_at_1pct_fpr")) for one in cells),
            ]
        )
    return "### At sign-up: recall at 1 % false positives\n\n" + table(["scores of", *found], lines)


def _others(named: Mapping[str, Row]) -> list[Row]:
    """Rivals: neither ours, nor the prior, nor a rule that knows what came later."""
    no_rivals = (RINGWATCH, "less ", PRIOR, "rule with hindsight")
    return [row for name, row in named.items() if not name.startswith(no_rivals)]


def added(ours: Row, less: Row) -> str:
    """What a part adds to average precision, part by part.

    Args:
        ours: With it.
        less: Without it.

    Returns:
        The mean of the differences with its 95 % interval, see `benchmarks.quality.measured.interval`.
    """
    found, between = gain(ours, less), interval(ours, less)
    told = "no interval" if between is None else f"95 % interval {between[0]:+.4f} to {between[1]:+.4f}"
    return f"{found.mean:+.4f} ({told})"


def published(rows: Sequence[Row]) -> tuple[str, bool]:
    """Peers at the settings of their authors beside the published figures.

    Args:
        rows: Rows of `benchmarks.quality.rows.PUBLISHED`.

    Returns:
        Text, and whether all agree. A peer that does better than published is no weak rival, so only less is
        a fault.
    """
    lines, good = [], True
    for row in rows:
        cells = [PUBLISHED_TITLES[row.name]]
        verdict = "agrees"
        for figure in ("average_precision", "auroc", "recall_at_k"):
            wanted = PUBLISHED[row.name].get(figure)
            seen = row.spread.get(figure)
            cells.append(f"{shown(seen)} ({'–' if wanted is None else f'{wanted:.3f}'})")
            if wanted is None or seen is None:
                continue
            if seen.mean < wanted - TOLERANCE:
                verdict = "**DOES NOT AGREE**"
            elif seen.mean > wanted + TOLERANCE and verdict == "agrees":
                verdict = "better than published"
        good = good and verdict != "**DOES NOT AGREE**" and bool(row.spread)
        lines.append([*cells, verdict if row.spread else "**FAILED**"])
    return (
        "Peers at their authors' settings, nothing searched, in brackets what was published of them (Tang et "
        f"al., 2023); they agree if no figure is more than {TOLERANCE:.2f} lower:\n\n"
        + table(["", "average precision", "AUROC", "recall in first K", ""], lines)
        + (
            ""
            if good
            else "\n**Not all peers agree with what was published of them; do not trust this table.**\n"
        ),
        good,
    )


def first_days(name: str, found: Mapping[str, Mapping[str, Spread | None]]) -> str:
    """Average precision with few verdicts.

    Args:
        name: Of the data set.
        found: By verdicts known, then by row.

    Returns:
        Heading and table.
    """
    rows = list(dict.fromkeys(row for one in found.values() for row in one))
    lines = [[title_of(row), *(shown(one.get(row)) for one in found.values())] for row in rows]
    return (
        f"### {name}: the first days\n\nAverage precision by the verdicts that are known; mean ± standard "
        + (
            "deviation over three draws. A dash: nothing to learn from.\n\n"
            + table(["scores of", *found], lines)
        )
    )


def written(path: Path, text: str) -> None:
    """Put the text between the markers of a document.

    Args:
        path: The document.
        text: Markdown.

    Raises:
        MarkersMissing: If it has no markers.
    """
    held = path.read_text()
    if BEGIN not in held or END not in held:
        raise MarkersMissing(path)
    before, rest = held.split(BEGIN, 1)
    path.write_text(f"{before}{BEGIN}\n\n{text.strip()}\n\n{END}{rest.split(END, 1)[1]}")
