"""Optuna's names for scripts that are tuned in a laboratory: `from evenhand import optuna_compat as optuna`.

A study is an exploratory session with an open space; trials, samplers, pruners, distributions and pictures are Optuna's own.
docs/optuna.md says what is covered.
"""

import inspect
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from types import ModuleType
from typing import Any, Literal

import optuna
from optuna import (
    Trial,
    TrialPruned,
    artifacts,
    create_trial,
    distributions,
    exceptions,
    importance,
    integration,
    logging,
    pruners,
    samplers,
    search_space,
    version,
    visualization,
)
from optuna import trial as trial
from optuna.study import StudyDirection
from optuna.version import __version__ as __version__

from evenhand.errors import InvalidSettings
from evenhand.experiments import resumption
from evenhand.experiments.optuna_storage import LabStorage, noting_failures
from evenhand.lab import served
from evenhand.lab.places import shown
from evenhand.model import interrupts
from evenhand.settings import default_database

__all__ = [
    "LabStorage",
    "Study",
    "Trial",
    "TrialPruned",
    "artifacts",
    "copy_study",
    "create_study",
    "create_trial",
    "delete_study",
    "distributions",
    "exceptions",
    "get_all_study_names",
    "get_all_study_summaries",
    "importance",
    "integration",
    "load_study",
    "logging",
    "pruners",
    "samplers",
    "search_space",
    "storages",
    "study",
    "trial",
    "version",
    "visualization",
]

Objective = Callable[[Trial], float | Sequence[float]]
Direction = Literal["minimize", "maximize"] | StudyDirection
Callback = Callable[[optuna.Study, optuna.trial.FrozenTrial], None]
GivenStorage = str | optuna.storages.BaseStorage | None


class _Interrupted(BaseException):
    """Ctrl-C or SIGTERM came while an objective ran."""


class Study(optuna.Study):
    """Optuna's `Study`, whose trials are those of a session of the laboratory."""

    def __init__(
        self,
        study_name: str,
        storage: GivenStorage = None,
        sampler: samplers.BaseSampler | str | None = None,
        pruner: pruners.BasePruner | str | None = None,
    ) -> None:
        super().__init__(study_name, storage_of(storage), _sampler(sampler), _pruner(pruner))

    @property
    def session_id(self) -> int:
        """The session's number, as pages and commands call it."""
        return self._study_id

    @property
    def page(self) -> str:
        """Where the session's page is: its address where a server is known to run, else what starts one."""
        return served.page_words(self._lab_storage.lab, self._study_id)

    @property
    def _lab_storage(self) -> LabStorage:
        assert isinstance(self._storage, LabStorage)
        return self._storage

    def ask(self, fixed_distributions: dict[str, distributions.BaseDistribution] | None = None) -> Trial:
        """Optuna's `ask`. A trial that another process was training when it ended comes first, with the values that it had."""
        self._lab_storage.take_up(self._study_id)
        return super().ask(fixed_distributions)

    def optimize(
        self,
        func: Objective,
        n_trials: int | None = None,
        timeout: float | None = None,
        n_jobs: int = 1,
        catch: Iterable[type[Exception]] | type[Exception] = (),
        callbacks: Iterable[Callback] | None = None,
        gc_after_trial: bool = False,
        show_progress_bar: bool = False,
    ) -> None:
        """Optuna's `optimize`. Ctrl-C gives the trial that trains back, to be trained again as it was when the study goes on.

        Args:
            func: the objective.
            n_trials: how many trials; None for no limit.
            timeout: seconds after which no further trial begins.
            n_jobs: threads that train beside one another; -1 for one a core.
            catch: what an objective may raise without ending this.
            callbacks: called after each trial.
            gc_after_trial: whether memory is collected after each trial.
            show_progress_bar: whether there is one.

        Raises:
            KeyboardInterrupt: as it came.
            SystemExit: SIGTERM came.
        """
        storage = self._lab_storage
        watches = n_jobs == 1  # else trials are in other threads, which no signal reaches

        def objective(trial: Trial) -> float | Sequence[float]:
            try:
                with noting_failures(storage, trial._trial_id), interrupts.heeded():
                    return func(trial)
            except KeyboardInterrupt as interrupt:
                raise _Interrupted from interrupt  # which Optuna does not take for a trial that failed

        try:
            if not watches:
                super().optimize(objective, n_trials, timeout, n_jobs, catch, callbacks, gc_after_trial, show_progress_bar)
                return
            with interrupts.listening() as heard:

                def look(*_: Any) -> None:
                    heard.check()

                every = [*(callbacks or ()), look]
                super().optimize(objective, n_trials, timeout, n_jobs, catch, every, gc_after_trial, show_progress_bar)
        except (KeyboardInterrupt, _Interrupted) as interrupt:
            came = interrupt if isinstance(interrupt, KeyboardInterrupt) else interrupt.__cause__
            storage.leave(self._study_id)
            session = storage.session_of(self._study_id)
            print(f"{resumption.farewell(session)}\nIts page: {self.page}", file=sys.stderr)
            if isinstance(came, interrupts.Terminated):
                raise SystemExit(resumption.TERMINATED) from None
            raise KeyboardInterrupt from None


