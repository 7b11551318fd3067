"""The gate: each check by hand, on both sides of its limit."""

import numpy as np
import pytest

from ringwatch.gate import stability_index


@pytest.mark.parametrize(
    ("shift", "expected"),
    [
        pytest.param(0.0, 0.0, id="the-same"),
        # All ten deciles move up by one: the first is empty, the last holds twice its share.
        pytest.param(
            0.1, (0.0001 - 0.1) * np.log(0.0001 / 0.1) + (0.2 - 0.1) * np.log(0.2 / 0.1), id="up-by-one"
        ),
    ],
)
def test_stability_index_by_hand(shift: float, expected: float) -> None:
    old = np.arange(1000) / 1000
    assert stability_index(old, old + shift) == pytest.approx(expected, abs=1e-3)
