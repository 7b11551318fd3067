"""Sign-up answered by two heads together: its own, and the one for events, where held-out accounts gain.

The row that brings an account in is an event too. The head for events has learned from many more examples,
and with the verdicts that were known before each of them; what it says of the first one is often as good as
what the head for sign-up says, and wrong in other places.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from features import moment_ms
from gnn.held_out import CONTACT_GAIN, enough, precision_of_folds
from gnn.targets import MIN_OF_A_CLASS
from gnn.trees import mixed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gnn.event_head import EventHead
    from gnn.stages import Moment, Run
    from gnn.tree_walk import Trees

# Shares of the head for events that are tried: where bad accounts are few a finer choice is one of noise.
_SHARES: Final = (0.5, 1.0)


def sign_up_of(moments: Sequence[Moment]) -> Moment | None:
    """The moment at which an account has done nothing but sign up.

    Args:
        moments: All of a training.

    Returns:
        The one of age 0, None if there is none.
    """
    return next((moment for moment in moments if moment_ms(moment.name) == 0), None)


def ask_both(run: Run, moment: Moment, event: EventHead) -> None:
    """Let the head for events answer along at sign-up, where that gains on held-out accounts.

    As much is asked of it as of the verdicts of others: average precision rises by .005 over the accounts
    that both heads held out, and in more blocks of time than it falls in. What the head for events says there
    is prequential: a sign-up is answered by a model of the events before its block of events, and with the
    verdicts on others that were known before it, as a service would have answered it. So an account of the
    same fold that acted before may have been learned from, which the head for sign-up never does.

    Args:
        run: The training; its folds are blocks of time, else nothing is done.
        moment: Sign-up; its share of the head for events and its held-out margins are set.
        event: That head, with what it says of accounts at sign-up.
    """
    if event.at_sign_up is None or run.policy != "time":
        return
    both = ~np.isnan(event.at_sign_up) & ~np.isnan(moment.trees)
    own = np.where(both, moment.trees, np.nan)
    judged = run.judge.label[run.choosing(moment, own)]
    if min(int((judged == label).sum()) for label in (0, 1)) < MIN_OF_A_CLASS:
        return
    plain = precision_of_folds(run, moment, own)
    best = 0.0
    for share in _SHARES:
        margin = (1.0 - share) * own + share * event.at_sign_up
        gained = precision_of_folds(run, moment, margin) - plain
        if enough(gained, CONTACT_GAIN) and gained[0] > best:
            best, moment.of_events, moment.trees = float(gained[0]), share, margin


def both_as_one(own: Trees, event: Trees, share: float) -> Trees:
    """The trees of both heads as one model.

    Args:
        own: Of the head for sign-up.
        event: Of the head for events; the columns of one of the two are the first columns of the other's.
        share: Of the second.

    Returns:
        Trees of the columns of the wider one.
    """
    parts = [(trees, weight) for trees, weight in ((own, 1.0 - share), (event, share)) if weight > 0.0]
    return mixed(parts, max(own.n_features, event.n_features))
