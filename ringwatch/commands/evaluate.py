"""`ringwatch evaluate`: scores and rings against a truth that training may or may not have seen."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ringwatch.console import Outcome
from ringwatch.options import JsonOption, Options, SeedOption, WorkspaceOption

if TYPE_CHECKING:
    from ringwatch.evaluation import Estimate, ScoreReport


def add_to(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("evaluate")(_evaluate)


def _evaluate(
    truth: Annotated[Path, typer.Option(metavar="FILE", help="CSV or Parquet: account,label[,ring].")],
    workspace: WorkspaceOption = None,
    seed: SeedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge the current bundle and rings; accounts whose verdict training saw are reported apart."""
    import numpy as np
    import polars as pl

    from graph_etl import Workspace, WorkspaceError
    from ringwatch.evaluation import judge_rings, judge_scores
    from ringwatch.scores import current_scores
    from ringwatch.tables import TableError, open_rings, read_truth

    options = Options.of(workspace, seed, as_json)
    screen = options.screen
    place = Workspace(options.workspace)
    snapshot = place.open_snapshot()
    wanted = read_truth(truth)
    with screen.progress() as progress:
        progress("scoring all accounts", 0, 1)
        scores = current_scores(place, snapshot)
    if scores.bundle is None:
        message = f"{options.workspace}: no bundle to judge; make one with `ringwatch train`"
        raise WorkspaceError(message)
    rows = wanted.join(
        pl.DataFrame(
            {
                "account": snapshot.account_ids.to_list(),
                "score": scores.score,
                "held_out": scores.held_out,
                "trained_on": snapshot.labels() >= 0,
            }
        ),
        on="account",
        how="left",
        maintain_order="left",
    )
    missing = int(rows["score"].null_count())
    known = rows.drop_nulls("score")
    if not len(known):
        message = f"{truth}: none of its {len(wanted):,} accounts is in snapshot {snapshot.id}; check the ids"
        raise TableError(message)
    seen, fresh = known.filter("trained_on"), known.filter(~pl.col("trained_on"))
    parts = [
        ("without a verdict in training", fresh, "score"),
        (
            "with a verdict in training, held-out scores",
            seen.filter(pl.col("held_out").is_not_nan()),
            "held_out",
        ),
        ("with a verdict in training, final scores (seen, so flattering)", seen, "score"),
    ]
    reports: dict[str, Any] = {}
    table = []
    for name, part, column in parts:
        report = (
            judge_scores(
                part["bad"].to_numpy(),
                part[column].to_numpy().astype(np.float64),
                part["ring"].to_list(),
                seed=options.seed,
            )
            if len(part)
            else None
        )
        reports[name] = None if report is None else asdict(report)
        table.append([name, len(part), int(part["bad"].sum()), *_shown(report)])
    screen.heading(f"Scores of bundle {scores.bundle} against {truth}")
    screen.table(["accounts", "judged", "bad", "average precision", "AUROC", "recall at K"], table)
    if missing:
        screen.note(f"warning: {missing:,} of {len(wanted):,} accounts of the truth are not in the snapshot")
    result: dict[str, Any] = {
        "truth": str(truth),
        "bundle": scores.bundle,
        "snapshot": snapshot.id,
        "accounts_in_truth": len(wanted),
        "not_in_snapshot": missing,
        "with_training_verdict": len(seen),
        "scores": reports,
        "rings": None,
    }
    run = open_rings(place, snapshot)
    reported = {
        str(ring[0]): set(part["account"]) for ring, part in known.drop_nulls("ring").group_by("ring")
    }
    if run is not None and reported:
        ranked = run.table.sort("rank")["ring"].to_list()
        members = {str(ring[0]): set(part["account_id"]) for ring, part in run.members.group_by("ring")}
        judged = judge_rings(reported, [(ring, members.get(ring, set())) for ring in ranked])
        result["rings"] = asdict(judged)
        screen.say(
            f"rings: {judged.n_found} of {judged.n_reported} reported ones found among {judged.n_rings} "
            "(at least half of it, Jaccard 0.3)"
        )
    screen.finish(
        Outcome(
            "evaluate", options.workspace, result, next_command=options.next_command("export", "scores FILE")
        )
    )


def _shown(report: "ScoreReport | None") -> list[str]:
    if report is None:
        return ["one class only", "", ""]
    return [_interval(figure) for figure in (report.average_precision, report.auroc, report.recall_at_k)]


def _interval(figure: "Estimate") -> str:
    return f"{figure.value:.3f} ({figure.low:.3f}–{figure.high:.3f})"
