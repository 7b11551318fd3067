"""`ringwatch explain`: why an account scored so, or why a ring is one."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ringwatch.console import Outcome, Screen
from ringwatch.options import JsonOption, Options, SeedOption, WorkspaceOption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gnn import Bundle, Reason
    from gnn.counterfactual import Carrier, Counterfactuals
    from graph_etl import Snapshot, Workspace
    from rings import RingsRun

MOST_MEMBERS = 20
MOST_EVIDENCE = 10
MOST_CARRIERS = 5


def add_to(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("explain")(_explain)


def _explain(
    what: Annotated[str, typer.Argument(metavar="ACCOUNT|RING", help="An account's id, or a ring's.")],
    top: Annotated[int, typer.Option(metavar="N", min=1, help="Reasons to give.")] = 5,
    cypher: Annotated[
        bool, typer.Option("--cypher", help="Print a ring's queries for Neo4j Browser instead.")
    ] = False,
    workspace: WorkspaceOption = None,
    seed: SeedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Explain an account's score or a ring; a ring's id wins where both have it."""
    from graph_etl import Workspace, WorkspaceError
    from ringwatch.tables import open_rings

    options = Options.of(workspace, seed, as_json)
    place = Workspace(options.workspace)
    snapshot = place.open_snapshot()
    run = open_rings(place, snapshot)
    if run is not None and what in set(run.table["ring"]):
        explain_ring(options, snapshot, run, what, cypher=cypher)
        return
    account = snapshot.account_index(what)
    if cypher and account is not None:
        message = f"{what!r} is an account, and --cypher prints the queries of a ring; leave it out"
        raise WorkspaceError(message)
    if account is None:
        message = (
            f"{what!r} is neither an account of snapshot {snapshot.id} nor a ring of the current run; "
            "`ringwatch rings` lists rings, `ringwatch export scores FILE` all accounts"
        )
        raise WorkspaceError(message)
    explain_account(options, place, snapshot, run, account, top=top)


def explain_ring(
    options: Options, snapshot: "Snapshot", run: "RingsRun", ring: str, *, cypher: bool = False
) -> None:
    """Show a ring in words with its evidence and members, or its queries for Neo4j Browser.

    Args:
        options: The common options.
        snapshot: The snapshot that the rings were found in.
        run: The rings run.
        ring: The ring's id.
        cypher: Show the queries alone.
    """
    from dataclasses import asdict

    import polars as pl

    from rings.cypher import ring_queries, without_query
    from scoring_service.rings.presentation import evidence_text

    row = run.table.filter(pl.col("ring") == ring).row(0, named=True)
    detail = run.explain(ring)
    members = run.members.filter(pl.col("ring") == ring).sort("weight", descending=True)
    queries = ring_queries(snapshot, ring, members["account_id"].to_list(), detail["evidence"])
    screen = options.screen
    outcome = Outcome(
        "explain",
        options.workspace,
        {
            "kind": "ring",
            "ring": ring,
            "row": row,
            "detail": detail,
            "members": members.to_dicts(),
            "cypher": [asdict(query) for query in queries],
        },
        next_command=options.next_command("explain", str(members["account_id"][0])),
    )
    if cypher:
        for query in queries:
            screen.heading(f"[{query.id}] {query.title}")
            screen.say(query.text)
            screen.say(f"expected: {query.expected}", style="dim")
        asked = {query.id for query in queries}
        for item in detail["evidence"]:
            if item["id"] not in asked:
                screen.say(f"[{item['id']}] {item['type']}: no query, for {without_query(item)}", style="dim")
        screen.finish(outcome)
        return
    screen.heading(f"Ring {ring}: rank {row['rank']}, score {row['score']:.3f}, {row['size']} accounts")
    for sentence in detail["sentences"]:
        screen.say(f"  {sentence['text']}  [{', '.join(sentence['evidence'])}]")
    screen.heading("Evidence, the most telling first")
    cited = {name for sentence in detail["sentences"] for name in sentence["evidence"]}
    for place, item in enumerate(detail["evidence"]):
        if place < MOST_EVIDENCE or item["id"] in cited:
            screen.say(f"  [{item['id']}] {evidence_text(item)}")
    if detail.get("left_out"):
        screen.heading("Left out, though they look linked")
        for entry in detail["left_out"]:
            screen.say(f"  {entry['words']}  [{entry['code']}]")
    screen.heading("Members")
    screen.table(
        ["account", "role", "weight"],
        members.head(MOST_MEMBERS).select("account_id", "role", "weight").rows(),
    )
    if len(members) > MOST_MEMBERS:
        screen.say(f"and {len(members) - MOST_MEMBERS} more (`--json` lists all)")
    screen.say(f"in Neo4j Browser: {options.next_command('explain', f'{ring} --cypher')} prints its queries")
    screen.finish(outcome)


