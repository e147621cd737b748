"""A study with records of every kind, and what tests of exports do with it: write, read, bring in, renumber."""

import csv
import io
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from evenhand.exchange import export
from evenhand.exchange.archive import Package
from evenhand.lab.lab import Lab
from evenhand.model.archive import Archive
from evenhand.model.participant import Participant
from evenhand.model.session import Session
from evenhand.model.signals import Signals
from evenhand.model.study import Arm, Budget, Mode, Option, Question, Questionnaire, QuestionSection, Study, Text
from evenhand.model.task import TaskRecord, TaskSpec
from evenhand.model.trial import Measurement, Outcome
from tests.labs import HERE, SPACE, Clock, claim

ANSWERS = {
    "many": ["a", "c"], "none": [], "grid": {"x": "a", "y": "b"}, "grids": {"x": ["a", "b"], "y": []}, "half": 0.1 + 0.2,
    "whole": 7, "words": '=one, "two"\r\nthree; é\t=1+1', "empty": "", "digits": "007",
}  # fmt: skip


def declared(lab: Lab, name: str = "rich") -> Study:
    """A study with two conditions on two tasks, an invitation's secrets, and each kind of answer."""
    first = lab.studies.add_task(TaskRecord(TaskSpec("/home/someone/toy.py:train"), "v1", SPACE, "accuracy", "maximize", 10))
    other = lab.studies.add_task(TaskRecord(TaskSpec("toy2"), "v2", SPACE, "accuracy", "maximize", 10, statistics={"images": 3}))
    options = tuple(Option(letter, Text(letter)) for letter in "abc")
    rows = tuple(Option(letter, Text(letter)) for letter in "xy")
    questions = (
        Question("months", "number", Text("Months?")),
        Question("many", "multiple", Text("Which?"), options=options),
        Question("grid", "matrix", Text("Grid?"), options=options, rows=rows),
    )
    background = Questionnaire("background", Text("Background"), (QuestionSection(questions),))
    study = Study(
        name, "Rich é", first.id, Budget(seconds=1000), 7, Text("I agree."), Text("Details."), Text("Thanks."),
        evaluation_seeds=2, arms=(Arm("plain"), Arm("other", task_id=other.id, presets=False)), questionnaires=(background,),
        machines="any", webhook="http://127.0.0.1/secret-hook", backup="/home/someone/backup", source="/home/someone/study.toml",
    )  # fmt: skip
    added = lab.studies.add(study)
    lab.studies.declare(replace(study, title="Rich, amended"))
    return lab.studies.publish(added.id, "title") if name == "rich" else added


def rich(lab: Lab, clock: Clock) -> Study:
    """Live participants of every kind, a method, and pilots beside them, who must stay out of an export of the live ones."""
    study = declared(lab)
    agent, _ = lab.agents.add("a", 4, environment=HERE)
    batch, (token,) = lab.participants.invite(study.id, "course", cap=9)
    for number in range(4):
        mode: Mode = "pilot" if number == 1 else "live"
        joined = (
            lab.participants.join(study.id, mode) if number == 1 else lab.participants.accept(token, nickname=f"Zoe {number}")
        )
        person, _ = joined
        lab.participants.consent(person.id, study.consent.version)
        lab.participants.answer(person.id, "background", {"months": number, **(ANSWERS if number == 0 else {})})
        clock.now += 1 / 3
        session = lab.participants.begin(person.id)
        tune(lab, clock, session.id, agent, 0.1 + number / 7)
    people = lab.participants.of_study(study.id)
    lab.participants.exclude(people[2].id, "was asleep")
    lab.participants.withdraw(people[3].id)
    lab.participants.switch_batch(batch.id, False)
    method = lab.start(lab.sessions.open(study.id, tuner="random", method={"name": "random", "seed": 3}).id)
    tune(lab, clock, method.id, agent, 0.7)
    lab.participants.join(study.id)
    lab.studies.close(study.id)
    return lab.studies.get(study.id)


