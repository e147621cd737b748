"""What a program needs to repeat a run on a clean machine, as JSON values; and what keeps it from being repeated exactly."""

import json
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from evenhand import __version__, methods
from evenhand.analysis.environments import where_trained
from evenhand.errors import EvenhandError
from evenhand.model import rules
from evenhand.model.aims import OBJECTIVE_KEY, REQUIRE_KEY
from evenhand.model.choice_rule import CHOOSE_KEY
from evenhand.model.domain import show
from evenhand.model.environment import Environment
from evenhand.model.session import Session
from evenhand.model.study import Study
from evenhand.model.words import exact
from evenhand.report.run_records import RunRecords
from evenhand.tasks import TASKS

FORMAT = 1  # of `facts`
PLAYED_KEYS = ("epochs_per_trial", "stopping", OBJECTIVE_KEY, REQUIRE_KEY, CHOOSE_KEY)  # beside a method's own settings
STREAM_WORDS = (
    "each seed is the first 31 bits of SHA-256 over the root seed and the words of its purpose, with U+001F between them; the "
    "method's stream for its next suggestion is derived from the method's seed and the number of trials so far"
)
INJECTED_KEYS = ("seed", "further", "beside")  # settings that the session's own records give a method
MINUTE_SECONDS = 60.0
OPTIONS: Mapping[str, str] = {  # of `evenhand tune`, by the argument's name
    "method": "--method",
    "trials": "--trials",
    "minutes": "--minutes",
    "epochs": "--epochs",
    "until": "--until",
    "parallel": "--parallel",
    "priors": "--prior",
    "epochs_per_trial": "--epochs-per-trial",
    "stopping": "--stopping",
    OBJECTIVE_KEY: "--objective",
    REQUIRE_KEY: "--require",
    CHOOSE_KEY: "--choose",
    "seed": "--seed",
    "evaluate": "--evaluate",
    "value": "--value",
}


def why_not_exactly(session: Session) -> Iterator[str]:
    """What keeps a run from being repeated exactly, in words."""
    if session.kind == "participant":
        yield "a person proposed its trials"
    if session.is_joint:
        yield "a person took part beside the method: trials, limits and judgements of people are listed, not repeated"
    if session.budget.seconds is not None:
        yield "its budget is time, so how many trials it holds hangs on the machine"
    if session.budget.parallel > 1:
        yield "several trials were trained at once, so what is proposed hangs on which of them ended first"
    if methods.OBJECT_KEY in session.method:
        yield f"its method is an object of {session.method[methods.OBJECT_KEY]}, whose code is needed, and no name finds it"
    if session.space.is_open:
        yield "its program defined the space while it ran"
    if session.is_brought_in:
        yield f"its trials were brought in from {session.tuner}, so its method's settings and its seeds are not known here"
    place = session.task.spec.name.rpartition(":")[0]
    if session.task.spec.name not in TASKS and not place.endswith(".py"):
        yield f"its function {session.task.spec.plain_name} is in no file, so its source has to be kept beside this"


def facts_of(records: RunRecords) -> dict[str, Any]:
    """All that repeats a run.

    Args:
        records: what is known of it.

    Returns:
        JSON values: `arguments` are those of `evenhand.tune`, `command` is the line for a terminal, or None where only Python can
        say it.
    """
    why_not = list(why_not_exactly(records.session))
    session, study, task = records.session, records.study, records.session.task
    return {
        "format": FORMAT,
        "written_by": f"Evenhand {__version__}",
        "run": {"name": session.name, "session": session.id, "begun": exact(session.opened_at), "tuner": session.tuner},
        "task": {
            "name": task.spec.plain_name,
            "settings": dict(task.spec.settings),
            "version": task.version,
            "metric": task.metric,
            "direction": task.direction,
            "further": [[metric.name, metric.direction] for metric in task.further],
            "max_epochs": task.max_epochs,
            "max_seconds": task.max_seconds,
            "max_memory": task.max_memory,
            "has_test": task.has_test,
            "statistics": dict(task.statistics),
        },
        "space": session.space.to_json(),
        "method": {"name": plain_place(str(session.method.get("name", session.tuner))), "settings": settings_of(session)},
        "seeds": {
            "root": None if session.is_brought_in else study.seed,
            "tuning": None if session.is_brought_in else session.tuning_seed,
            "method": session.method.get("seed"),
            "evaluation": _evaluation_seeds(session, study),
            "streams": STREAM_WORDS,
        },
        "people": [
            {"at": exact(act.at), "kind": act.kind, "trial": act.trial, "detail": dict(act.detail)}
            for act in session.interventions
        ],
        "trained_in": [
            {"trials": there.trials, "environment": _environment(records.environments, there.key)}
            for there in where_trained([session], {})
        ],
        "packages": {} if session.is_brought_in else dict(study.packages),
        "spent": {
            "trials": rules.trials_used(session),
            "epochs": rules.epochs_used(session),
            "outcomes": dict(Counter(str(trial.outcome or "open") for trial in session.trials)),
        },
        "arguments": arguments_of(session, study),
        "command": command_of(session, study),
        "repeats_exactly": not why_not,
        "why_not": why_not,
    }


