"""What the package offers, and that importing it stays light."""

import subprocess
import sys

import rings


def test_exports_are_these() -> None:
    assert rings.__all__ == [
        "LINK_FEATURES",
        "CommunityConfig",
        "Epoch",
        "LinkConfig",
        "Links",
        "RingUnknown",
        "RingsError",
        "RingsRun",
        "around_specs",
        "community_specs",
        "epoch_at",
        "epoch_horizons",
        "epochs_of",
        "find",
        "link_features",
        "links",
        "neighbourhoods",
    ]


def test_importing_loads_nothing_heavy() -> None:
    code = (
        "import sys, rings;"
        "heavy = ('torch', 'torch_geometric', 'ray', 'neo4j', 'sklearn', 'lightgbm', 'fastapi');"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
