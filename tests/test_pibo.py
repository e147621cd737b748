"""Beliefs as densities, and what πBO makes of them: against the papers' formulas, SMAC's own, and tables of real trainings."""

import numpy as np
import pytest
from scipy import integrate, stats

from evenhand import methods
from evenhand.errors import InvalidSettings, InvalidSpace
from evenhand.methods import beliefs, pibo
from evenhand.model.condition import Condition
from evenhand.model.domain import Choice, Float, Integer
from evenhand.model.hyperparameter import Hyperparameter, Prior
from evenhand.model.space import Space
from evenhand.model.trial import Trial
from tests.components import need
from tests.tuner_contract import SPACE, accuracy, ended, suggest


def one(hyperparameter: Hyperparameter) -> Space:
    return Space([hyperparameter])


@pytest.mark.parametrize("confidence", ["low", "medium", "high"])
@pytest.mark.parametrize(
    "hyperparameter",
    [
        Hyperparameter("rate", Float(1e-5, 1, log=True), prior=Prior(0.001)),
        Hyperparameter("rate", Float(0, 1), prior=Prior(0.0)),
        Hyperparameter("rate", Float(0, 1), prior=Prior(better="larger")),
        Hyperparameter("rate", Float(0, 1), prior=Prior(better="smaller")),
        Hyperparameter("kind", Choice(("a", "b", "c")), prior=Prior("b")),
    ],
    ids=["log", "at the end", "larger", "smaller", "choice"],
)
def test_densities_integrate_to_one_and_draws_follow_them(hyperparameter: Hyperparameter, confidence: str) -> None:
    assert hyperparameter.prior is not None
    prior = Prior(hyperparameter.prior.value, confidence, None, hyperparameter.prior.better)  # type: ignore[arg-type]
    space = one(Hyperparameter(hyperparameter.name, hyperparameter.domain, prior=prior))
    grid = (np.arange(20_000) + 0.5) / 20_000
    density = np.exp(beliefs.log_density(space, grid[:, None]))
    assert density.mean() == pytest.approx(1, abs=2e-3)
    drawn = beliefs.draws(space, 4000, np.random.default_rng(1))[:, 0]
    if prior.value != "b":
        assert stats.kstest(drawn, lambda u: np.interp(u, grid, np.cumsum(density) / 20_000)).pvalue > 1e-3
    else:  # draws lie in the middle of the likely option's cell
        share = float(np.mean((drawn >= 1 / 3) & (drawn < 2 / 3)))
        expected = 0.95 * beliefs.LIKELY_CHANCES[prior.confidence] + 0.05 / 3
        assert share == pytest.approx(expected, abs=0.03)


def test_a_belief_about_what_is_inactive_changes_nothing() -> None:
    space = Space(
        [
            Hyperparameter("optimizer", Choice(("adam", "sgd"))),
            Hyperparameter("momentum", Float(0, 1), prior=Prior(0.9, "high"), condition=Condition("optimizer", ("sgd",))),
        ]
    )
    density = beliefs.log_density(space, np.array([[0.25, 0.9], [0.75, 0.9], [0.75, 0.1]]))
    assert density[0] == 0
    assert density[1] > 1
    assert density[2] < -2


def test_a_belief_in_an_order_needs_one() -> None:
    with pytest.raises(InvalidSpace, match="its options have no order"):
        Hyperparameter("kind", Choice(("a", "b")), prior=Prior(better="larger"))


def test_expected_improvement_is_the_integral_and_stays_exact_in_the_tail() -> None:
    """EI at mean 0, deviation 1, is the integral of max(z - x, 0) φ(x) dx = φ(z) + z Φ(z)."""
    for z in (2.0, 0.0, -0.9, -1.1, -3.0, -6.0):
        whole, _ = integrate.quad(lambda x, z=z: (z - x) * stats.norm.pdf(x), -np.inf, z, epsabs=0, epsrel=1e-10)
        assert pibo.log_h(np.array([z]))[0] == pytest.approx(np.log(whole), rel=1e-6)
    far = pibo.log_h(np.array([-50.0, -2000.0]))
    series = [-(z**2) / 2 - np.log(np.sqrt(2 * np.pi)) - 2 * np.log(-z) for z in (-50.0, -2000.0)]
    assert far == pytest.approx(series, rel=1e-5)


def test_the_acquisition_is_smacs() -> None:
    """SMAC multiplies by (density + floor) ** (β / n); with the same densities the same point is best."""
    need("smac")
    from smac.acquisition import function as smac

    rng = np.random.default_rng(3)
    improvement, density = rng.random(200), rng.random(200) * 5

    class Given(smac.AbstractAcquisitionFunction):  # type: ignore[misc]
        def _compute(self, X: np.ndarray) -> np.ndarray:
            values: np.ndarray = improvement[X[:, 0].astype(int)][:, None]
            return values

    function = smac.PriorAcquisitionFunction(Given(), decay_beta=6.0, prior_floor=1e-12)
    function._compute_prior = lambda X: density[X[:, 0].astype(int)][:, None]
    for trials in (1, 6, 60):
        function._iteration_number = trials - 1  # it counts from 0
        computed = function._compute(np.arange(200)[:, None].astype(float)).ravel()
        ours = np.log(improvement) + 6.0 / trials * np.log(density)
        assert np.argsort(computed).tolist() == np.argsort(ours).tolist()


@pytest.mark.slow
def test_without_a_belief_it_is_plain_bayesian_optimization() -> None:
    """Better than random draws on the contract's function: measured medians over these five seeds 0.93 and 0.872."""
    best: dict[str, list[float]] = {"pibo": [], "random": []}
    for name, values in best.items():
        for seed in range(5):
            trials: list[Trial] = []
            for number in range(1, 31):
                (suggestion,) = suggest(methods.method(name, maximize=True), SPACE, trials, seed=seed)
                trials.append(ended(number, suggestion.configuration, accuracy(suggestion.configuration)))
            values.append(max(trial.value or 0.0 for trial in trials))
    assert np.median(best["pibo"]) > np.median(best["random"]) + 0.02


def test_the_prior_fades_and_the_explanation_says_when_it_is_overruled() -> None:
    """The belief is 0.01, the trials say that 0.6 is far better."""
    space = one(Hyperparameter("rate", Float(0, 1), prior=Prior(0.01, "medium")))
    trials = [ended(n, space.configuration({"rate": n / 30}), 1 - (n / 30 - 0.6) ** 2) for n in range(1, 30)]
    (suggestion,) = suggest(methods.method("pibo", maximize=True), space, trials)
    assert abs(suggestion.configuration.number("rate") - 0.6) < 0.1
    assert "goes against your belief about rate" in suggestion.explanation
    assert suggestion.explanation.endswith("the prior counts to the power 0.11")
    (first,) = suggest(methods.method("pibo", maximize=True), space, [])
    assert (first.configuration["rate"], "from your prior" in first.explanation) == (0.01, True)


def test_importance_stretches_a_hyperparameter() -> None:
    space = Space(
        [
            Hyperparameter("x", Float(0, 1), prior=Prior(important=True)),
            Hyperparameter("y", Integer(1, 9), prior=Prior(important=False)),
            Hyperparameter("z", Float(0, 1)),
        ]
    )
    assert beliefs.weights(space) == [1.5, 0.4, 1.0]
    assert beliefs.told(space) == "x important (medium confidence); y not important (medium confidence)"


def test_settings_are_checked() -> None:
    with pytest.raises(InvalidSettings, match="beta is -1, expected a number from 0"):
        methods.method("pibo", maximize=True, beta=-1)
