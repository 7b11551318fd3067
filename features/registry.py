"""The registry: every feature by name, with what it says, in the order in which the kernel writes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from features.kernel import N_BINS
from features.profile import CATEGORY_SLOTS

if TYPE_CHECKING:
    from features.view import GraphView
    from graph_etl.snapshot import Snapshot

Source = Literal["live", "epoch"]


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """One feature.

    Attributes:
        name: Stable name, unique in its registry.
        family: What it is computed from: ``attribute``, ``account``, ``profile``, ``identifier``, ``burst``,
            ``direct``, ``shared``, ``link`` or ``embedding``.
        group: What it is about: an attribute, a relation's side, a kind.
        description: One sentence for people, units included.
        source: ``live`` (exact from the visible rows) or ``epoch`` (from the last published artefact).
        uses_verdicts: True where known verdicts of other accounts go in.
    """

    name: str
    family: str
    group: str
    description: str
    source: Source = "live"
    uses_verdicts: bool = False


@dataclass(frozen=True, slots=True)
class Registry:
    """The features of one schema.

    Attributes:
        specs: In the order of the columns of `features.compute`.
    """

    specs: tuple[FeatureSpec, ...]

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return [spec.name for spec in self.specs]

    def __len__(self) -> int:
        """Number of columns."""
        return len(self.specs)


_BINS = ("1", *(f"{1 << b}-{(2 << b) - 1}" for b in range(1, N_BINS - 1)), f"{1 << (N_BINS - 1)}+")
_SIDE = (
    ("events", "profile", "events through {g}, log"),
    ("counterparts", "profile", "distinct counterparts through {g}, log"),
    ("amount", "profile", "sum of amounts or counts through {g}, signed log"),
    ("users_mean", "profile", "accounts that touch its counterparts through {g}, mean log2"),
    ("users_min", "identifier", "accounts that touch its rarest counterpart through {g}, log2"),
    ("users_max", "identifier", "accounts that touch its commonest counterpart through {g}, log2"),
    ("partners_mean", "profile", "nodes that reach its counterparts through {g} too, mean log2"),
    ("partners_min", "profile", "nodes that reach its rarest counterpart through {g} too, log2"),
    ("partners_max", "profile", "nodes that reach its commonest counterpart through {g} too, log2"),
    *(
        (f"with_{b}_users", "profile", f"counterparts through {{g}} that {b} accounts touch, log")
        for b in _BINS
    ),
    ("repeats", "profile", "events for each counterpart through {g}"),
    ("events_1h", "profile", "events through {g} in the last hour, log"),
    ("events_1d", "profile", "events through {g} in the last day, log"),
    (
        "newcomers_1h",
        "identifier",
        "most accounts new on one counterpart through {g} in the last hour, log",
    ),
    ("newcomers_1d", "identifier", "most accounts new on one counterpart through {g} in the last day, log"),
    (
        "newcomers_7d",
        "identifier",
        "most accounts new on one counterpart through {g} in the last 7 days, log",
    ),
    (
        "newcomers_30d",
        "identifier",
        "most accounts new on one counterpart through {g} in the last 30 days, log",
    ),
    ("counterpart_age", "identifier", "hours since its newest counterpart through {g} appeared, log"),
    ("rare_share", "profile", "share of counterparts through {g} that at most three accounts touch"),
)
_BURST = (
    ("before_1h", "accounts that appeared in the hour before it, log"),
    ("before_1d", "accounts that appeared in the day before it, log"),
    ("before_7d", "accounts that appeared in the week before it, log"),
    ("after_1h", "accounts that appeared in the hour after it, log"),
    ("after_1d", "accounts that appeared in the day after it, log"),
    ("after_7d", "accounts that appeared in the week after it, log"),
    ("rate", "appearances within an hour, over what the week around would give"),
    ("alike_nearest", "similarity to the accounts that appeared nearest in time, mean"),
    ("alike_best", "similarity to the most alike account that appeared close in time"),
    ("alike_hour", "similar accounts within about an hour, weighted sum"),
    ("alike_day", "similar accounts within about a day, weighted sum"),
    ("alike_count", "accounts close in time with similarity over 0.8"),
    ("alike_mean", "similarity to accounts that appeared close in time, mean"),
)
_SHARED = (
    ("accounts", "accounts that share something with it, log"),
    ("rarity", "sum of rarity over what it shares, log"),
    ("rarity_best", "rarity of the rarest thing it shares"),
    ("closeness", "how close in time those accounts appeared, rarity-weighted mean"),
    ("alike", "similarity of those accounts, rarity-weighted mean"),
    ("alike_best", "greatest product of rarity and similarity"),
    ("within_1h", "accounts that share something and appeared within an hour, log"),
    ("within_1d", "accounts that share something and appeared within a day, log"),
    ("joint", "sum of rarity, similarity and closeness over sharing accounts, log"),
)


def profile_names(snapshot: Snapshot, view: GraphView) -> list[str]:
    """Names of the places of a profile.

    Args:
        snapshot: Gives the attributes.
        view: Gives the sides.

    Returns:
        One name for each place of `features.profiles`.
    """
    names: list[str] = []
    for attribute in snapshot.attributes:
        if attribute.type == "category":
            names += [f"{attribute.name}~{slot}" for slot in range(CATEGORY_SLOTS)]
        else:
            names.append(attribute.name)
    for side in view.sides:
        names += [f"{side.label}.counterparts", f"{side.label}.commonness"]
    return names


def build_registry(snapshot: Snapshot, view: GraphView) -> Registry:
    """List the features that a snapshot's schema gives.

    Args:
        snapshot: Gives the attributes.
        view: Gives the sides.

    Returns:
        The registry, in the kernel's order.
    """
    specs = [
        FeatureSpec(f"attribute.{a.name}", "attribute", a.name, f"the account's own {a.name}")
        for a in snapshot.attributes
    ]
    specs += [
        FeatureSpec("account.age", "account", "account", "hours since it first appeared, log"),
        FeatureSpec("account.hour", "account", "account", "hour of the day (UTC) of its first appearance"),
        FeatureSpec("account.counterparts", "account", "account", "distinct counterparts in all, log"),
    ]
    for side in view.sides:
        specs += [
            FeatureSpec(f"{side.label}.{name}", family, side.label, words.format(g=side.label))
            for name, family, words in _SIDE
        ]
    specs += [FeatureSpec(f"burst.{name}", "burst", "burst", words) for name, words in _BURST]
    places = profile_names(snapshot, view)
    specs.append(FeatureSpec("direct.accounts", "direct", "direct", "accounts it dealt with, log"))
    for which in ("mean", "max", "spread"):
        specs += [
            FeatureSpec(f"direct.{which}.{p}", "direct", p, f"{which} of {p} over accounts it dealt with")
            for p in places
        ]
    specs += [FeatureSpec(f"shared.{name}", "shared", "shared", words) for name, words in _SHARED]
    for which in ("mean", "spread"):
        specs += [
            FeatureSpec(f"shared.{which}.{p}", "shared", p, f"{which} of {p} over sharing accounts")
            for p in places
        ]
    return Registry(tuple(specs))
