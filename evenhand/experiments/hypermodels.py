"""`evenhand.tune_hypermodel`: a hypermodel of Keras Tuner, tuned in a session with an open space, as scripts of Optuna are.

Keras is not imported here: a model is whatever `build` gives that has Keras's `fit`.
"""

import importlib
import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import optuna

from evenhand.errors import InvalidSettings
from evenhand.experiments import optuna_compat
from evenhand.experiments.optuna_storage import LabStorage
from evenhand.model import numbers
from evenhand.model.configuration import Configuration
from evenhand.model.direction import known_direction
from evenhand.model.session import Session
from evenhand.model.trial import Trial
from evenhand.settings import default_database

MOST_MULTIPLES = 10_000  # values of a logarithmic scale with steps
Build = Callable[["HyperParameters"], Any]


class _Condition(NamedTuple):
    name: str
    values: tuple[Any, ...]


@dataclass
class HyperParameters:
    """What Keras Tuner calls `hp`, for one trial: each call asks for a value, or gives None where its condition does not hold.

    Attributes:
        values: what was asked for so far, by name, those of inactive ones left out.
    """

    _suggest: Callable[["_Asked"], Any]
    values: dict[str, Any] = field(default_factory=dict)
    _asked: dict[str, list[tuple[_Condition, ...]]] = field(default_factory=dict)
    _conditions: list[_Condition] = field(default_factory=list)
    _scopes: list[str] = field(default_factory=list)

    def Int(  # noqa: N802 - Keras Tuner's name
        self,
        name: str,
        min_value: int,
        max_value: int,
        step: int | None = None,
        sampling: str | None = None,
        default: int | None = None,
        parent_name: str | None = None,
        parent_values: Any = None,
    ) -> Any:
        """A whole number from `min_value` to `max_value`.

        Args:
            name: what it is called.
            min_value: the lowest one.
            max_value: the highest one.
            step: the distance of two of them; with `sampling="log"` their ratio.
            sampling: "linear" (default) or "log".
            default: what it is where it is not tuned.
            parent_name: what it depends on.
            parent_values: the values of that with which it is there.

        Returns:
            The number; None where it is not there.
        """
        scale = _scale(name, sampling)
        if scale == "log" and step is not None:
            choices = [int(value) for value in _multiples(name, min_value, max_value, step)]
            return self._ask(name, _Choices(choices), default, parent_name, parent_values)
        by = 1 if step is None else step
        top = min_value + (max_value - min_value) // by * by
        whole = optuna.distributions.IntDistribution(min_value, top, log=scale == "log", step=by)
        return self._ask(name, whole, min_value if default is None else default, parent_name, parent_values)

    def Float(  # noqa: N802 - Keras Tuner's name
        self,
        name: str,
        min_value: float,
        max_value: float,
        step: float | None = None,
        sampling: str | None = None,
        default: float | None = None,
        parent_name: str | None = None,
        parent_values: Any = None,
    ) -> Any:
        """A number from `min_value` to `max_value`.

        Args:
            name: what it is called.
            min_value: the lowest one.
            max_value: the highest one.
            step: the distance of two of them; with `sampling="log"` their ratio.
            sampling: "linear" (default) or "log".
            default: what it is where it is not tuned.
            parent_name: what it depends on.
            parent_values: the values of that with which it is there.

        Returns:
            The number; None where it is not there.
        """
        scale = _scale(name, sampling)
        if scale == "log" and step is not None:
            return self._ask(name, _Choices(_multiples(name, min_value, max_value, step)), default, parent_name, parent_values)
        real = optuna.distributions.FloatDistribution(min_value, max_value, log=scale == "log", step=step)
        return self._ask(name, real, min_value if default is None else default, parent_name, parent_values)

    def Choice(  # noqa: N802 - Keras Tuner's name
        self,
        name: str,
        values: Sequence[Any],
        ordered: bool | None = None,
        default: Any = None,
        parent_name: str | None = None,
        parent_values: Any = None,
    ) -> Any:
        """One of several values.

        Args:
            name: what it is called.
            values: the options.
            ordered: taken as Keras Tuner has it; the samplers ask for no order.
            default: what it is where it is not tuned.
            parent_name: what it depends on.
            parent_values: the values of that with which it is there.

        Returns:
            The value; None where it is not there.
        """
        del ordered
        return self._ask(name, _Choices(values), default, parent_name, parent_values)

    def Boolean(  # noqa: N802 - Keras Tuner's name
        self, name: str, default: bool = False, parent_name: str | None = None, parent_values: Any = None
    ) -> Any:
        """Yes or no.

        Args:
            name: what it is called.
            default: what it is where it is not tuned.
            parent_name: what it depends on.
            parent_values: the values of that with which it is there.

        Returns:
            True or False; None where it is not there.
        """
        return self._ask(name, _Choices((False, True)), default, parent_name, parent_values)

    def Fixed(  # noqa: N802 - Keras Tuner's name
        self, name: str, value: Any, parent_name: str | None = None, parent_values: Any = None
    ) -> Any:
        """A value that is not tuned, and is recorded with the others.

        Args:
            name: what it is called.
            value: what it is.
            parent_name: what it depends on.
            parent_values: the values of that with which it is there.

        Returns:
            The value; None where it is not there.
        """
        return self._ask(name, _Choices((value,)), value, parent_name, parent_values)

    @contextmanager
    def conditional_scope(self, parent_name: str, parent_values: Any) -> Iterator[None]:
        """Within it, hyperparameters are there only where another one has one of these values.

        Args:
            parent_name: the other one.
            parent_values: its value, or several.

        Yields:
            Nothing.

        Raises:
            InvalidSettings: nothing of this name was asked for before.
        """
        self._conditions.append(self._condition("conditional_scope", parent_name, parent_values))
        try:
            yield
        finally:
            self._conditions.pop()

    @contextmanager
    def name_scope(self, name: str) -> Iterator[None]:
        """Within it, names begin with this one and a slash.

        Args:
            name: what they begin with.

        Yields:
            Nothing.
        """
        self._scopes.append(name)
        try:
            yield
        finally:
            self._scopes.pop()

    def get(self, name: str) -> Any:
        """The value of a hyperparameter that was asked for.

        Args:
            name: what it is called.

        Returns:
            Its value.

        Raises:
            KeyError: nothing of this name is there, or it is inactive.
        """
        full = self._full(name)
        if full in self.values:
            return self.values[full]
        raise KeyError(f"{full} is inactive" if full in self._asked else f"{full} does not exist")

    def __getitem__(self, name: str) -> Any:
        return self.get(name)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._full(name) in self.values

    def _full(self, name: str) -> str:
        return "/".join([*self._scopes, name])

    def _condition(self, who: str, parent_name: str, parent_values: Any) -> _Condition:
        parent = self._full(parent_name)
        if parent not in self._asked:
            raise InvalidSettings(f"{who}: depends on {parent!r}, which was not asked for before; define it first")
        several = isinstance(parent_values, Sequence) and not isinstance(parent_values, str)
        return _Condition(parent, tuple(parent_values) if several else (parent_values,))

    def _ask(
        self, name: str, kind: optuna.distributions.BaseDistribution, default: Any, parent_name: str | None, parent_values: Any
    ) -> Any:
        full, conditions = self._full(name), list(self._conditions)
        if parent_name is not None:
            conditions.append(self._condition(full, parent_name, parent_values))
        self._asked.setdefault(full, []).append(tuple(conditions))
        if not all(condition.name in self.values and self.values[condition.name] in condition.values for condition in conditions):
            return None
        if full not in self.values:
            self.values[full] = self._suggest(_Asked(full, kind, default))
        return self.values[full]


