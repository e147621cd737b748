"""Runs that are started from the browser: what is offered, read, recorded and refused; and tuning by hand."""

import io
import random
import re
import textwrap
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from evenhand.errors import InvalidSpace, Refused
from evenhand.lab.lab import Lab
from evenhand.model import rules
from evenhand.model.domain import Choice, Float, Integer
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.session import LABORATORY, PERSON_DRIVER, Session
from evenhand.model.space import Space, reshaped
from evenhand.model.study import Budget
from evenhand.model.task import TaskSpec
from evenhand.rehearsal.html_forms import form_for
from evenhand.runners.aside import TaskFacts
from evenhand.studies.own_runs import study_of_runs
from evenhand.web import bodies
from evenhand.web.access import Role
from evenhand.web.method_threads import Players
from evenhand.web.runs import start_plan, start_tasks
from evenhand.web.workbench import forms
from tests.labs import make_lab
from tests.test_fuzz_web import TEXTS
from tests.waiting import wait_for
from tests.web import Caller, Site, evaluated, run_by_hand, toy_site, train, tuned_study, tuning_participant

ROWS = [f"{20 + row % 50},{'ab'[row % 2]},{'yn'[row // 3 % 2]}" for row in range(90)]
TABLE = "\n".join(["age,plan,left", *ROWS]).encode()
SCRIPT = """
    import evenhand

    @evenhand.task(space={"rate": evenhand.Float(0.1, 1)}, metric="score", direction="maximize", max_epochs=1)
    def wrapped(configuration, run):
        return configuration["rate"]

    def plain(configuration):
        return 1.0
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path))
    with toy_site(tmp_path) as made:
        yield made


def served(lab: Lab, **settings: object) -> Session:
    """A run that the server plays, as the page opens it."""
    record = lab.studies.own_tasks()[0]
    study = study_of_runs(lab, record, Budget(trials=3), seed=0, mode="as tuned", value_rule="last")
    opened = {"tuner": "random", "method": {"name": "random", "seed": 0}, "driver": "server", **settings}
    return lab.sessions.open(study.id, purpose="exploratory", **opened)  # type: ignore[arg-type]


# What is offered


def test_seen_tasks_are_offered_where_their_code_is_here(site: Site, tmp_path: Path) -> None:
    _, session, _ = tuned_study(site)
    file = tmp_path / "mine.py"
    file.write_text(textwrap.dedent(SCRIPT))
    for number, name in enumerate((f"{file}:wrapped", f"{file}:plain", "/nowhere/gone.py:train", "__main__:objective")):
        run_by_hand(site, replace(session.task, spec=TaskSpec(name), version=f"v{number}"))
    offers = {offer.spec.name: offer for offer in start_tasks.offers(site.lab) if offer.group == "own"}
    assert offers[f"{file}:wrapped"].why_not == ""
    assert "plain function" in offers[f"{file}:plain"].why_not
    assert "/nowhere/gone.py is not here" in offers["/nowhere/gone.py:train"].why_not
    assert "no module" in offers["__main__:objective"].why_not
    assert start_tasks.offer_of(site.lab, start_tasks.id_of(TaskSpec(f"{file}:wrapped"))) is not None
    assert start_tasks.offer_of(site.lab, start_tasks.id_of(TaskSpec(f"{file}:plain"))) is None
    assert start_tasks.offer_of(site.lab, start_tasks.id_of(TaskSpec("/etc/hosts.py:x"))) is None, "nothing is loaded by its name"
    page = site.caller(Role.RESEARCHER).get("/start").text
    assert "wrapped in mine.py" in page
    assert "put @evenhand.task(...) above it" in page


def test_a_task_that_cannot_be_loaded_says_why_and_the_list_stays(site: Site, tmp_path: Path) -> None:
    _, session, _ = tuned_study(site)
    file = tmp_path / "broken.py"
    file.write_text("import evenhand\nraise RuntimeError('half written')\ntrain = 1\n")
    run_by_hand(site, replace(session.task, spec=TaskSpec(f"{file}:train"), version="b"))
    answer = site.caller(Role.RESEARCHER).get(f"/start?task={start_tasks.id_of(TaskSpec(f'{file}:train'))}")
    assert answer.status_code == 409
    assert "half written" in answer.text
    assert "Nearest neighbours on iris" in answer.text


# What a form says

FACTS_SPACE = Space(
    [
        Hyperparameter("epochs", Integer(1, 10), 5, fidelity=True),
        Hyperparameter("rate", Float(1e-4, 1, log=True), 0.01),
        Hyperparameter("kind", Choice(("a", "b", "c"))),
    ]
)


def test_a_space_is_declared_by_its_form() -> None:
    asked = {
        "low.epochs": ["1"], "high.epochs": ["3"], "scale.epochs": ["linear"], "default.epochs": ["2"],
        "low.rate": ["0.001"], "high.rate": ["1"], "scale.rate": ["linear"], "default.rate": ["0.01"],
        "keep.kind": ["a", "c"],
    }  # fmt: skip
    changes, problems = forms.declared(FACTS_SPACE, asked)
    assert problems == {}
    assert changes == {"epochs": {"high": 3, "default": 2}, "rate": {"low": 0.001, "log": False}, "kind": {"options": ["a", "c"]}}
    space = reshaped(FACTS_SPACE, changes)
    assert space["rate"].domain == Float(0.001, 1)
    assert space["epochs"].default == 2
    untouched = forms.limit_rows(FACTS_SPACE, FACTS_SPACE, None, {})
    assert [(row.low, row.high, row.scale, row.default) for row in untouched] == [
        ("1", "10", "linear", "5"), ("0.0001", "1", "log", "0.01"), ("", "", "", None)
    ]  # fmt: skip
    wrong = {"low.epochs": ["0"], "low.rate": ["0.1"], "scale.rate": ["log"], "default.rate": ["0.01"]}
    _, problems = forms.declared(FACTS_SPACE, wrong)
    assert problems["epochs"] == "Enter whole numbers within 1 to 10, or leave them empty."
    assert problems["rate"] == "The default 0.01 is not possible here: it has to be a number from 0.1 to 1."
    assert problems["kind"] == "Keep at least one."


def test_a_fixed_value_and_a_default_are_declared() -> None:
    changes, problems = forms.declared([FACTS_SPACE["rate"]], {"low.rate": ["0.0001"], "high.rate": ["1"], "only.rate": ["0.1"]})
    assert (changes, problems) == ({"rate": {"value": 0.1}}, {})
    with pytest.raises(InvalidSpace, match="default 5"):
        reshaped(FACTS_SPACE, {"rate": {"default": 5}})
    with pytest.raises(InvalidSpace, match="'default' is unknown"):
        reshaped(FACTS_SPACE, {"kind": {"default": "a"}})


def test_a_plan_is_read_and_what_is_wrong_comes_back_beside_its_field(site: Site) -> None:
    _, session, _ = tuned_study(site)
    facts = TaskFacts(session.task, "as tuned", "last")
    form = {
        "method": "random",
        "trials": "7",
        "minutes": "2,5",
        "seed": "3",
        "name": " my  run ",
        "tags": "a, b",
        "evaluate": "yes",
    }
    plan, entered = start_plan.read(facts, form, {})
    assert plan is not None
    assert plan.budget == Budget(seconds=150.0, trials=7, parallel=1)
    assert (plan.seed, plan.name, plan.tags, plan.mode, plan.value_rule) == (3, "my run", ("a", "b"), "as tuned", "last")
    assert plan.method == {"name": "random", "seed": rules.derive_seed(3, "method")}
    assert entered.problems == {}
    wrong = {
        "method": "tpe",
        "tpe.startup": "few",
        "trials": "0",
        "until": "soon",
        "seed": "-1",
        "name": "12",
        "parallel": "1000",
    }
    plan, entered = start_plan.read(facts, wrong, {})
    assert plan is None
    assert {"trials", "until", "seed", "name", "parallel"} <= entered.problems.keys()
    assert entered.method.problems == {"startup": "got 'few', expected a whole number, such as 10"}
    assert entered.texts["until"] == "soon"
    nothing, entered = start_plan.read(facts, {"method": "random"}, {})
    assert nothing is None
    assert entered.problems["trials"] == "give at least one of trials, epochs, minutes and until"
    unknown, entered = start_plan.read(facts, {"method": "magic", "trials": "1"}, {})
    assert unknown is None
    assert "no method 'magic'" in entered.problems["method"]


# The server's own runs


def test_a_run_that_the_server_plays_is_its_own_and_never_interrupted(site: Site) -> None:
    tuned_study(site)
    lab = site.lab
    run = served(lab, changes={"learning_rate": {"high": 0.1}}, person="person 123456789", name="mine")
    assert (run.purpose, run.process, run.kind, run.is_joint, run.revision) == ("exploratory", LABORATORY, "method", False, 1)
    assert run.current_space["learning_rate"].domain == Float(1e-4, 0.1, log=True)
    site.clock.now += 10_000
    assert not rules.is_interrupted(lab.sessions.get(run.id), site.clock.now)
    assert not rules.is_unattended(lab.sessions.get(run.id), site.clock.now)
    assert run.study_id not in {study.id for study in lab.studies.declared()}
    with pytest.raises(Refused, match="end it first"):
        lab.runs.delete([run.id])
    with pytest.raises(Refused, match="the laboratory's server"):
        lab.sessions.take_up(run.id, run.budget)
    lab.runs.write(run.id, name="renamed")
    lab.start(run.id)
    ended = lab.sessions.end(run.id)
    assert ended.choice is not None
    assert rules.is_unattended(ended, site.clock.now)
    lab.runs.delete([run.id])


def test_a_change_that_cannot_be_leaves_no_run(site: Site) -> None:
    tuned_study(site)
    before = len(site.lab.runs.all())
    with pytest.raises(InvalidSpace):
        served(site.lab, changes={"learning_rate": {"high": 100}}, person="person 123456789")
    assert len(site.lab.runs.all()) == before


def test_a_studys_session_cannot_have_a_space_or_a_person_of_its_own(site: Site) -> None:
    study, _, _ = tuned_study(site)
    for odd in ({"changes": {"epochs": {"high": 2}}}, {"driver": PERSON_DRIVER}):
        with pytest.raises(Refused, match="a study's session"):
            site.lab.sessions.open(study.id, tuner="random", **odd)


@pytest.mark.slow
def test_a_run_goes_on_after_a_restart(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'lab.sqlite'}"
    lab, clock = make_lab(url)
    site = Site("", lab, clock, None, tmp_path)  # type: ignore[arg-type]
    tuned_study(site)
    run = served(lab)
    lab.close()
    lab = Lab.connect(url)
    players = Players(lab)
    players.resume()
    try:
        wait_for(lambda: lab.sessions.get(run.id).trials, "the method proposes", bool)
        assert lab.sessions.get(run.id).trials[0].proposer == "random"
        lab.sessions.end(run.id)
    finally:
        players.stop()
        lab.close()


def test_a_look_locks_no_run_of_ones_own(site: Site) -> None:
    _, session, agent = tuned_study(site)
    evaluated(site, session.id, agent, 0.5, 0.6)
    site.lab.evaluations.reveal(session.id, "person 123456789")
    run = served(site.lab)
    site.lab.start(run.id)
    assert site.lab.sessions.pause([run.id], "look", "person 123456789") == [run.id]


# By hand


def test_by_hand_nothing_of_a_study_can_be_steered(site: Site) -> None:
    study, session, _ = tuned_study(site)
    person = tuning_participant(site, study)
    rosa = site.caller(Role.RESEARCHER)
    verbs = [("submit", {"value.epochs": "2"}), ("stop", {"number": "1"}), ("final", {"trial": "1"})]
    for session_id in (session.id, person.session_id):
        before = site.lab.sessions.get(session_id or 0)
        for page in ("", "/trials", "/events", "/final", "/trials/1/curve"):
            assert rosa.get(f"/sessions/{session_id}/tune{page}").status_code == 409
        for verb, form in verbs:
            assert rosa.post(f"/sessions/{session_id}/tune/{verb}", form).status_code == 409
        assert site.lab.sessions.get(session_id or 0) == before
    run = served(site.lab)
    assert "tuned by random" in rosa.get(f"/sessions/{run.id}/tune").text


def test_by_hand_only_whose_run_it_is_proposes(site: Site) -> None:
    _, session, _ = tuned_study(site)
    run = run_by_hand(site, session.task)
    rosa, olga = site.caller(Role.RESEARCHER), site.caller(Role.OWNER)
    assert rosa.get(f"/sessions/{run.id}/tune").status_code == 200
    refused = olga.get(f"/sessions/{run.id}/tune")
    assert refused.status_code == 403
    assert "Rosa" in refused.text
    assert olga.post(f"/sessions/{run.id}/tune/submit", {"value.epochs": "2"}).status_code == 403
    assert site.lab.sessions.get(run.id).trials == ()


def test_by_hand_a_trial_is_proposed_stopped_and_chosen(site: Site) -> None:
    _, session, agent = tuned_study(site)
    run = run_by_hand(site, session.task)
    rosa, address = site.caller(Role.RESEARCHER), f"/sessions/{run.id}/tune"
    wrong = rosa.post(f"{address}/submit", {"value.epochs": "99", "value.learning_rate": "0.02"})
    assert wrong.status_code == 422
    assert "99 is not possible here: enter a whole number from 1 to 10." in wrong.text
    assert 'value="99"' in wrong.text
    form = {"value.epochs": "2", "value.learning_rate": "0.02", "key": "once", "reason.epochs": "guess"}
    for _ in range(2):  # the same form twice is one trial
        assert rosa.post(f"{address}/submit", form).headers["location"] == f"{address}#run"
    trials = site.lab.sessions.get(run.id).trials
    assert [(trial.proposer, dict(trial.configuration)) for trial in trials] == [
        (site.person(Role.RESEARCHER).who, {"epochs": 2, "learning_rate": 0.02})
    ]
    assert rosa.first_state(f"{address}/events")["run"]["number"] == 1
    assert rosa.post(f"{address}/stop", {"number": "1"}).status_code == 303
    assert site.lab.sessions.get(run.id).trials[0].outcome == "stopped"
    train(site, run.id, agent, 0.7)
    assert "70.0" in rosa.get(f"{address}/trials").text
    assert rosa.get(f"{address}/trials/2/curve").json()["points"][-1][-1] == 0.7
    assert rosa.get(f"{address}/final?trial=2").status_code == 200
    assert rosa.post(f"{address}/final", {"trial": "99"}).status_code == 404
    assert rosa.post(f"{address}/final", {"trial": "2"}).headers["location"] == f"/sessions/{run.id}"
    twice = rosa.post(f"{address}/final", {"trial": "2"})
    assert twice.status_code == 409
    assert "The session is chosen; a final choice needs one that is tuning" in twice.text
    chosen = site.lab.sessions.get(run.id).chosen_trial
    assert chosen is not None
    assert chosen.number == 2
    assert rosa.get(address).headers["location"] == f"/sessions/{run.id}"
    assert "Rosa" in rosa.get("/").text
    assert "person 1" not in re.sub(r"person \d{9}", "", rosa.get("/").text)


# Data that is dropped


def drop(caller: Caller, name: str, content: bytes) -> str:
    answer = caller.http.post("/start/data", files={"data": (name, content)}, data={"csrf_token": caller.identity.csrf_token})
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


@pytest.mark.slow
def test_a_dropped_table_is_shown_column_by_column_and_becomes_a_task(site: Site) -> None:
    rosa = site.caller(Role.RESEARCHER)
    address = drop(rosa, "churn.csv", TABLE)
    page = rosa.get(address).text
    assert "90 rows, 3 columns" in page
    assert "target: 2 classes" in page
    twice = rosa.post(address, {"target": "age", "do": "read"}).text
    assert "target: numbers, 50 values" in twice
    wrong = rosa.post(address, {"target": "plan", "classes": "no", "do": "use"})
    assert wrong.status_code == 422
    assert str(site.folder) not in wrong.text
    assert "is text, such as" in wrong.text
    assert '<option value="plan" selected>' in wrong.text
    made = rosa.post(address, {"target": "left", "do": "use"})
    task = made.headers["location"].partition("task=")[2]
    again = rosa.post(address, {"target": "left", "do": "use"})
    assert again.headers["location"] == made.headers["location"], "the same asked for twice is one task"
    form = {"task": task, "how": "by hand", "trials": "2", "name": "by me", "zero.l2": "yes", "high.epochs": "4"}
    started = rosa.post("/start", form)
    assert started.headers["location"] == "/sessions/1/tune"
    session = site.lab.sessions.get(1)
    assert session.interventions[0].detail == {"epochs": {"high": 4}}
    assert session.budget == Budget(trials=2)
    again = rosa.post("/start", form)
    assert again.status_code == 409
    assert "A session named &#39;by me&#39; is there already" in again.text
    assert 'value="by me"' in again.text


def test_data_is_bounded_and_only_taken_of_those_who_are_signed_in(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    rosa, nobody = site.caller(Role.RESEARCHER), site.caller()
    files = {"data": ("a.csv", TABLE)}
    assert nobody.http.post("/start/data", files=files).status_code == 403
    assert rosa.http.post("/start/data", files=files).status_code == 403, "without the token of its page"
    token = {"csrf_token": rosa.identity.csrf_token}
    assert rosa.http.post("/start/data", data=token).status_code == 400
    monkeypatch.setattr(bodies, "DROPPED_BYTES", 2_000_000)
    refused = rosa.http.post("/start/data", data=token, files={"data": ("a.csv", b"1,2\n" * 600_000)})
    assert refused.status_code == 413
    assert "2 MB (2,000,000 bytes) is the most" in refused.text
    assert not (site.folder / "dropped").exists() or not list((site.folder / "dropped").iterdir())


def test_data_without_a_length_is_counted_as_it_comes(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "DROPPED_BYTES", 100_000)
    rosa = site.caller(Role.RESEARCHER)
    head = b'--edge\r\ncontent-disposition: form-data; name="data"; filename="a.csv"\r\n\r\n'

    def parts() -> Iterator[bytes]:
        yield head
        for _ in range(20):
            yield b"1,2\n" * 5_000

    headers = {"content-type": "multipart/form-data; boundary=edge", "x-csrf-token": rosa.identity.csrf_token}
    answer = rosa.http.post("/start/data", content=parts(), headers=headers)
    assert answer.status_code == 413
    assert "more than 100 kB" in answer.text


def pictures() -> bytes:
    """A zip of small pictures of two kinds."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as made:
        for number in range(24):
            picture = io.BytesIO()
            Image.new("RGB", (8, 8), (10 * number, 90, 0)).save(picture, "PNG")
            made.writestr(f"pets/{'cats' if number % 2 else 'dogs'}/{number}.png", picture.getvalue())
    return content.getvalue()


