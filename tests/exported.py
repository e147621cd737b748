"""A study with records of every kind, and what tests of exports do with it: write, read, bring in, renumber."""

import csv
import io
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from evenhand import export
from evenhand.archive import Package
from evenhand.declaration import Arm, Budget, Mode, Option, Question, Questionnaire, Section, Study, Text
from evenhand.lab import Lab
from evenhand.records import Archive, Measurement, Outcome, Participant, Session, TaskRecord, TaskSpec
from tests.labs import SPACE, Clock, claim

ANSWERS = {
    "many": ["a", "c"], "none": [], "grid": {"x": "a", "y": "b"}, "grids": {"x": ["a", "b"], "y": []}, "half": 0.1 + 0.2,
    "whole": 7, "words": 'one, "two"\r\nthree; é\t=1+1', "empty": "", "digits": "007",
}  # fmt: skip


def declared(lab: Lab, name: str = "rich") -> Study:
    """A study with two conditions on two tasks, an invitation's secrets, and each kind of answer."""
    first = lab.add_task(TaskRecord(TaskSpec("/home/someone/toy.py:train"), "v1", SPACE, "accuracy", "maximize", 10))
    other = lab.add_task(TaskRecord(TaskSpec("toy2"), "v2", SPACE, "accuracy", "maximize", 10, statistics={"images": 3}))
    options = tuple(Option(each, Text(each)) for each in "abc")
    rows = tuple(Option(each, Text(each)) for each in "xy")
    questions = (
        Question("months", "number", Text("Months?")),
        Question("many", "multiple", Text("Which?"), options=options),
        Question("grid", "matrix", Text("Grid?"), options=options, rows=rows),
    )
    background = Questionnaire("background", Text("Background"), (Section(questions),))
    study = Study(
        name, "Rich é", first.id, Budget(seconds=1000), 7, Text("I agree."), Text("Details."), Text("Thanks."),
        evaluation_seeds=2, arms=(Arm("plain"), Arm("other", task_id=other.id, presets=False)), questionnaires=(background,),
        webhook="http://127.0.0.1/secret-hook", backup="/home/someone/backup", source="/home/someone/study.toml",
    )  # fmt: skip
    found = lab.add_study(study)
    lab.declare(replace(study, title="Rich, amended"))
    return lab.publish(found.id, "title") if name == "rich" else found


def rich(lab: Lab, clock: Clock) -> Study:
    """Live participants of every kind, a method, and pilots beside them, who must stay out of an export of the live ones."""
    study = declared(lab)
    agent, _ = lab.add_agent("a", 4)
    batch, (token,) = lab.invite(study.id, "course", cap=9)
    for number in range(4):
        mode: Mode = "pilot" if number == 1 else "live"
        person = lab.join(study.id, mode)[0] if number == 1 else lab.accept(token, nickname="Zoe")[0]
        lab.consent(person.id, study.consent.version)
        lab.answer(person.id, "background", {"months": number, **(ANSWERS if number == 0 else {})})
        clock.now += 1 / 3
        session = lab.begin(person.id)
        tune(lab, clock, session.id, agent, 0.1 + number / 7)
    people = lab.participants(study.id)
    lab.exclude(people[2].id, "was asleep")
    lab.withdraw(people[3].id)
    lab.switch_batch(batch.id, False)
    method = lab.start(lab.open(study.id, tuner="random", method={"name": "random", "seed": 3}).id)
    tune(lab, clock, method.id, agent, 0.7)
    lab.join(study.id)
    lab.close_study(study.id)
    return lab.study(study.id)


def tune(lab: Lab, clock: Clock, session_id: int, agent: int, value: float) -> None:
    """Two trials, one of which diverges; a pause and an extension; the choice and its evaluation."""
    lab.pause([session_id], "fire, alarm")
    clock.now += 0.7
    lab.unpause([session_id])
    lab.extend([session_id], 60, "for it")
    for epochs, rate in ((2, 0.1 + 0.2), (3, 0.01)):
        configuration = SPACE.configuration({"epochs": epochs, "learning_rate": rate})
        lab.submit(session_id, configuration, reasons={"learning_rate": 'I "guess",\nso'} if epochs == 2 else {})
        train(lab, clock, agent, epochs, value)
    lab.choose(session_id, number=1)
    for _ in range(2):
        train(lab, clock, agent, 2, value / 3)


