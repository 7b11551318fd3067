# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Explore game_signups (simulated)
#
# A game platform under attack, from raw exports to one ring and its evidence. **Everything in this data is
# simulated; no account, device or address belongs to anybody.**
#
# The workspace is that of `make demo`; what is missing in it is built, trained and found here, in some
# minutes. `RINGWATCH_WORKSPACE` names another one, `RINGWATCH_EXAMPLE` another simulated platform's folder.
# Open this file with Jupyter (`jupytext`) or run it as it stands.

# %%
import os
from pathlib import Path

import igraph
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import gnn
import rings
from features import Queries
from graph_etl import Snapshot, Workspace
from graph_etl.build import build
from graph_etl.spec import load_spec
from ringwatch.settings import DEMO_HASH_KEY

ROOT = next(folder for folder in [Path.cwd(), *Path.cwd().parents] if (folder / "examples").is_dir())
EXAMPLE = Path(os.environ.get("RINGWATCH_EXAMPLE", ROOT / "examples" / "game_signups"))
os.environ.setdefault("RINGWATCH_HASH_KEY", DEMO_HASH_KEY)  # simulated data keeps no secrets
workspace = Workspace(os.environ.get("RINGWATCH_WORKSPACE", ROOT / ".ringwatch" / "demo" / "game_signups"))

HONEST, BAD, MUTED, MARK = "#4477aa", "#cc3311", "#bbbbbb", "#ee7733"
plt.rcParams.update({"figure.dpi": 110, "axes.spines.top": False, "axes.spines.right": False})

# %% [markdown]
# ## 1. What comes in
#
# Four exports. Note the faults: some rows cannot be read, some stand there twice.

# %%
tables = {
    name: pd.read_csv(EXAMPLE / "data" / f"{name}.csv.gz", dtype=str)
    for name in ("signups", "logins", "gifts", "payments", "verdicts", "truth")
}
pd.Series({name: len(table) for name, table in tables.items()}, name="rows").to_frame()

# %%
signups = tables["signups"].drop_duplicates("event_id")
signups = signups.assign(at=pd.to_datetime(signups["created_at"], errors="coerce", utc=True))
signups = signups.dropna(subset=["at", "account_id"]).reset_index(drop=True)
signups.head()

# %% [markdown]
# ### A burst alone proves nothing
#
# Two days, one dot a sign-up; the height is its device, in the order in which the devices appeared. On the
# left an advertisement brings many people, each on a device of their own. On the right somebody makes 14
# accounts within 41 minutes on two devices: two short rows of dots.


# %%
def plot_day(axes: plt.Axes, day: str, from_h: float, to_h: float, title: str) -> None:
    start = pd.Timestamp(day, tz="UTC")
    window = signups[
        signups["at"].between(start + pd.Timedelta(hours=from_h), start + pd.Timedelta(hours=to_h))
    ]
    row = window["device_id"].map({device: k for k, device in enumerate(window["device_id"].unique())})
    crowded = window["device_id"].map(window["device_id"].value_counts()) >= 3
    hour = (window["at"] - start) / pd.Timedelta(hours=1)
    axes.scatter(hour[~crowded], row[~crowded], s=16, color=HONEST, label="device with one or two sign-ups")
    axes.scatter(hour[crowded], row[crowded], s=22, color=BAD, label="device with three or more")
    axes.set(title=title, xlabel=f"hour of {day} (UTC)", ylabel="device, in order of appearance")


figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
plot_day(left, "2025-03-22", 15.5, 22, "An advertisement (simulated)")
plot_day(right, "2025-04-22", 12.5, 19, "A device farm (simulated)")
right.legend(loc="upper left", frameon=False, fontsize=8)

# %% [markdown]
# ## 2. The graph
#
# `build` reads the exports through `spec.yaml`, hashes what identifies people, puts unreadable rows into
# quarantine and writes a snapshot.

# %%
if workspace.current()["snapshot"] is None:
    build(load_spec(EXAMPLE / "spec.yaml"), workspace)
snapshot = workspace.open_snapshot()
pd.Series(snapshot.manifest["counts"], name=f"{snapshot.id} (simulated)").to_frame()

# %% [markdown]
# ### Hubs
#
# A carrier's address is shared by hundreds who never met: a hub, which links nobody. Below, how many nodes
# are shared by how many accounts; hubs are marked. No device is a hub, however many accounts a farm makes
# on it: its accounts came in a burst, those of a hub at all times.


# %%
def accounts_per_node(snapshot: Snapshot, kind: str) -> pd.Series:
    """Count the distinct accounts of each node of a kind."""
    number = [known.name for known in snapshot.kinds].index(kind)
    relation = next(known for known in snapshot.relations if known.name == f"used:{kind}")
    nodes = np.flatnonzero(snapshot.node_kind == number)
    return pd.Series(np.diff(relation.pair_in.indptr)[nodes], index=nodes)


