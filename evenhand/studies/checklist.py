"""What must be true before a study goes live: a list of checks over plain facts, each with why it matters and what to do.

A failed check blocks, or warns: who publishes has to say that the warning was read. The page and the command ask the same list.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from evenhand.errors import Refused
from evenhand.lab.lab import Lab
from evenhand.model.environment import pin, why_no_kind, why_refused
from evenhand.model.job import AgentRecord
from evenhand.model.session import Session
from evenhand.model.study import Grouping, Study
from evenhand.model.task import TaskRecord
from evenhand.model.words import is_share, plural, span
from evenhand.tasks import machine

FEWEST_SEEDS = 3  # below that, the spread over seeds says nothing about a configuration
MOST_PARTICIPANTS_PER_SLOT = 20  # with more, nearly all of a session is waiting, were all there at once


@dataclass(frozen=True)
class ChecklistLine:
    """One line of the list. why: what was found, in words. fix: what to do. warning: it does not block, but has to be read."""

    name: str
    ok: bool
    why: str
    fix: str = ""
    warning: bool = False

    @property
    def blocks(self) -> bool:
        """Whether the study cannot go live because of it."""
        return not self.ok and not self.warning

    @property
    def warns(self) -> bool:
        """Whether somebody has to say that it was read."""
        return not self.ok and self.warning


@dataclass(frozen=True)
class ChecklistFacts:
    """What the list is a function of.

    study: the version that would go live. tasks: its own, then its conditions'. lacking: names of agents that said that they
    cannot train one of them. signins: sign-in links that nobody used yet. piloted: pilot participants who made their choice.
    training: mean seconds of a training so far, None where none ended. backup: why backups cannot be written, "" where they can.
    like: the agent to whose environment the researcher chose to pin the study, "" where they chose none.
    """

    study: Study
    tasks: tuple[TaskRecord, ...]
    agents: tuple[AgentRecord, ...]
    lacking: tuple[str, ...] = ()
    signins: int = 0
    piloted: int = 0
    training: float | None = None
    backup: str = ""
    like: str = ""


def facts_of(lab: Lab, study_id: int, like: str = "") -> ChecklistFacts:
    """The facts about the newest version of a study, as they are now. like: as in `ChecklistFacts`."""
    newest = lab.studies.versions(study_id)[-1:] or [lab.studies.get(study_id)]
    study = newest[0]
    tasks = tuple(
        lab.studies.task(task_id)
        for task_id in dict.fromkeys([study.task_id, *(arm.task_id or study.task_id for arm in study.arms)])
    )
    sessions = [session for session in lab.sessions.of_study(study_id) if not session.practice]
    return ChecklistFacts(
        study=study,
        tasks=tasks,
        agents=tuple(lab.agents.all()),
        lacking=tuple(dict.fromkeys(agent.name for task in tasks for agent in lab.agents.lacking(task.version))),
        signins=lab.tokens.count("signin"),
        piloted=sum(
            session.mode == "pilot" and session.kind == "participant" and session.choice is not None for session in sessions
        ),
        training=_mean_training(sessions),
        backup=why_not_usable(study.backup),
        like=like,
    )


def _mean_training(sessions: Sequence[Session]) -> float | None:
    trials = [trial for session in sessions for trial in session.trials]
    ended = [
        trial.seconds(trial.finished_at) for trial in trials if trial.finished_at is not None and trial.claimed_at is not None
    ]
    return fmean(ended) if ended else None


def why_not_usable(folder: str) -> str:
    """Why backups cannot be written to a folder, which may have yet to be made; "" where they can."""
    if not folder.strip():
        return "no folder for backups is named"
    path = Path(folder).expanduser()
    if path.exists() and not path.is_dir():
        return f"{folder} is a file, not a folder"
    there = next(place for place in (path, *path.absolute().parents) if place.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return f"{folder} cannot be written to"
    return ""


def checklist(facts: ChecklistFacts) -> tuple[ChecklistLine, ...]:
    """Every check, passed or not, in the order in which people mend them."""
    makers: tuple[Callable[[ChecklistFacts], ChecklistLine], ...] = (
        _consent, _details, _contact, _backup, _signin, _agents, _slots, _machines, _task, _time, _seeds, _plan, _pilot,
    )  # fmt: skip
    return tuple(make(facts) for make in makers)


def _consent(facts: ChecklistFacts) -> ChecklistLine:
    study = facts.study
    if study.consent.markdown.strip():
        return ChecklistLine(
            "consent", True, f"participants agree to a text of {len(study.consent.markdown.split())} words first"
        )
    if study.classroom:
        return ChecklistLine("consent", True, "a class has no consent page")
    why = "there is no consent text, so nobody is asked whether they agree to take part"
    return ChecklistLine("consent", False, why, "write what is asked, kept and erased into the consent text")


def _details(facts: ChecklistFacts) -> ChecklistLine:
    if facts.study.details.markdown.strip():
        return ChecklistLine("details", True, "the task is explained before the clock starts")
    why = "the text that explains the task is empty"
    return ChecklistLine("details", False, why, "write into the details text what people tune, for how long, and how they end")


def _contact(facts: ChecklistFacts) -> ChecklistLine:
    if facts.study.contact.strip() or facts.study.classroom:
        return ChecklistLine(
            "contact",
            True,
            f"questions go to {facts.study.contact}" if facts.study.contact.strip() else "a class asks its teacher",
        )
    why = "no contact is named, so participants with a question or a complaint have nobody to ask"
    return ChecklistLine("contact", False, why, 'set contact = "name, address" in the study\'s file')


def _backup(facts: ChecklistFacts) -> ChecklistLine:
    if not facts.backup:
        return ChecklistLine("backup", True, f"backups go to {facts.study.backup}")
    fix = 'set backup = "/another/disk/folder" in the study\'s file, to a folder that this server can write to'
    return ChecklistLine(
        "backup", False, f"{facts.backup}; one broken disk would lose the study", fix, warning=facts.study.classroom
    )


def _signin(facts: ChecklistFacts) -> ChecklistLine:
    if not facts.signins:
        return ChecklistLine("sign-in", True, "no sign-in link lies about unused")
    links = "a sign-in link is" if facts.signins == 1 else f"{facts.signins} sign-in links are"
    why = f"{links} still unused: whoever finds one in a terminal or a log becomes the researcher"
    return ChecklistLine("sign-in", False, why, "use it, or make all unused ones invalid")


def _agents(facts: ChecklistFacts) -> ChecklistLine:
    if facts.agents:
        slots = sum(agent.slots for agent in facts.agents)
        return ChecklistLine("agents", True, f"{plural(len(facts.agents), 'agent')} with {plural(slots, 'training slot')}")
    why = "no agent is connected, so nothing would train"
    return ChecklistLine("agents", False, why, "start the server with --slots, or connect a machine with `evenhand agent`")


def _slots(facts: ChecklistFacts) -> ChecklistLine:
    wanted, slots = facts.study.plan.participants, sum(agent.slots for agent in facts.agents)
    if wanted is None:
        why = "the plan does not say how many participants are expected, so nobody can tell whether the agents suffice"
        return ChecklistLine("slots", False, why, "set participants under [plan] in the study's file", warning=True)
    if not slots or wanted <= slots:
        return ChecklistLine(
            "slots", bool(slots), f"{wanted} expected, {plural(slots, 'training slot')}", "connect an agent", warning=True
        )
    why = f"{wanted} participants expected, {plural(slots, 'training slot')}: {_wait(facts, wanted, slots)}"
    fix = "connect more agents, or let people come at different times (waiting is not counted against them)"
    return ChecklistLine("slots", False, why, fix, warning=wanted <= MOST_PARTICIPANTS_PER_SLOT * slots)


def _wait(facts: ChecklistFacts, wanted: int, slots: int) -> str:
    """The longest queue: everyone tunes at the same time and thinks for no time at all."""
    others = wanted / slots - 1
    if facts.training is None:
        return f"if all tuned at once, each training would wait for up to {others:.0f} others (no training has been timed yet)"
    return f"if all tuned at once, each training of {span(facts.training)} would wait up to {span(others * facts.training)}"


def _machines(facts: ChecklistFacts) -> ChecklistLine:
    """The study is pinned to where its trainings are done; see `environment.pin`, which publishing goes by."""
    said = [agent.said for agent in facts.agents]
    if facts.study.machines == "any":
        return ChecklistLine(
            "machines", True, "the study declares itself for any machines, and its report tells their numbers apart"
        )
    if not facts.agents:
        return ChecklistLine("machines", True, "no agent, so the study is pinned to this machine's kind")
    if not facts.like and (differs := why_no_kind(said)):
        why = f"{differs}: the same configuration would give different numbers"
        fix = "end the agents that do not fit, choose the one to pin the study to (when publishing by command: --like NAME), "
        fix += 'or declare machines = "any" in its file'
        return ChecklistLine("machines", False, why, fix)
    try:
        pinned = pin(said, machine.here(), facts.like)
    except Refused as error:
        return ChecklistLine("machines", False, str(error), "choose another one (when publishing by command: --like NAME)")
    left_out = [agent.name for agent in said if why_refused(pinned, agent)]
    besides = f"; {', '.join(left_out)} will not train for it" if left_out else ""
    return ChecklistLine("machines", True, f"the study is pinned to {pinned.words()}{besides}")


def choosable(agents: Sequence[AgentRecord]) -> dict[str, str]:
    """Agents of which one has to be chosen to pin a study to, by name, each with what it has; none where they are of one kind."""
    if not why_no_kind([agent.said for agent in agents]):
        return {}
    return {agent.name: agent.environment.words() for agent in agents if agent.environment is not None}


def _task(facts: ChecklistFacts) -> ChecklistLine:
    if not facts.lacking:
        return ChecklistLine("task", True, "no agent said that it lacks the task")
    why = f"{', '.join(facts.lacking)} cannot train this version of the task: its source or its data differ there"
    return ChecklistLine("task", False, why, "bring the same source and data there, or end that agent")


def _time(facts: ChecklistFacts) -> ChecklistLine:
    budgets = [facts.study.budget, *(arm.budget for arm in facts.study.arms if arm.budget is not None)]
    if all(budget.seconds is not None for budget in budgets):
        return ChecklistLine("time limit", True, "each session has a time limit")
    why = "a session without a time limit ends only when its participant chooses; one left open stays so"
    return ChecklistLine("time limit", False, why, "add minutes to the budget, or read this", warning=True)


def _seeds(facts: ChecklistFacts) -> ChecklistLine:
    seeds = facts.study.evaluation_seeds
    if not any(task.has_test for task in facts.tasks):
        why = "the task has no test data, so no final configuration can be scored fairly"
        return ChecklistLine("evaluation", False, why, "give the task test data, or read this", warning=True)
    if seeds >= FEWEST_SEEDS:
        return ChecklistLine("evaluation", True, f"each final configuration is scored with {seeds} seeds")
    why = f"{plural(seeds, 'evaluation seed')} cannot tell a good configuration from a lucky seed"
    return ChecklistLine("evaluation", False, why, f"set at least {FEWEST_SEEDS} evaluation seeds; the paper has 10")


def _plan(facts: ChecklistFacts) -> ChecklistLine:
    problems = plan_problems(facts.study, facts.tasks[0])
    if not problems:
        return ChecklistLine("planned analysis", True, f"planned: {facts.study.plan.test} at {facts.study.plan.alpha:g}")
    return ChecklistLine("planned analysis", False, "; ".join(problems), "correct [plan] and [groups] in the study's file")


def plan_problems(study: Study, task: TaskRecord) -> list[str]:
    """What the planned analysis could not be computed from."""
    plan, problems = study.plan, _grouping_problems(study, study.grouping)
    if not 0 < plan.alpha < 1:
        problems.append(f"alpha is {plan.alpha:g}, expected a number between 0 and 1")
    if not 0 < abs(plan.expected) < 1:
        problems.append(f"the expected effect is {plan.expected:g}, expected a number between -1 and 1, and not 0")
    if is_share(task.metric):
        problems += [
            f"threshold {threshold:g} is no {task.metric} between 0 and 1"
            for threshold in plan.thresholds
            if not 0 < threshold < 1
        ]
    asked = [rule.question for rule in plan.exclusions if rule.fact == "answer"]
    problems += [
        f"an exclusion rule reads {question!r}, which is not asked" for question in asked if study.question(question) is None
    ]
    return problems


def _grouping_problems(study: Study, grouping: Grouping) -> list[str]:
    question = study.question(grouping.by)
    if question is None:
        return [] if study.classroom else [f"participants are grouped by {grouping.by!r}, which is not asked"]
    if not grouping.groups:
        return [] if question.options else [f"{grouping.by!r} has no options to group by; name the groups"]
    if question.kind not in ("number", "likert"):
        return [f"{grouping.by!r} is no number, so groups with limits cannot be formed by it"]
    pairs = [(one, other) for i, one in enumerate(grouping.groups) for other in grouping.groups[i + 1 :]]
    return [
        f"groups {one.name!r} and {other.name!r} overlap"
        for one, other in pairs
        if _overlap(one.low, one.high, other.low, other.high)
    ]


def _overlap(low: float | None, high: float | None, other_low: float | None, other_high: float | None) -> bool:
    infinite = float("inf")
    first, last = (-infinite if low is None else low), (infinite if high is None else high)
    return first <= (infinite if other_high is None else other_high) and (-infinite if other_low is None else other_low) <= last


def _pilot(facts: ChecklistFacts) -> ChecklistLine:
    if facts.piloted:
        return ChecklistLine("pilot", True, f"{plural(facts.piloted, 'pilot participant')} came to a final choice")
    why = "nobody has gone all the way through as a pilot yet"
    return ChecklistLine("pilot", False, why, "invite somebody with a pilot link, or rehearse with `evenhand bots`", warning=True)
