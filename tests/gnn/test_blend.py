"""GraphSAGE joins only where held-out accounts say that it helps."""

import numpy as np

from gnn.blend import Blend, choose_blend


def test_a_second_view_that_helps_gets_weight() -> None:
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 2000)
    trees, sage = label + rng.normal(0, 1, 2000), label + rng.normal(0, 1, 2000)
    blend = choose_blend(label, trees, sage, np.ones(2000))
    assert blend.weight >= 0.3
    assert blend.gain > 0.01


def test_noise_gets_none() -> None:
    rng = np.random.default_rng(1)
    label = rng.integers(0, 2, 2000)
    trees = label + rng.normal(0, 1, 2000)
    blend = choose_blend(label, trees, rng.normal(0, 1, 2000), np.ones(2000))
    assert blend.weight == 0.0
    np.testing.assert_array_equal(blend(trees, rng.normal(0, 1, 2000)), trees)


def test_blend_is_a_weighted_mean_on_one_scale() -> None:
    blend = Blend(0.25, centre=10.0, spread=2.0, offset=1.0)
    assert blend(np.array([3.0]), np.array([14.0]))[0] == 0.75 * 3.0 + 0.25 * 3.0