class _Asked(NamedTuple):
    """What a hypermodel asks for: a name, what it may be, and what it is where it is not tuned."""

    name: str
    kind: optuna.distributions.BaseDistribution
    default: Any


@dataclass(frozen=True)
class HypermodelResult:
    """What `tune_hypermodel` gives back.

    Attributes:
        session: all that is known of the session.
        best: the trial with the best value; None where no trial has one.
        best_hyperparameters: what that one asked for, by name; empty where no trial has a value.
        page: where the session's page is.
    """

    session: Session
    best: Trial | None
    best_hyperparameters: Mapping[str, Any]
    page: str

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All trials, in order."""
        return tuple(self.session.trials)

    @property
    def configuration(self) -> Configuration | None:
        """The best trial's; None where no trial has a value."""
        return self.best.configuration if self.best else None


def tune_hypermodel(
    hypermodel: Any,
    *fit_arguments: Any,
    objective: Any = "val_loss",
    direction: Literal["maximize", "minimize"] | None = None,
    trials: int,
    sampler: str | optuna.samplers.BaseSampler = "tpe",
    pruner: str | optuna.pruners.BasePruner = "median",
    hyperparameters: Build | None = None,
    allow_new_entries: bool = True,
    tune_new_entries: bool = True,
    value: Literal["last", "best"] = "last",
    name: str | None = None,
    db: str | None = None,
    **fit_settings: Any,
) -> HypermodelResult:
    """Tune a hypermodel of Keras Tuner: `tuner.search(x, y, epochs=5, validation_data=...)` with the same arguments.

    Each trial builds a model, fits it, and is scored by what `fit` reports; the pruner ends those that fall behind.
    Under a name the same call goes on after a kill, until there are so many trials.

    Args:
        hypermodel: a function `build(hp)`, or an object with `build(hp)` and perhaps `fit(hp, model, *args, **kwargs)`.
        fit_arguments: of `fit`: the data.
        objective: what `fit` reports, such as "val_accuracy", or a `keras_tuner.Objective`.
        direction: whether it is to be large or small; not needed for Keras's own metrics.
        trials: how many there shall be in all.
        sampler: one of Optuna's, or its name.
        pruner: one of Optuna's, or its name; "nop" prunes nothing.
        hyperparameters: a function of `hp` that asks for some before each build, as `hyperparameters=hp` of a tuner has them.
        allow_new_entries: whether the build may ask for more than these.
        tune_new_entries: whether what it asks for beside them is tuned; else it has its default.
        value: whether the last or the best epoch's is the trial's.
        name: of the session, by which the same call goes on with it.
        db: SQLAlchemy URL (default: the user's data directory).
        fit_settings: of `fit`, such as `epochs` and `validation_data`.

    Returns:
        The session, and its best trial.

    Raises:
        InvalidSettings: an objective without a direction, a hypermodel that builds nothing, or new entries that are not allowed.
        Refused: the name is that of a session that is no study of Optuna, or that another process tunes.
    """
    metric, way = _objective(objective, direction)
    build = getattr(hypermodel, "build", hypermodel)
    if not callable(build):
        raise InvalidSettings(f"hypermodel {hypermodel!r}: expected a function build(hp), or an object that has one")
    if value not in ("last", "best"):
        raise InvalidSettings(f"value is {value!r}, expected 'last' or 'best'")
    count = numbers.whole("trials", trials)
    storage = LabStorage(db or default_database())
    try:
        study = optuna_compat.create_study(
            storage=storage, study_name=name, direction=way, sampler=sampler, pruner=pruner, load_if_exists=name is not None
        )
        if study.direction.name.lower() != way:
            raise InvalidSettings(
                f"session {name!r} is to {study.direction.name.lower()}; got {way}: give another name to start anew"
            )
        storage.set_study_system_attr(study._study_id, "study:metric_names", [metric])
        build_and_fit = _Training(
            build, getattr(hypermodel, "fit", None), fit_arguments, fit_settings, metric, way, value, hyperparameters,
            allow_new_entries, tune_new_entries,
        )  # fmt: skip
        left = count - sum(trial.state.is_finished() for trial in study.get_trials(deepcopy=False))
        if left > 0:
            study.optimize(build_and_fit, n_trials=left, catch=(Exception,))
        if build_and_fit.refused is not None:
            raise build_and_fit.refused
        session = storage.session_of(study.session_id)
        completed = [trial for trial in study.get_trials(deepcopy=False) if trial.state == optuna.trial.TrialState.COMPLETE]
        best = study.best_trial if completed else None
        return HypermodelResult(
            session, None if best is None else session.trial(best.number + 1), {} if best is None else best.params, study.page
        )
    finally:
        storage.close()