def _evaluation_seeds(session: Session, study: Study) -> list[int]:
    """One of each training whose model is scored on test; none where there is no test data."""
    count = study.evaluation_seeds if session.task.has_test else 0
    return [rules.derive_seed(study.seed, "evaluation", index) for index in range(count)]


def settings_of(session: Session) -> dict[str, Any]:
    """A method's own settings, those that were not given by their defaults."""
    given = {key: value for key, value in session.method.items() if key not in ("name", "seed", methods.OBJECT_KEY, *PLAYED_KEYS)}
    try:
        defaults = methods.defaults_of(str(session.method["name"]))
    except (EvenhandError, KeyError):  # of an object, or of a file that is not here, what was recorded is all there is
        defaults = {}
    known = {key: value for key, value in defaults.items() if key not in INJECTED_KEYS}
    return json.loads(json.dumps({**known, **given}, default=str))  # type: ignore[no-any-return]


def arguments_of(session: Session, study: Study) -> dict[str, Any]:
    """What `evenhand.tune` is called with to repeat a run, beside its function, as JSON values."""
    method, budget = session.method, session.budget
    own = {key: value for key, value in method.items() if key not in ("name", "seed", *PLAYED_KEYS)}
    beliefs = beliefs_of(session)
    given: dict[str, Any] = {
        "method": plain_place(str(method.get("name", session.tuner))),
        "trials": budget.trials,
        "minutes": None if budget.seconds is None else budget.seconds / MINUTE_SECONDS,
        "epochs": budget.epochs,
        "until": None if budget.until is None else str(budget.until),
        "parallel": None if budget.parallel == 1 else budget.parallel,
        "priors": beliefs or None,
        **{key: method.get(key) for key in PLAYED_KEYS},
        **own,
    }
    wanted = {key: value for key, value in given.items() if value is not None}
    evaluate = study.evaluation_mode if study.evaluation_seeds else False
    return {**wanted, "seed": study.seed, "evaluate": evaluate, "value": session.value_rule}


def command_of(session: Session, study: Study) -> str | None:
    """The line for a terminal that repeats a run; None where only Python can say it."""
    arguments = arguments_of(session, study)
    if methods.OBJECT_KEY in arguments or session.kind == "participant" or session.space.is_open or session.is_brought_in:
        return None
    own = {key: arguments.pop(key) for key in list(arguments) if key not in OPTIONS}
    method = arguments.pop("method")
    pairs = ",".join(f"{key}={json.dumps(value)}" for key, value in own.items())
    words = ["evenhand", "tune", session.task.spec.plain_name, "--method", f"{method}:{pairs}" if pairs else method]
    for key, value in session.task.spec.settings.items():
        words += ["--set", f"{key}={json.dumps(value)}"]
    for key, value in arguments.items():
        option = OPTIONS[key]
        if key == "evaluate":
            words += ["--no-evaluate"] if value is False else ["--evaluation", str(value)]
        elif key == "priors":
            if any(prior.keys() - {"value", "confidence"} or "value" not in prior for prior in value.values()):
                return None
            words += [word for name, prior in value.items() for word in ("--prior", _prior_text(name, prior))]
        elif key == REQUIRE_KEY:
            words += [word for name, bound in value.items() for word in (option, f"{name} {bound}")]
        elif isinstance(value, list):
            words += [word for text in value for word in (option, str(text))]
        else:
            words += [option, str(value)]
    return shlex.join(words)


def _prior_text(name: str, prior: Mapping[str, Any]) -> str:
    return f"{name}={show(prior.get('value'))}:{prior.get('confidence', 'medium')}"


def beliefs_of(session: Session) -> dict[str, Any]:
    """What was believed before the first trial, by name, as JSON values."""
    began = session.started_at if session.started_at is not None else float("inf")
    believed = [act.detail for act in session.interventions if act.kind == "believes" and act.at <= began]
    held = {name: prior for detail in believed for name, prior in detail.items() if prior is not None}
    return {name: {key: value for key, value in prior.items() if value is not None} for name, prior in held.items()}


def plain_place(name: str) -> str:
    """A name without the folders of this machine."""
    return name.replace("\\", "/").rpartition("/")[2]


def _environment(environments: Mapping[str, Environment], key: str | None) -> dict[str, Any] | None:
    return None if key is None or key not in environments else asdict(environments[key])