def tune(lab: Lab, clock: Clock, session_id: int, agent: int, value: float) -> None:
    """Two trials, one of which diverges; a pause and an extension; the choice and its evaluation."""
    lab.sessions.pause([session_id], "fire, alarm")
    clock.now += 0.7
    lab.sessions.unpause([session_id])
    lab.sessions.extend([session_id], 60, "for it")
    for epochs, rate in ((2, 0.1 + 0.2), (3, 0.01)):
        configuration = SPACE.configuration({"epochs": epochs, "learning_rate": rate})
        reasons = {"learning_rate": 'I "guess",\nso'} if epochs == 2 else {}
        signals = Signals(1, 2, 3.5, {"epochs": 0.5}, {"learning_rate": 2.0}) if epochs == 2 else None
        lab.participants.submit(session_id, configuration, reasons, None, signals)
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


def renumbered(archive: Archive) -> Archive:
    """The archive with numbers from 1 for ids, in the order of its records, and without what an export leaves out."""
    versions = archive.versions
    used = [task.id for task in archive.tasks] + [version.task_id for version in versions]
    tasks = numbers([*used, *(arm.task_id for version in versions for arm in version.arms if arm.task_id is not None)])
    people = numbers(participant.id for participant in archive.participants)
    sessions = numbers(session.id for session in archive.sessions)
    trials = numbers(trial.id for session in archive.sessions for trial in session.trials)
    batches = numbers(participant.batch_id for participant in archive.participants if participant.batch_id is not None)

    def study(record: Study) -> Study:
        arms = tuple(replace(arm, task_id=arm.task_id and tasks[arm.task_id]) for arm in record.arms)
        return replace(record, id=1, task_id=tasks[record.task_id], arms=arms, source="", backup="", webhook="", archived=True)

    def task(record: TaskRecord) -> TaskRecord:
        return replace(record, id=tasks[record.id], spec=replace(record.spec, name=record.spec.name.rpartition("/")[2]))

    def person(record: Participant) -> Participant:
        return replace(
            record, id=people[record.id], study_id=1, nickname=None, practice_id=None,
            batch_id=record.batch_id and batches[record.batch_id], session_id=record.session_id and sessions[record.session_id],
        )  # fmt: skip

    def session(record: Session) -> Session:
        number, choice = sessions[record.id], record.choice
        earlier = tuple(
            replace(entry, choice=replace(entry.choice, trial_id=entry.choice.trial_id and trials[entry.choice.trial_id]))
            for entry in record.earlier_choices
        )
        return replace(
            record, id=number, study_id=1, task=task(record.task),
            participant_id=record.participant_id and people[record.participant_id],
            trials=tuple(replace(trial, id=trials[trial.id], session_id=number) for trial in record.trials),
            choice=choice and replace(choice, trial_id=choice.trial_id and trials[choice.trial_id]), earlier_choices=earlier,
            process=None,
        )  # fmt: skip

    return Archive(
        study(archive.study), tuple(map(study, versions)), tuple(map(task, archive.tasks)),
        tuple(map(person, archive.participants)), tuple(map(session, archive.sessions)),
        {sessions[key]: replace(evaluation, session_id=sessions[key]) for key, evaluation in archive.evaluations.items()},
        archive.environments,
    )  # fmt: skip


def numbers(ids: Any) -> dict[int, int]:
    return {identity: number for number, identity in enumerate(dict.fromkeys(ids), 1)}


def write(lab: Lab, study: Study, path: Path, mode: Mode = "live", **wishes: Any) -> Path:
    made = export.Export(lab, study.id, mode, who="researcher", **wishes)
    (export.to_zip if path.suffix else export.to_folder)(made, path)
    return path


def bring(lab: Lab, path: Path, name: str | None = None) -> Study:
    package = Package(path)
    measurements, events = package.measurements(), package.events()
    return lab.transfer.bring_in(
        package.archive, tasks=package.tasks, batches=package.batches, measurements=measurements, events=events, name=name
    )


def texts(path: Path) -> dict[str, str]:
    with zipfile.ZipFile(path) as source:
        return {name: source.read(name).decode() for name in source.namelist()}


def table(path: Path, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(texts(path)[f"{name}.csv"], newline="")))