def explain_account(
    options: Options,
    place: "Workspace",
    snapshot: "Snapshot",
    run: "RingsRun | None",
    account: int,
    *,
    top: int = 5,
) -> None:
    """Show an account's score with its reasons.

    Args:
        options: The common options.
        place: The workspace.
        snapshot: Its snapshot.
        run: Its rings; None without.
        account: Index of the account.
        top: Reasons to give.
    """
    import gnn
    from graph_etl import WorkspaceError

    version = place.current()["bundle"]
    if version is None:
        message = f"{place.path}: no bundle to explain scores with; make one with `ringwatch train`"
        raise WorkspaceError(message)
    bundle = gnn.Bundle.open(place.path_of("bundle", version))
    detail = describe_account(options.screen, snapshot, bundle, run, account, top=top)
    ring = detail["ring"]
    follow = None if ring is None else options.next_command("explain", ring["ring"])
    outcome = Outcome("explain", options.workspace, {"kind": "account", **detail}, next_command=follow)
    options.screen.finish(outcome)


def describe_account(
    screen: Screen,
    snapshot: "Snapshot",
    bundle: "Bundle",
    run: "RingsRun | None",
    account: int,
    *,
    top: int = 5,
) -> dict[str, Any]:
    """Score one account as it looks at the snapshot's end and show its reasons, and what carries the score.

    Args:
        screen: Where to.
        snapshot: The snapshot.
        bundle: The bundle.
        run: The rings; None without.
        account: Index of the account.
        top: Reasons to give.

    Returns:
        What was shown, in the keys of `ringwatch explain --json`.
    """
    from dataclasses import asdict

    import numpy as np

    import gnn
    from features import Queries
    from gnn.counterfactual import counterfactuals
    from gnn.wording import score_in_words
    from scoring_service import load_policy

    scorer = gnn.Scorer(snapshot, bundle)
    queries = Queries.for_accounts(snapshot, np.array([account]), "retrospective")
    result = scorer.score(queries, "retrospective")
    below = load_policy().review_score("retrospective") if bundle.calibrated else None
    told = gnn.reasons(scorer, queries, result, top=top)
    found = counterfactuals(scorer, queries, result, reasons=told, below=below)
    reasons = found.reasons
    account_id = snapshot.account_ids[account]
    score, percentile = float(result.score[0]), float(result.percentile[0])
    member = None if run is None else run.ring_of(account)
    doubt = "" if bundle.calibrated else " (uncalibrated: it ranks, it is no probability)"
    screen.say(
        f"Account {account_id}: score {score_in_words(score, 3)}, above {percentile:.1f} % of all accounts"
        f"{doubt}",
        style="bold",
    )
    if member is not None:
        screen.say(f"  {member[1]} of ring {member[0]}")
    show_reasons(screen, reasons)
    show_carriers(screen, found)
    return {
        "account": account_id,
        "score": score,
        "percentile": percentile,
        "calibrated": bundle.calibrated,
        "bundle": bundle.version,
        "ring": None if member is None else {"ring": member[0], "role": member[1]},
        "reasons": [asdict(reason) for reason in reasons],
        "carriers": found.as_dict(),
    }


def explain_top_account(
    options: Options, snapshot: "Snapshot", bundle: "Bundle", run: "RingsRun"
) -> dict[str, Any] | None:
    """Show the account without a verdict that scores highest, with its reasons.

    Args:
        options: The common options.
        snapshot: The snapshot.
        bundle: A bundle with the scores of its accounts.
        run: The rings.

    Returns:
        Account, score, ring and reasons; None if every account has a verdict.
    """
    import polars as pl

    open_ones = bundle.scores.filter(pl.Series(snapshot.labels() < 0))
    if not len(open_ones):
        return None
    account = int(open_ones.sort(["score", "account"], descending=[True, False])["account"][0])
    options.screen.heading("The account without a verdict that scores highest")
    return describe_account(options.screen, snapshot, bundle, run, account)


def show_reasons(screen: Screen, reasons: "Sequence[Reason]") -> None:
    """Show reasons, one a line, the weightiest first."""
    if not reasons:
        screen.say("  nothing raises its score")
    for reason in reasons:
        screen.say(f"  {reason.impact:+.3f}  {reason.code}  {reason.message}")
        if reason.without is not None:
            screen.say(f"          {reason.without['words']}", style="dim")


def show_carriers(screen: Screen, found: "Counterfactuals") -> None:
    """Show which shared nodes and linked accounts carry a score, in log odds, the weightiest first."""
    for title, carriers, whole in (
        ("Shared nodes that carry the score", found.nodes, found.of_nodes),
        ("Linked accounts that carry it", found.accounts, found.of_accounts),
    ):
        if carriers:
            screen.heading(f"{title}: {whole:+.2f} in log odds together")
            _show_carried(screen, carriers)
    if found.least is not None and len(found.least.pieces) > 1:
        screen.say(f"  {found.least.words}")


def _show_carried(screen: Screen, carriers: "Sequence[Carrier]") -> None:
    for carrier in carriers[:MOST_CARRIERS]:
        carried = "" if carrier.log_odds is None else f"{carrier.log_odds:+.2f}"
        change = carrier.words.rpartition(": ")[2]
        screen.say(f"  {carried:>7}  {carrier.what}: {change} without it")
    if len(carriers) > MOST_CARRIERS:
        screen.say(f"  and {len(carriers) - MOST_CARRIERS} more (`--json` lists all)")
