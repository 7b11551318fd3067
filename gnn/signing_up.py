"""Sign-up answered by two heads together: its own, and the one for events, where held-out accounts gain.

The row that brings an account in is an event too. The head for events has learned from many more examples,
and with the verdicts that were known before each of them; what it says of the first one is often as good as
what the head for sign-up says, and wrong in other places.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from features import moment_ms
from gnn.held_out import CONTACT_GAIN, precision_of_folds
from gnn.targets import MIN_OF_A_CLASS
from gnn.trees import mixed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gnn.event_head import EventHead
    from gnn.stages import Moment, Run
    from gnn.tree_walk import Trees

# Where bad accounts are few, choosing a share would be choosing noise.
_SHARE: Final = 0.5


def sign_up_of(moments: Sequence[Moment]) -> Moment | None:
    """The moment at which an account has done nothing but sign up.

    Args:
        moments: All of a training.

    Returns:
        The one of age 0, None if there is none.
    """
    return next((moment for moment in moments if moment_ms(moment.name) == 0), None)


def ask_both(run: Run, moment: Moment, event: EventHead) -> None:
    """Let the head for events answer along at sign-up, half and half, where that gains on held-out accounts.

    Average precision has to rise by .005 over the accounts that both heads held out, ten of each class at
    least, and in the mean of the blocks of time. What the head for events says there
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
    margin = (1.0 - _SHARE) * own + _SHARE * event.at_sign_up
    gained = precision_of_folds(run, moment, margin) - precision_of_folds(run, moment, own)
    if gained[0] >= CONTACT_GAIN and gained[1:].mean() > 0.0:
        moment.of_events, moment.trees = _SHARE, margin


def both_as_one(own: Trees, event: Trees, share: float) -> Trees:
    """The trees of both heads as one model.

    Args:
        own: Of the head for sign-up.
        event: Of the head for events; the columns of one of the two are the first columns of the other's.
        share: Of the second.

    Returns:
        Trees of the columns of the wider one.
    """
    return mixed([(own, 1.0 - share), (event, share)], max(own.n_features, event.n_features))