def train(lab: Lab, clock: Clock, agent: int, epochs: int, value: float) -> None:
    job = claim(lab, agent)
    done = [Measurement(i, i + 1, i + 1, 1 / (i + 1), value + i, i / 7, {"f1": 0.1 * i}) for i in range(epochs - 1)]
    lab.measure(job.job_id, 1, [*done, Measurement(epochs - 1, epochs, None, 1e-17, None, epochs / 7)])
    clock.now += epochs
    outcome = Outcome.DIVERGED if epochs == 3 else Outcome.COMPLETED
    lab.finish(job.job_id, 1, outcome, "the loss is not finite" if epochs == 3 else None)


def renumbered(found: Archive) -> Archive:
    """The archive with numbers from 1 for ids, in the order of its records, and without what an export leaves out."""
    versions = found.versions
    used = [each.id for each in found.tasks] + [each.task_id for each in versions]
    tasks = numbers([*used, *(arm.task_id for each in versions for arm in each.arms if arm.task_id is not None)])
    people, sessions = numbers(each.id for each in found.participants), numbers(each.id for each in found.sessions)
    trials = numbers(trial.id for each in found.sessions for trial in each.trials)
    batches = numbers(each.batch_id for each in found.participants if each.batch_id is not None)

    def study(each: Study) -> Study:
        arms = tuple(replace(arm, task_id=arm.task_id and tasks[arm.task_id]) for arm in each.arms)
        return replace(each, id=1, task_id=tasks[each.task_id], arms=arms, source="", backup="", webhook="", archived=True)

    def task(each: TaskRecord) -> TaskRecord:
        return replace(each, id=tasks[each.id], spec=replace(each.spec, name=each.spec.name.rpartition("/")[2]))

    def person(each: Participant) -> Participant:
        return replace(
            each, id=people[each.id], study_id=1, nickname=None, practice_id=None,
            batch_id=each.batch_id and batches[each.batch_id], session_id=each.session_id and sessions[each.session_id],
        )  # fmt: skip

    def session(each: Session) -> Session:
        number, choice = sessions[each.id], each.choice
        return replace(
            each, id=number, study_id=1, task=task(each.task), participant_id=each.participant_id and people[each.participant_id],
            trials=tuple(replace(trial, id=trials[trial.id], session_id=number) for trial in each.trials),
            choice=choice and replace(choice, trial_id=choice.trial_id and trials[choice.trial_id]),
        )  # fmt: skip

    return Archive(
        study(found.study), tuple(map(study, versions)), tuple(map(task, found.tasks)), tuple(map(person, found.participants)),
        tuple(map(session, found.sessions)),
        {sessions[key]: replace(each, session_id=sessions[key]) for key, each in found.evaluations.items()},
    )  # fmt: skip


def numbers(ids: Any) -> dict[int, int]:
    return {each: number for number, each in enumerate(dict.fromkeys(ids), 1)}


def write(lab: Lab, study: Study, path: Path, mode: Mode = "live", **wishes: Any) -> Path:
    made = export.Export(lab, study.id, mode, who="researcher", **wishes)
    (export.to_zip if path.suffix else export.to_folder)(made, path)
    return path


def bring(lab: Lab, path: Path, name: str | None = None) -> Study:
    found = Package(path)
    measurements, events = found.measurements(), found.events()
    return lab.bring_in(
        found.archive, tasks=found.tasks, batches=found.batches, measurements=measurements, events=events, name=name
    )


def texts(path: Path) -> dict[str, str]:
    with zipfile.ZipFile(path) as source:
        return {name: source.read(name).decode() for name in source.namelist()}


def table(path: Path, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(texts(path)[f"{name}.csv"], newline="")))
