"""What a build made of the data that may not be what was meant, a line each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graph_etl.spec import JOURNAL

if TYPE_CHECKING:
    from graph_etl.assembly import Assembled
    from graph_etl.plan import Plan


def warnings_of(plan: Plan, assembled: Assembled) -> list[str]:
    """Look at what was built.

    Args:
        plan: The plan.
        assembled: What was built.

    Returns:
        One line for each source without rows and each attribute that no account has.
    """
    rows: dict[str, int] = {}
    for count in assembled.counts:
        rows[count.source] = rows.get(count.source, 0) + count.rows
    empty = [source for source, number in rows.items() if number == 0 and source != JOURNAL]
    return [f"source '{source}' has no rows" for source in empty] + _attributes(plan, assembled)


def _attributes(plan: Plan, assembled: Assembled) -> list[str]:
    tables = assembled.tables
    if not len(tables.account_node):
        return []
    unread = assembled.quarantine.filter(assembled.quarantine["reason"] == "attribute_unreadable")
    read = {
        attribute.name: tables.attribute_values is not None
        and not np.isnan(tables.attribute_values[:, at]).all()
        for at, attribute in enumerate(tables.attributes)
    }
    found = []
    for attribute in plan.attributes:
        if read.get(attribute.name):
            continue
        n_cells = int(unread["column"].is_in([attribute.column, attribute.name]).sum())
        why = f"; {n_cells:,} cells could not be read as {attribute.type}" if n_cells else ""
        found.append(f"no account has a value of attribute '{attribute.name}'{why}")
    return found
