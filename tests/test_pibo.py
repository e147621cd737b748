"""Beliefs as densities, and what πBO makes of them: against the papers' formulas, SMAC's own, and tables of real trainings."""

import numpy as np
import pytest
from scipy import integrate, stats
from sklearn.gaussian_process import GaussianProcessRegressor, kernels

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
    assert "your belief about rate was set aside after 29 trials, because what you believe" in suggestion.explanation
    assert "the prior counts" not in suggestion.explanation
    (kept,) = suggest(methods.method("pibo", maximize=True, tolerance=1e6), space, trials)
    assert abs(kept.configuration.number("rate") - 0.6) < 0.1
    assert "goes against your belief about rate" in kept.explanation
    assert kept.explanation.endswith("the prior counts to the power 0.11")
    (first,) = suggest(methods.method("pibo", maximize=True), space, [])
    assert (first.configuration["rate"], "from your prior" in first.explanation) == (0.01, True)


PLANE = {"x": Float(0, 1), "y": Float(0, 1)}


def on_a_plane(x: Prior | None, y: Prior | None) -> Space:
    return Space([Hyperparameter("x", PLANE["x"], prior=x), Hyperparameter("y", PLANE["y"], prior=y)])


def around_a_peak(space: Space, count: int) -> list[Trial]:
    """Trials drawn at random; the best place is at x 0.8, y 0.2, and both matter alike."""
    drawn = np.random.default_rng(3).random((count, 2))
    at = [space.configuration({"x": float(x), "y": float(y)}) for x, y in drawn]
    return [ended(n, where, 1 - (where["x"] - 0.8) ** 2 - (where["y"] - 0.2) ** 2) for n, where in enumerate(at, 1)]


def test_of_two_beliefs_the_misleading_one_is_set_aside_and_the_good_one_stays() -> None:
    space = on_a_plane(Prior(0.1, "high", True), Prior(0.2, "high"))
    (suggestion,) = suggest(methods.method("pibo", maximize=True), space, around_a_peak(space, 20))
    assert "your belief about x was set aside after 20 trials" in suggestion.explanation
    assert "keeps to your belief about y" in suggestion.explanation
    assert abs(suggestion.configuration.number("x") - 0.8) < 0.1


def test_good_beliefs_and_beliefs_about_importance_are_never_set_aside() -> None:
    for space in (on_a_plane(Prior(0.8, "high"), Prior(0.2, "low")), on_a_plane(Prior(important=True), Prior(important=False))):
        (suggestion,) = suggest(methods.method("pibo", maximize=True), space, around_a_peak(space, 20))
        assert "set aside" not in suggestion.explanation


def test_a_misleading_order_is_set_aside_and_importance_outlives_it() -> None:
    space = on_a_plane(Prior(better="smaller", important=True), None)
    trials = around_a_peak(space, 20)
    (suggestion,) = suggest(methods.method("pibo", maximize=True), space, trials)
    assert "your belief about x was set aside" in suggestion.explanation
    rest = beliefs.without(space, ["x"])
    assert rest["x"].prior == Prior(important=True)
    assert beliefs.without(on_a_plane(Prior(0.1), None), ["x"])["x"].prior is None
    assert beliefs.without(space, []) is space


def test_what_a_belief_loses_is_the_difference_of_two_expected_bounds() -> None:
    """DynaBO's criterion, computed anew by integration over the one coordinate that is believed in."""
    space = one(Hyperparameter("rate", Float(0, 1), prior=Prior(0.1, "medium")))
    trials = [ended(n, space.configuration({"rate": n / 12}), 1 - (n / 12 - 0.75) ** 2) for n in range(1, 12)]
    model, best = pibo.Surrogate.of(space, trials, maximize=True), trials[8]
    grid = (np.arange(2000) + 0.5)[:, None] / 2000
    bound = model.bound(grid, np.sqrt(2 * np.log(1 * 11**2)))
    expected = [
        float(np.mean(bound * np.exp(beliefs.log_density(one(Hyperparameter("rate", Float(0, 1), prior=prior)), grid))))
        for prior in (Prior(0.75, "medium"), Prior(0.1, "medium"))
    ]
    lost = pibo.losses(space, model, best, 11, np.random.default_rng(0))
    assert lost["rate"] == pytest.approx(expected[0] - expected[1], abs=0.25)
    assert lost["rate"] > 1


def test_the_likelihood_and_its_slope_are_scikit_learns() -> None:
    rng = np.random.default_rng(1)
    features, values = rng.random((30, 3)), rng.normal(size=30)
    kernel = kernels.ConstantKernel(1.0) * kernels.Matern([0.5] * 3, nu=2.5) + kernels.WhiteKernel(0.1)
    process = GaussianProcessRegressor(kernel, optimizer=None).fit(features, values)
    squares = (features[:, None, :] - features[None, :, :]) ** 2
    for _ in range(3):
        theta = rng.normal(size=5)
        likelihood, slope = process.log_marginal_likelihood(theta, eval_gradient=True)
        misfit, ours = pibo._misfit(squares, values, theta)
        assert misfit == pytest.approx(-likelihood, rel=1e-9)
        assert ours == pytest.approx(-slope, rel=1e-7)


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
    with pytest.raises(InvalidSettings, match="tolerance is nan, expected a number from 0"):
        methods.method("pibo", maximize=True, tolerance=float("nan"))