hubs = snapshot.hubs.to_pandas()
figure, panels = plt.subplots(1, 2, figsize=(11, 3.8), layout="constrained", sharey=True)
for axes, kind, name in zip(panels, ("device", "ip"), ("device", "IP address"), strict=True):
    shared = accounts_per_node(snapshot, kind)
    for nodes, color, label in (
        (shared[~shared.index.isin(hubs["node"])], HONEST, "no hub"),
        (shared[shared.index.isin(hubs["node"])], MARK, "hub"),
    ):
        sizes = nodes.value_counts()
        axes.scatter(sizes.index, sizes, s=24, color=color, label=f"{label} ({len(nodes):,})")
    axes.set(xscale="log", yscale="log", title=f"Accounts that share one {name} (simulated)")
    axes.set(xlabel="accounts", ylabel="nodes that so many accounts share")
    axes.legend(frameon=False)

# %%
crowds = hubs[hubs["kind"] == "ip"].sort_values("accounts", ascending=False)
crowds[["kind", "accounts", "reason"]].head(12)

# %% [markdown]
# ## 3. Scores
#
# Trained on verdicts only, of which there are few, and late. The truth, which nobody but a simulation
# knows, tells what the scores are worth on the accounts without any verdict.

# %%
if workspace.current()["bundle"] is None:
    gnn.train(snapshot, workspace, seed=0)
bundle = gnn.Bundle.open(workspace.path_of("bundle", workspace.current()["bundle"]))
verdict = tables["verdicts"].drop_duplicates("account", keep="last").set_index("account")["verdict"]
scores = bundle.scores.to_pandas().merge(tables["truth"].rename(columns={"account": "account_id"}))
scores["bad"] = scores["label"] == "1"
scores["verdict"] = scores["account_id"].map(verdict).fillna("none")
scores.groupby(["bad", "verdict"])["score"].describe()[["count", "25%", "50%", "75%"]].round(3)

# %% [markdown]
# On the left, how the scores spread. On the right, somebody works down the list of the accounts that have
# no verdict yet: how many bad ones has he met?

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.8), layout="constrained")
edges = np.linspace(0, 1, 41)
for chosen, color, label in ((~scores["bad"], HONEST, "honest"), (scores["bad"], BAD, "bad")):
    left.hist(
        scores.loc[chosen, "score"], edges, color=color, alpha=0.65, label=f"{label} ({chosen.sum():,})"
    )
left.set(yscale="log", title="Scores of all accounts (simulated)", xlabel="score", ylabel="accounts")
left.legend(frameon=False)

unjudged = scores[scores["verdict"] == "none"].sort_values("score", ascending=False)
looked_at = np.arange(1, len(unjudged) + 1)
right.plot(looked_at, unjudged["bad"].cumsum(), color=BAD, label="by score")
right.plot(looked_at, looked_at * unjudged["bad"].mean(), color=MUTED, label="at random")
right.set(title="Bad accounts met without a verdict (simulated)", ylim=(0, None))
right.set(xlim=(0, 6 * unjudged["bad"].sum()), xlabel="accounts looked at, highest score first")
right.set_ylabel("bad accounts among them")
right.axhline(unjudged["bad"].sum(), color=MUTED, linestyle=":", label="all there are")
right.legend(frameon=False)

# %% [markdown]
# ## 4. Rings

# %%
if workspace.current()["rings"] is None:
    found = rings.find(
        snapshot, bundle.scores.sort("account")["score"].to_numpy(), verdicts=snapshot.labels(), seed=0
    )
    with workspace.new_folder("rings", found.id) as folder:
        found.write(folder)
    workspace.set_current("rings", found.id)
run = rings.RingsRun.open(workspace.path_of("rings", workspace.current()["rings"]))
pd.set_option("display.max_colwidth", 120)
ranked = run.table.to_pandas().sort_values("rank")
ranked[["rank", "ring", "score", "size", "n_known_bad", "words"]].head(10)

# %% [markdown]
# ### One ring that nobody knew
#
# The highest ring without a confirmed bad member. Each sentence points to the evidence that it was made
# from.

# %%
ring = ranked.loc[ranked["n_known_bad"] == 0, "ring"].iloc[0]
story = run.explain(ring)
for sentence in story["sentences"]:
    print(f"{sentence['text']}  {sentence['evidence']}")

# %%
evidence = pd.DataFrame(story["evidence"]).set_index("id")
evidence[
    [name for name in ("type", "kind", "weight", "accounts", "n_entities", "others") if name in evidence]
]

