"""The Parzen estimator of `tpe` against Optuna's own: the same draws and densities."""

import numpy as np
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.samplers._tpe.parzen_estimator import _ParzenEstimator, _ParzenEstimatorParameters
from optuna.samplers._tpe.sampler import default_weights

from evenhand.methods.parzen import ParzenEstimator

SPACE: dict[str, BaseDistribution] = {
    "x": FloatDistribution(0, 1),
    "kind": CategoricalDistribution(("a", "b", "c")),
    "y": FloatDistribution(0, 1),
}


@pytest.mark.parametrize("count", [0, 1, 25, 400])
@pytest.mark.parametrize("names", [("x", "kind", "y"), ("x",), ("kind",)], ids=" ".join)
def test_draws_and_densities_are_optunas(count: int, names: tuple[str, ...]) -> None:
    rng = np.random.default_rng(count)
    observed = {"x": rng.random(count), "kind": rng.integers(3, size=count).astype(float), "y": np.round(rng.random(count), 1)}
    space = {name: SPACE[name] for name in names}
    given = ({name: observed[name] for name in names}, space, _ParzenEstimatorParameters(1.0, True, False, default_weights, True))
    ours, optunas = ParzenEstimator(*given), _ParzenEstimator(*given)
    drawn, expected = (estimator.sample(np.random.RandomState(1), 24) for estimator in (ours, optunas))
    for name in names:
        assert drawn[name] == pytest.approx(expected[name], rel=1e-7, abs=1e-12)
    assert ours.log_pdf(expected) == pytest.approx(optunas.log_pdf(expected), rel=1e-9, abs=1e-9)