@dataclass
class _Training:
    """The objective of a hypermodel."""

    build: Build
    own_fit: Callable[..., Any] | None
    arguments: tuple[Any, ...]
    settings: Mapping[str, Any]
    metric: str
    way: str
    value: str
    before: Build | None
    allow_new_entries: bool
    tune_new_entries: bool
    refused: InvalidSettings | None = None

    def __call__(self, trial: optuna.Trial) -> float:
        known: set[str] | None = None

        def suggest(asked: _Asked) -> Any:
            is_new = known is not None and asked.name not in known
            if is_new and not self.allow_new_entries:
                self.refused = InvalidSettings(
                    f"hypermodel: allow_new_entries is False, but its build asked for {asked.name!r}; add it to "
                    "hyperparameters, or allow new entries"
                )
                trial.study.stop()
                raise self.refused
            if is_new and not self.tune_new_entries:
                default = asked.default if asked.default is not None else _first(asked.kind)
                return trial.suggest_categorical(asked.name, [default])
            return _suggested(trial, asked)

        hp = HyperParameters(suggest)
        if self.before is not None:
            self.before(hp)
            known = set(hp._asked)
        model = self.build(hp)
        if model is None:
            self.refused = InvalidSettings("hypermodel: its build gave None; expected a model that has fit")
            trial.study.stop()
            raise self.refused
        return self._fitted(trial, hp, model)

    def _fitted(self, trial: optuna.Trial, hp: HyperParameters, model: Any) -> float:
        reporter = _reporter(trial, model, self.metric)
        settings = {**self.settings, "callbacks": [*(self.settings.get("callbacks") or ()), reporter]}
        given = model.fit if self.own_fit is None else None
        outcome = given(*self.arguments, **settings) if given else self._own(hp, model, settings)
        if reporter.pruned:
            raise optuna.TrialPruned
        reported = getattr(outcome, "history", outcome)
        if isinstance(reported, Mapping):
            if self.metric not in reported:
                raise InvalidSettings(
                    f"objective {self.metric!r}: fit reported {', '.join(map(str, reported)) or 'nothing'}; name one of these"
                )
            reported = reported[self.metric]
        values = [float(epoch) for epoch in reported] if isinstance(reported, Sequence) else [float(reported)]
        if self.value == "last" or len(values) == 1:
            return values[-1]
        return max(values) if self.way == "maximize" else min(values)

    def _own(self, hp: HyperParameters, model: Any, settings: Mapping[str, Any]) -> Any:
        assert self.own_fit is not None
        return self.own_fit(hp, model, *self.arguments, **settings)


