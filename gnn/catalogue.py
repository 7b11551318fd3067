"""The catalogue of reasons: stable codes in the words of the domain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class ReasonKind:
    """A kind of reason.

    Attributes:
        code: Stable; clients may branch on it.
        title: A few words.
        meaning: What it says, for analysts and documentation.
        safe_for_user: Whether an end user may be shown it: nothing that teaches an attacker what gave them
            away, nothing about other people.
    """

    code: str
    title: str
    meaning: str
    safe_for_user: bool


_KINDS: Final = (
    ReasonKind(
        "SHARED_WITH_CONFIRMED_BAD",
        "Shares something rare with a confirmed bad account",
        "The account touches a device, address or other node that few accounts touch, one of them confirmed "
        "bad. Always given, whatever the model makes of it: returning after a ban is the commonest case.",
        safe_for_user=False,
    ),
    ReasonKind(
        "DEALT_WITH_CONFIRMED_BAD",
        "Dealt with a confirmed bad account",
        "There is a direct interaction with an account that is confirmed bad. Victims have these too.",
        safe_for_user=False,
    ),
    ReasonKind(
        "REPUTATION",
        "Touches what many confirmed bad accounts touch",
        "Many of the latest accounts on something that the account touches are confirmed bad. It may be "
        "common, such as a page or a shop: that draws bad accounts and links nobody.",
        safe_for_user=False,
    ),
    ReasonKind(
        "SHARED_IDENTIFIERS",
        "Shares identifiers or counterparts with other accounts",
        "Other accounts touch the same rare nodes. Households and campuses do so too: look at how alike and "
        "how close in time they are.",
        safe_for_user=False,
    ),
    ReasonKind(
        "IDENTIFIER_BURST",
        "Many new accounts on the same identifier",
        "A node that the account touches saw several new accounts within a short time.",
        safe_for_user=False,
    ),
    ReasonKind(
        "LINKED_ACCOUNTS",
        "Strong links to other accounts",
        "Rarity of what is shared, closeness in time and similar behaviour together link it to others.",
        safe_for_user=False,
    ),
    ReasonKind(
        "COMMUNITY",
        "Part of a group that holds together",
        "The accounts that it is linked with are linked with each other, appeared together or score high.",
        safe_for_user=False,
    ),
    ReasonKind(
        "SIGNUP_BURST",
        "Appeared among look-alikes",
        "Accounts that behave alike appeared shortly before or after it.",
        safe_for_user=False,
    ),
    ReasonKind(
        "ACTIVITY_PATTERN",
        "Activity like that of accounts found bad",
        "How much it does of one kind of interaction, and with how common counterparts.",
        safe_for_user=False,
    ),
    ReasonKind(
        "COUNTERPARTY_PATTERN",
        "Deals with accounts that look unusual",
        "The accounts that it interacts with directly behave unlike most.",
        safe_for_user=False,
    ),
    ReasonKind(
        "ACCOUNT_DETAILS",
        "Details of the account",
        "One of the account's own attributes is commoner among accounts found bad.",
        safe_for_user=True,
    ),
    ReasonKind(
        "ACCOUNT_AGE",
        "Age of the account",
        "New accounts, or accounts that appeared at certain hours, are found bad more often.",
        safe_for_user=True,
    ),
    ReasonKind(
        "NEIGHBOURHOOD",
        "Neighbourhood in the graph",
        "The learned picture of the two hops around the account resembles that of accounts found bad.",
        safe_for_user=False,
    ),
)
REASON_CATALOGUE: Final[dict[str, ReasonKind]] = {kind.code: kind for kind in _KINDS}
