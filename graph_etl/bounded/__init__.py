"""Merging staged parts in tasks of bounded memory: the snapshot of `build`, bit for bit.

What `graph_etl.assembly` does with all rows in one process is cut here into steps. Each step runs once a part
or once a bucket, reads files and writes one, and knows nothing of where it runs: one after the other in a
process, or over a cluster. Rows go from step to step through exchanges: tables whose rows lie sorted by the
bucket that reads them next, so that a task reads its share of every file and no more.

========  ======  ===================================================================================
step      one a   what it does
========  ======  ===================================================================================
sampled   part    counts, and a sample of keys and times to cut the ranges by
aliased   part    ends that may be listed accounts, by the hash of their alias (if a spec has such)
listed    bucket  says which of them are
named     part    its nodes, by ranges of kind and key
united    range   each node once, in the order that numbers them
told      part    its rows, by the hash of what names an event
accepted  bucket  which rows are there already, and which contradict them
touched   part    which of its nodes a row of the graph touches; its quarantine
numbered  range   the index of each node
located   part    its events with the indices of their nodes, by ranges of position
placed    range   the position of each event; edges by their ends, what accounts were said to be
grouped   range   neighbours of a range of nodes; times and attributes of its accounts
touching  range   who touches the nodes of a range, and when first
met       range   that again by ranges of position: what hubs are judged by
========  ======  ===================================================================================

A task that is run again writes the same file; a merge that was killed goes on with the files that are there.
"""

__all__ = ["Bounds", "merge_bounded"]

from graph_etl.bounded.merging import merge_bounded
from graph_etl.bounded.run import Bounds