def _suggested(trial: optuna.Trial, asked: _Asked) -> Any:
    kind = asked.kind
    if isinstance(kind, optuna.distributions.IntDistribution):
        return trial.suggest_int(asked.name, kind.low, kind.high, step=kind.step, log=kind.log)
    if isinstance(kind, optuna.distributions.FloatDistribution):
        return trial.suggest_float(asked.name, kind.low, kind.high, step=kind.step, log=kind.log)
    assert isinstance(kind, optuna.distributions.CategoricalDistribution)
    return trial.suggest_categorical(asked.name, kind.choices)


def _first(kind: optuna.distributions.BaseDistribution) -> Any:
    return kind.choices[0] if isinstance(kind, optuna.distributions.CategoricalDistribution) else kind.to_external_repr(0)


def _Choices(values: Sequence[Any]) -> optuna.distributions.CategoricalDistribution:  # noqa: N802 - it stands for a class
    return optuna.distributions.CategoricalDistribution(tuple(values))


def _scale(name: str, sampling: str | None) -> str:
    if sampling not in (None, "linear", "log"):
        raise InvalidSettings(f"{name}: sampling is {sampling!r}, expected 'linear' or 'log'")
    return sampling or "linear"


def _multiples(name: str, low: float, high: float, ratio: float) -> list[float]:
    """The numbers of a logarithmic scale with steps: each is the one before times the step."""
    if ratio <= 1 or low <= 0:
        raise InvalidSettings(f"{name}: step {ratio}, sampling 'log' from {low}: expected a ratio above 1 and numbers above 0")
    values: list[float] = []
    while low <= high and len(values) < MOST_MULTIPLES:
        values.append(low)
        low *= ratio
    return values


def _objective(given: Any, direction: str | None) -> tuple[str, Literal["maximize", "minimize"]]:
    """The metric's name and direction: as they are given, or as Keras's own metrics have them."""
    name = getattr(given, "name", given)
    if not isinstance(name, str) or not name:
        raise InvalidSettings(f"objective is {given!r}, expected what fit reports, such as 'val_accuracy'")
    wanted = direction or {"max": "maximize", "min": "minimize"}.get(str(getattr(given, "direction", "")))
    wanted = wanted or known_direction(name)
    if wanted == "maximize":
        return name, "maximize"
    if wanted == "minimize":
        return name, "minimize"
    raise InvalidSettings(f"objective {name!r}: whether it is to be large or small is not known; give direction='maximize', say")


def _reporter(trial: optuna.Trial, model: Any, metric: str) -> Any:
    """A callback of Keras that reports each epoch, and ends a fit that its trial's pruner ends."""

    class Reporter(_callback_class()):  # type: ignore[misc]  # Keras's own class, where Keras is there
        pruned = False

        def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
            reported = (logs or {}).get(metric)
            if reported is None or self.pruned:
                return
            trial.report(float(reported), epoch)
            if trial.should_prune():
                self.pruned = model.stop_training = True

    return Reporter()


def _callback_class() -> type:
    if importlib.util.find_spec("keras") is None:
        return _AnyCallback
    kind: type = importlib.import_module("keras.callbacks").Callback
    return kind


class _AnyCallback:
    """What a callback of Keras has, where Keras is not installed: methods that do nothing."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        if not name.startswith(("on_", "set_")):
            raise AttributeError(name)
        return lambda *_, **__: None