@pytest.mark.slow
def test_dropped_pictures_are_counted_by_class_and_become_a_task(site: Site) -> None:
    rosa = site.caller(Role.RESEARCHER)
    address = drop(rosa, "pets.zip", pictures())
    page = rosa.get(address).text
    assert "24 pictures, 2 classes" in page
    assert page.count("12 pictures") == 2
    task = rosa.post(address, {"do": "use"}).headers["location"]
    assert "convolutional" in page
    assert "batch size" in rosa.get(task).text


@pytest.mark.slow
def test_a_table_that_can_be_read_in_two_ways_is_asked_about_beside_the_field(site: Site) -> None:
    rosa = site.caller(Role.RESEARCHER)
    address = drop(rosa, "odd.csv", b"size,weight\n" + b"".join(b"%d,%d\n" % (row % 7, row % 3) for row in range(12)))
    page = rosa.get(address)
    assert page.status_code == 200
    assert 'id="classes-problem"' in page.text
    assert "may be classes or amounts" in page.text
    assert "--classes" not in page.text
    assert "Go on with it" not in page.text
    cleared = rosa.post(address, {"target": "weight", "classes": "yes", "do": "read"})
    assert "target: 3 classes" in cleared.text
    assert "Go on with it" in cleared.text


# The form as a browser sends it


