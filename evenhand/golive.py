"""What must be true before a study goes live: a list of checks over plain facts, each with why it matters and what to do.

A failed check blocks, or warns: who publishes has to say that the warning was read. The page and the command ask the same list.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from evenhand.analysis.scores import is_share
from evenhand.declaration import Grouping, Study
from evenhand.lab import Lab
from evenhand.records import AgentRecord, Session, TaskRecord

FEWEST_SEEDS = 3  # below that, the spread over seeds says nothing about a configuration
MOST_PER_SLOT = 20  # participants for each training slot: with more, nearly all of a session is waiting, were all there at once


@dataclass(frozen=True)
class Check:
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
class Facts:
    """What the list is a function of.

    study: the version that would go live. tasks: its own, then its conditions'. lacking: names of agents that said that they
    cannot train one of them. signins: sign-in links that nobody used yet. piloted: pilot participants who made their choice.
    training: mean seconds of a training so far, None where none ended. backup: why backups cannot be written, "" where they can.
    """

    study: Study
    tasks: tuple[TaskRecord, ...]
    agents: tuple[AgentRecord, ...]
    lacking: tuple[str, ...] = ()
    signins: int = 0
    piloted: int = 0
    training: float | None = None
    backup: str = ""


def facts_of(lab: Lab, study_id: int) -> Facts:
    """The facts about the newest version of a study, as they are now."""
    newest = lab.versions(study_id)[-1:] or [lab.study(study_id)]
    study = newest[0]
    tasks = tuple(
        lab.task(each) for each in dict.fromkeys([study.task_id, *(arm.task_id or study.task_id for arm in study.arms)])
    )
    sessions = [each for each in lab.sessions(study_id) if not each.practice]
    return Facts(
        study=study,
        tasks=tasks,
        agents=tuple(lab.agents()),
        lacking=tuple(dict.fromkeys(agent.name for task in tasks for agent in lab.lacking(task.version))),
        signins=lab.count_tokens("signin"),
        piloted=sum(each.mode == "pilot" and each.kind == "participant" and each.choice is not None for each in sessions),
        training=_mean_training(sessions),
        backup=why_not_usable(study.backup),
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
    there = next(each for each in (path, *path.absolute().parents) if each.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return f"{folder} cannot be written to"
    return ""


def checklist(facts: Facts) -> tuple[Check, ...]:
    """Every check, passed or not, in the order in which people mend them."""
    makers: tuple[Callable[[Facts], Check], ...] = (
        _consent, _details, _contact, _backup, _signin, _agents, _slots, _machines, _task, _time, _seeds, _plan, _pilot,
    )  # fmt: skip
    return tuple(make(facts) for make in makers)


def _consent(facts: Facts) -> Check:
    study = facts.study
    if study.consent.markdown.strip():
        return Check("consent", True, f"participants agree to a text of {len(study.consent.markdown.split())} words first")
    if study.classroom:
        return Check("consent", True, "a class has no consent page")
    why = "there is no consent text, so nobody is asked whether they agree to take part"
    return Check("consent", False, why, "write what is asked, kept and erased into the consent text")


def _details(facts: Facts) -> Check:
    if facts.study.details.markdown.strip():
        return Check("details", True, "the task is explained before the clock starts")
    why = "the text that explains the task is empty"
    return Check("details", False, why, "write into the details text what people tune, for how long, and how they end")


def _contact(facts: Facts) -> Check:
    if facts.study.contact.strip() or facts.study.classroom:
        return Check(
            "contact",
            True,
            f"questions go to {facts.study.contact}" if facts.study.contact.strip() else "a class asks its teacher",
        )
    why = "no contact is named, so participants with a question or a complaint have nobody to ask"
    return Check("contact", False, why, 'set contact = "name, address" in the study\'s file')


def _backup(facts: Facts) -> Check:
    if not facts.backup:
        return Check("backup", True, f"backups go to {facts.study.backup}")
    fix = 'set backup = "/another/disk/folder" in the study\'s file, to a folder that this server can write to'
    return Check("backup", False, f"{facts.backup}; one broken disk would lose the study", fix, warning=facts.study.classroom)


def _signin(facts: Facts) -> Check:
    if not facts.signins:
        return Check("sign-in", True, "no sign-in link lies about unused")
    links = "a sign-in link is" if facts.signins == 1 else f"{facts.signins} sign-in links are"
    why = f"{links} still unused: whoever finds one in a terminal or a log becomes the researcher"
    return Check("sign-in", False, why, "use it, or make all unused ones invalid")


def _agents(facts: Facts) -> Check:
    if facts.agents:
        slots = sum(agent.slots for agent in facts.agents)
        return Check("agents", True, f"{_count(len(facts.agents), 'agent')} with {_count(slots, 'training slot')}")
    why = "no agent is connected, so nothing would train"
    return Check("agents", False, why, "start the server with --slots, or connect a machine with `evenhand agent`")


def _slots(facts: Facts) -> Check:
    wanted, slots = facts.study.plan.participants, sum(agent.slots for agent in facts.agents)
    if wanted is None:
        why = "the plan does not say how many participants are expected, so nobody can tell whether the agents suffice"
        return Check("slots", False, why, "set participants under [plan] in the study's file", warning=True)
    if not slots or wanted <= slots:
        return Check(
            "slots", bool(slots), f"{wanted} expected, {_count(slots, 'training slot')}", "connect an agent", warning=True
        )
    why = f"{wanted} participants expected, {_count(slots, 'training slot')}: {_wait(facts, wanted, slots)}"
    fix = "connect more agents, or let people come at different times (waiting is not counted against them)"
    return Check("slots", False, why, fix, warning=wanted <= MOST_PER_SLOT * slots)


def _wait(facts: Facts, wanted: int, slots: int) -> str:
    """The longest queue: everyone tunes at the same time and thinks for no time at all."""
    others = wanted / slots - 1
    if facts.training is None:
        return f"if all tuned at once, each training would wait for up to {others:.0f} others (no training has been timed yet)"
    return f"if all tuned at once, each training of {_span(facts.training)} would wait up to {_span(others * facts.training)}"


def _machines(facts: Facts) -> Check:
    kinds = sorted({agent.machine or "unknown" for agent in facts.agents})
    if len(kinds) <= 1:
        return Check("machines", True, "all agents run on one kind of machine" if kinds else "no agent, so no kinds of machine")
    why = f"agents run on different kinds of machine ({'; '.join(kinds)}): the same configuration would give different numbers"
    return Check("machines", False, why, "keep the agents of one kind, and end the others")


def _task(facts: Facts) -> Check:
    if not facts.lacking:
        return Check("task", True, "no agent said that it lacks the task")
    why = f"{', '.join(facts.lacking)} cannot train this version of the task: its source or its data differ there"
    return Check("task", False, why, "bring the same source and data there, or end that agent")


def _time(facts: Facts) -> Check:
    budgets = [facts.study.budget, *(arm.budget for arm in facts.study.arms if arm.budget is not None)]
    if all(budget.seconds is not None for budget in budgets):
        return Check("time limit", True, "each session has a time limit")
    why = "a session without a time limit ends only when its participant chooses; one left open stays so"
    return Check("time limit", False, why, "add minutes to the budget, or read this", warning=True)


def _seeds(facts: Facts) -> Check:
    seeds = facts.study.evaluation_seeds
    if not any(task.has_test for task in facts.tasks):
        why = "the task has no test data, so no final configuration can be scored fairly"
        return Check("evaluation", False, why, "give the task test data, or read this", warning=True)
    if seeds >= FEWEST_SEEDS:
        return Check("evaluation", True, f"each final configuration is scored with {seeds} seeds")
    why = f"{_count(seeds, 'evaluation seed')} cannot tell a good configuration from a lucky seed"
    return Check("evaluation", False, why, f"set at least {FEWEST_SEEDS} evaluation seeds; the paper has 10")


def _plan(facts: Facts) -> Check:
    problems = plan_problems(facts.study, facts.tasks[0])
    if not problems:
        return Check("planned analysis", True, f"planned: {facts.study.plan.test} at {facts.study.plan.alpha:g}")
    return Check("planned analysis", False, "; ".join(problems), "correct [plan] and [groups] in the study's file")


def plan_problems(study: Study, task: TaskRecord) -> list[str]:
    """What the planned analysis could not be computed from."""
    plan, found = study.plan, _grouping_problems(study, study.grouping)
    if not 0 < plan.alpha < 1:
        found.append(f"alpha is {plan.alpha:g}, expected a number between 0 and 1")
    if not 0 < abs(plan.expected) < 1:
        found.append(f"the expected effect is {plan.expected:g}, expected a number between -1 and 1, and not 0")
    if is_share(task.metric):
        found += [f"threshold {each:g} is no {task.metric} between 0 and 1" for each in plan.thresholds if not 0 < each < 1]
    asked = [rule.question for rule in plan.exclusions if rule.fact == "answer"]
    found += [f"an exclusion rule reads {each!r}, which is not asked" for each in asked if study.question(each) is None]
    return found


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


def _pilot(facts: Facts) -> Check:
    if facts.piloted:
        return Check("pilot", True, f"{_count(facts.piloted, 'pilot participant')} came to a final choice")
    why = "nobody has gone all the way through as a pilot yet"
    return Check("pilot", False, why, "invite somebody with a pilot link, or rehearse with `evenhand bots`", warning=True)


def _count(number: int, one: str) -> str:
    return f"{number} {one}{'' if number == 1 else 's'}"


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