def create_study(
    *,
    storage: GivenStorage = None,
    sampler: samplers.BaseSampler | str | None = None,
    pruner: pruners.BasePruner | str | None = None,
    study_name: str | None = None,
    direction: Direction | None = None,
    load_if_exists: bool = False,
    directions: Sequence[Direction] | None = None,
) -> Study:
    """A new study, as a session of the laboratory; Optuna's `create_study` otherwise.

    Args:
        storage: a `LabStorage`, or None for the laboratory's own database. Another one that a script names is not used.
        sampler: one of Optuna's, or its name, such as "tpe" or "cmaes".
        pruner: one of Optuna's, or its name, such as "median" or "hyperband".
        study_name: the session's name, by which it is loaded and gone on with.
        direction: "minimize" (default) or "maximize".
        load_if_exists: whether to go on with a study of this name.
        directions: one for each of several objectives.

    Returns:
        The study.

    Raises:
        InvalidSettings: a sampler or pruner that there is not.
        Refused: the name is that of a session that is no study of Optuna.
    """
    made = optuna.create_study(
        storage=storage_of(storage),
        study_name=study_name,
        direction=direction,
        load_if_exists=load_if_exists,
        directions=directions,
    )
    return Study(made.study_name, made._storage, sampler, pruner)


def load_study(
    *,
    study_name: str | None,
    storage: GivenStorage = None,
    sampler: samplers.BaseSampler | str | None = None,
    pruner: pruners.BasePruner | str | None = None,
) -> Study:
    """A study that there is; Optuna's `load_study` otherwise.

    Args:
        study_name: its name; None where there is only one.
        storage: as for `create_study`.
        sampler: as for `create_study`.
        pruner: as for `create_study`.

    Returns:
        The study. It is only read until something is asked of it that changes it.

    Raises:
        KeyError: there is no study of this name.
        Refused: as for `create_study`.
    """
    loaded = optuna.load_study(study_name=study_name, storage=storage_of(storage))
    return Study(loaded.study_name, loaded._storage, sampler, pruner)


def delete_study(*, study_name: str, storage: GivenStorage = None) -> None:
    """Delete what is in a study's session, and free its name; its place in the laboratory's log stays."""
    optuna.delete_study(study_name=study_name, storage=storage_of(storage))


def copy_study(
    *,
    from_study_name: str,
    from_storage: GivenStorage = None,
    to_storage: GivenStorage = None,
    to_study_name: str | None = None,
) -> None:
    """Copy a study to another name; see Optuna's `copy_study`."""
    optuna.copy_study(
        from_study_name=from_study_name,
        from_storage=storage_of(from_storage),
        to_storage=storage_of(to_storage),
        to_study_name=to_study_name,
    )


def get_all_study_names(storage: GivenStorage = None) -> list[str]:
    """The names of all studies, in order of opening."""
    return optuna.get_all_study_names(storage_of(storage))


def get_all_study_summaries(storage: GivenStorage = None, include_best_trial: bool = True) -> list[optuna.study.StudySummary]:
    """What there is to say of each study; see Optuna's `get_all_study_summaries`."""
    return optuna.get_all_study_summaries(storage_of(storage), include_best_trial)


def storage_of(given: GivenStorage) -> LabStorage:
    """The storage that is used where this one is given.

    Args:
        given: a `LabStorage`; any other one is not used, which is said, since trials are kept in the laboratory.

    Returns:
        A storage of the laboratory's.
    """
    if isinstance(given, LabStorage):
        return given
    if given is not None:
        name = shown(given) if isinstance(given, str) else type(given).__name__
        warnings.warn(
            f"storage {name!r} is not used: trials are kept in the laboratory's database, {shown(default_database())}. What it "
            "holds comes in by `evenhand optuna import`; leave storage= out, or give a LabStorage",
            stacklevel=3,
        )
    return _storage_at(default_database())


@cache
def _storage_at(url: str) -> LabStorage:
    """One storage for each database, so that all of a process's studies know of each other."""
    return LabStorage(url)


def _sampler(given: samplers.BaseSampler | str | None) -> samplers.BaseSampler | None:
    made: samplers.BaseSampler | None = _named(given, samplers, "Sampler", "sampler")
    return made


def _pruner(given: pruners.BasePruner | str | None) -> pruners.BasePruner | None:
    made: pruners.BasePruner | None = _named(given, pruners, "Pruner", "pruner")
    return made


def _named(given: Any, module: ModuleType, ending: str, what: str) -> Any:
    """One of Optuna's own by its name without its ending: "tpe" for TPESampler."""
    if not isinstance(given, str):
        return given
    kinds = {name.removesuffix(ending).lower(): getattr(module, name) for name in module.__all__ if name.endswith(ending)}
    known = {short: kind for short, kind in kinds.items() if not inspect.isabstract(kind) and not _needs_settings(kind)}
    if given not in known:
        raise InvalidSettings(
            f"{what} {given!r}: expected one of {', '.join(sorted(known))}, or one of optuna.{what}s with its settings"
        )
    return known[given]()


def _needs_settings(kind: type) -> bool:
    own = list(inspect.signature(kind).parameters.values())
    return any(setting.default is setting.empty and setting.kind is not setting.VAR_KEYWORD for setting in own)


class _With(ModuleType):
    """A module of Optuna's with some of its names replaced by those of here."""

    def __init__(self, module: ModuleType, **ours: Any) -> None:
        super().__init__(module.__name__, module.__doc__)
        self._module = module
        self.__dict__.update(ours)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *dir(self._module)})


study = _With(
    optuna.study,
    Study=Study,
    copy_study=copy_study,
    create_study=create_study,
    delete_study=delete_study,
    get_all_study_names=get_all_study_names,
    get_all_study_summaries=get_all_study_summaries,
    load_study=load_study,
)
storages = _With(optuna.storages, LabStorage=LabStorage)
