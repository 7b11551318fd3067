"""Scoring needs none of what training needs: a service starts without it."""

import subprocess
import sys
from pathlib import Path

from gnn import Bundle
from graph_etl import Snapshot

HEAVY = "{'torch', 'torch_geometric', 'lightgbm', 'sklearn', 'pandas'}"


def test_scoring_and_explaining_load_no_training_library(
    timed_bundle: Bundle, timed_snapshot: Snapshot
) -> None:
    script = f"""
import sys
import numpy as np
from features import Queries
from gnn import Bundle, Scorer, reasons
from gnn.sage import SageInputs, run_sage
from graph_etl import Snapshot
snapshot = Snapshot.open({str(timed_snapshot.path)!r})
bundle = Bundle.open({str(timed_bundle.path)!r})
scorer = Scorer(snapshot, bundle)
asked = Queries.for_accounts(snapshot, np.array([snapshot.account_index("farm05")]))
assert reasons(scorer, asked, scorer.score(asked))
run_sage(bundle.sage, SageInputs.of(snapshot, asked), asked)
loaded = {HEAVY} & set(sys.modules)
assert not loaded, loaded
"""
    root = Path(__file__).resolve().parents[2]
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], cwd=root, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