# %% [markdown]
# When its members did what, and how they hang together. Squares are what they share; the red one, if there
# is any, is the nearest account that was confirmed bad.

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
timeline = pd.DataFrame(story["timeline"])
timeline["at"] = pd.to_datetime(timeline["time_ms"], unit="ms", utc=True)
height = {account: k for k, account in enumerate(timeline["account_id"].drop_duplicates())}
logins = tables["logins"][tables["logins"]["account_id"].isin(list(height))]
moments = {
    "sign-up": (timeline[timeline["event"] == "signup"], BAD, "o"),
    "log-in": (logins.assign(at=pd.to_datetime(logins["at"], errors="coerce", utc=True)), HONEST, "|"),
    "first gift": (timeline[timeline["event"] == "gift"], MARK, "^"),
}
for label, (events, color, marker) in moments.items():
    row = events["account_id"].map(height)
    left.scatter(events["at"].to_numpy(), row, s=36, color=color, marker=marker, label=label)
left.set(title=f"Ring {ring} (simulated)", xlabel="time (UTC)", ylabel="member")
left.set_yticks(list(height.values()), list(height), fontsize=7)
left.tick_params(axis="x", rotation=30)
left.legend(frameon=False, fontsize=8)

shown = {"used:device", "used:ip", "used:card", "used:email", "gift", "nearest known bad"}
ties = [edge for edge in story["subgraph"]["edges"] if edge["relation"] in shown]
kept = {end for edge in ties for end in (edge["source"], edge["target"])}
nodes = [node for node in story["subgraph"]["nodes"] if node["id"] in kept]
place = {node["id"]: k for k, node in enumerate(nodes)}
pairs = [(place[edge["source"]], place[edge["target"]]) for edge in ties]
spread = np.array(igraph.Graph(len(nodes), pairs).layout_kamada_kawai().coords)
for edge, (one, other) in zip(ties, pairs, strict=True):
    gift = edge["relation"] == "gift"
    right.plot(
        *spread[[one, other]].T, color=MARK if gift else MUTED, linewidth=1.2 if gift else 0.8, zorder=1
    )
for node, (x, y) in zip(nodes, spread, strict=True):
    account = node["kind"] == "account"
    color = BAD if node.get("known_bad") else HONEST if account else MUTED
    right.scatter(x, y, s=70 if account else 90, color=color, marker="o" if account else "s", zorder=2)
    if not account:
        right.annotate(
            node["kind"], (x, y), xytext=(0, 8), textcoords="offset points", ha="center", fontsize=8
        )
right.set(title="Who shares what; gifts in orange (simulated)", xlabel="layout", ylabel="layout")
right.set(xticks=[], yticks=[])

# %% [markdown]
# ### One of its members, from score to reasons

# %%
member = run.members.filter(run.members["ring"] == ring).to_pandas().sort_values("weight").iloc[-1]
scorer = gnn.Scorer(snapshot, bundle)
asked = Queries.for_accounts(snapshot, np.array([member["account"]]), moment="retrospective")
answer = scorer.score(asked, "retrospective")
print(f"account {member['account_id']}, {member['role']}: score {answer.score[0]:.3f}, simulated")
for reason in gnn.reasons(scorer, asked, answer):
    print(f"  {reason.code}: {reason.message} (+{reason.impact:.3f})")

# %% [markdown]
# ## 5. What the truth says
#
# For each true ring of five or more, which share of its accounts lies together in one ring that was found?
# Rings whose members share nothing at sign-up are the hard ones.

# %%
members = run.members.to_pandas()[["account_id", "ring"]].rename(columns={"ring": "found"})
sizes = members["found"].value_counts()
rows = []
for name, part in scores[scores["bad"]].merge(members, how="left", on="account_id").groupby("ring"):
    best = part["found"].value_counts()
    rows.append(
        {
            "ring": f"{name} ({len(part)})",
            "together": best.iloc[0] / len(part) if len(best) else 0.0,
            "of the found ring": best.iloc[0] / sizes[best.index[0]] if len(best) else np.nan,
            "banned": (part["verdict"] == "bad").mean(),
            "accounts": len(part),
        }
    )
together = pd.DataFrame(rows).query("accounts >= 5").sort_values(["together", "of the found ring"])
figure, axes = plt.subplots(figsize=(9, 0.27 * len(together) + 1.4), layout="constrained")
height_of = np.arange(len(together))
axes.barh(height_of, together["together"], color=HONEST, label="share of the ring together in one found ring")
axes.scatter(
    together["of the found ring"], height_of, color=MARK, s=22, zorder=2, label="... and of that ring"
)
axes.scatter(together["banned"], height_of, color=BAD, s=22, marker="x", zorder=2, label="banned by the end")
axes.set_yticks(height_of, together["ring"].to_list(), fontsize=8)
axes.set(title="True rings found (simulated)", xlabel="share of accounts", ylabel="true ring (accounts)")
axes.margins(y=0.01)
figure.legend(frameon=False, loc="outside lower center", ncols=3, fontsize=8)