def started_form(page: str) -> dict[str, str | list[str]]:
    """What a browser sends of a fresh form."""
    form = form_for(page, "/start")
    assert form is not None
    return form.values()


@pytest.mark.slow
@pytest.mark.parametrize("title", ["Small network on points", "SqueezeNet on pictures", "A benchmark's table, australian"])
def test_a_form_that_is_sent_as_it_came_changes_nothing_of_the_space(title: str, site: Site) -> None:
    offer = next(offer for offer in start_tasks.offers(site.lab) if offer.title == title)
    if offer.why_not:
        assert "pip install" in offer.why_not
        return
    rosa = site.caller(Role.RESEARCHER)
    page = rosa.get(f"/start?task={offer.id}").text
    answer = rosa.http.post("/start", data={**started_form(page), "how": "by hand"})
    assert answer.headers["location"] == "/sessions/1/tune"
    session = site.lab.sessions.get(1)
    assert session.interventions == ()
    assert session.name == title
    assert rosa.get("/sessions/1/tune").status_code == 200
    methods = re.findall(r'name="method" value="(\w+)"', page)
    assert methods[:2] == ["tpe", "random"]


@pytest.mark.slow
def test_whatever_is_typed_into_the_form_is_answered(site: Site) -> None:
    offer = next(offer for offer in start_tasks.offers(site.lab) if offer.title == "Small network on points")
    rosa = site.caller(Role.RESEARCHER)
    fresh = started_form(rosa.get(f"/start?task={offer.id}").text)
    chance = random.Random("start")
    odd = [text for text in TEXTS if isinstance(text, str)]
    for _ in range(12):
        changed = {name: chance.choice(odd) for name in chance.sample(sorted(fresh), 6) if name not in ("csrf_token", "task")}
        answer = rosa.http.post("/start", data={**fresh, "how": chance.choice(["method", "by hand"]), **changed})
        assert answer.status_code in (303, 409, 422), changed
    for session in site.lab.sessions.running()[0]:
        site.lab.sessions.end(session.id)
