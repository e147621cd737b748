"""The contest of paper 003 at a tiny scale: equal to direct computation, one look at eval, real data and people in it."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evenhand.analysis.anytime import Setup
from evenhand.analysis.contest import TABLE_3, Contest, Entrant, Rates, difficulty, margins
from evenhand.analysis.surface import surface
from evenhand.cli import contest as contest_commands
from evenhand.errors import DataError, InvalidSettings, Refused
from evenhand.experiments import contest, contest_scores
from evenhand.experiments.contest import Terms
from evenhand.lab.lab import Lab
from evenhand.model.session import Session
from evenhand.model.study import Budget, Study, Text
from evenhand.report import page
from evenhand.report.contest import architectures, report, surfaces
from evenhand.runners.local_agent import Trainer
from evenhand.tasks import Task
from evenhand.tasks.builtin import as_tuned_scores, baselines, convnet, mlp, points
from evenhand.tasks.builtin.shapes import GENERATED, SPLITS, bayes_error
from tests.components import need
from tests.test_eeg import series_of
from tests.test_patches import pictures

need("torch")

SCALE, TRIALS = 0.002, 4
TERMS = Terms(sets=("10", "11", "12"), scale=SCALE, trials=TRIALS, method="random")


@dataclass(frozen=True)
class Played:
    """A contest that was played in this process, where, and its lab's database."""

    contest: Contest
    url: str
    home: Path

    def of(self, name: str, number: str = "10") -> Entrant:
        """A row of Table 3."""
        return next(
            entrant
            for course in self.contest.sets
            if course.number == number
            for entrant in course.entrants
            if entrant.name == name
        )


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """The contest on data set #10, and the two without data."""
    home = tmp_path_factory.mktemp("contest")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVENHAND_DATA", str(home))
        url = f"sqlite:///{home / 'lab.sqlite'}"
        return Played(contest.run(url, TERMS, processes=1), url, home)


@pytest.fixture
def at_home(played: Played, monkeypatch: pytest.MonkeyPatch) -> Played:
    """It, with the data directory in which it was played."""
    monkeypatch.setenv("EVENHAND_DATA", str(played.home))
    return played


def task_of(dropout: bool, scale: float = SCALE) -> Task:
    return mlp.load({"data": "10", "scale": scale, "dropout": dropout})


def rates(errors: points.Errors) -> Rates:
    return Rates(errors.train, errors.dev, errors.eval)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "dropout"), [("MLP-M1", False), ("MLP-M2", True), ("MLP-A1", False), ("MLP-A2", True)])
def test_a_tuners_row_is_what_its_choice_gives_when_computed_directly(played: Played, name: str, dropout: bool) -> None:
    row, task = played.of(name), task_of(dropout)
    assert row.session is not None
    assert row.session.choice is not None
    assert row.session.choice.configuration is not None
    if name.startswith("MLP-M"):
        assert dict(row.session.choice.configuration) == dict(mlp.PUBLISHED[name].values)
        assert len(row.session.trials) == 1
    else:
        assert len(row.session.trials) == TRIALS
    predict = mlp.fitted(task, row.session.choice.configuration, row.session.tuning_seed)
    assert row.ours == rates(points.errors_of(mlp.data_of(task), predict))
    best = max(trial.value for trial in row.session.trials if trial.value is not None)
    assert row.ours.dev == pytest.approx(100 * (1 - best), abs=1e-9)
    assert row.note == ""
    assert row.weights == mlp.weights(row.session.choice.configuration)
    assert row.published == TABLE_3["10"][name]


@pytest.mark.slow
def test_baselines_and_limits_are_those_computed_directly(played: Played) -> None:
    data = points.locate("10", SCALE)
    for baseline in baselines.baselines(data):
        assert played.of(baseline.name).ours == rates(baseline.errors)
    assert played.of("BER").ours == rates(baselines.closed_loop(data).errors)
    true = played.of("true BER").ours
    assert true is not None
    assert true.eval == bayes_error("10", "eval").percent
    assert played.of("true BER").looks == 0


@pytest.mark.slow
def test_the_table_has_the_rows_of_the_paper_in_its_order_and_says_where_data_is_generated(played: Played) -> None:
    rows = report.table_3(played.contest).rows
    expected = [("#10", name) for name in [*TABLE_3["10"], "true BER"]]
    expected += [(f"#{number}", name) for number in ("11", "12") for name in TABLE_3[number]]
    assert [row[:2] for row in rows] == expected
    ours = played.of("MLP-M1").ours
    assert ours is not None
    row = next(row for row in rows if row[1] == "MLP-M1")
    assert row[3:] == (f"{ours.train:.2f}", f"{ours.dev:.2f}", f"{ours.eval:.2f}", "8.74", "38.52", "32.80", "generated", "–")
    assert all(row[3:6] == ("–", "–", "–") and row[-1] == "no data here" for row in rows if row[0] in ("#11", "#12"))


@pytest.mark.slow
def test_a_set_without_its_data_says_what_to_do_and_has_no_number(played: Played) -> None:
    for number in ("11", "12"):
        course = next(course for course in played.contest.sets if course.number == number)
        assert course.why.startswith("no data here: ")
        assert f"{number}=DIR" in course.why
        assert all(entrant.ours is None and entrant.session is None for entrant in course.entrants)


# One look


@pytest.mark.slow
def test_eval_is_opened_once_for_each_contestant_and_never_again(at_home: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = Lab.connect(at_home.url)
    sessions = [entrant.session for entrant in at_home.contest.sets[0].entrants if entrant.session is not None]
    assert len(sessions) == 4
    before = {session.id: lab.evaluations.looks(session.id) for session in sessions}
    assert all([who for who, _ in looks] == [contest.WHO] for looks in before.values())
    for session in sessions:
        (_, looked_at), choice = before[session.id][0], session.choice
        assert choice is not None
        assert all(other.choice is not None and other.choice.at <= looked_at for other in sessions)  # after all have chosen

    def refuse(*_: object) -> Any:
        raise AssertionError("eval was opened again")

    real = points._kept

    def train_and_dev(name: str, split: Any, scale: float) -> Any:
        return refuse() if split == "eval" else real(name, split, scale)

    monkeypatch.setattr(points, "_kept", train_and_dev)
    monkeypatch.setattr(as_tuned_scores, "parts_of", refuse)
    again = contest.run(at_home.url, TERMS, processes=1)
    assert report.table_3(again) == report.table_3(at_home.contest)
    assert {session.id: lab.evaluations.looks(session.id) for session in sessions} == before
    drawn = page.html(report.build(again, Setup()), "2026-11-21")
    assert drawn == page.html(report.build(at_home.contest, Setup()), "2026-11-21")  # kept drawings included
    lab.close()


def test_a_kept_score_is_not_written_over(at_home: Played) -> None:
    lab = Lab.connect(at_home.url)
    session = at_home.of("MLP-M1").session
    assert session is not None
    path = contest._session_path(lab, session)
    kept = contest_scores.read(path)
    assert kept is not None
    with pytest.raises(Refused, match="eval is looked at once"):
        contest_scores.write(path, replace(kept, rates=Rates(0, 0, 0)))
    again = contest_scores.read(path)
    assert again is not None
    assert again.rates == kept.rates
    assert not list(path.parent.glob("*.part"))
    lab.close()


@pytest.mark.slow
def test_a_look_that_was_cut_off_is_repeated_and_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path))
    url, terms = f"sqlite:///{tmp_path / 'lab.sqlite'}", replace(TERMS, sets=("10",), trials=1)
    write = contest_scores.write
    failed: list[Path] = []

    def cut_off(path: Path, scored: contest_scores.Scored) -> None:
        if not failed and path.name.startswith("study-"):
            failed.append(path)
            raise OSError("the power went out")
        write(path, scored)

    monkeypatch.setattr(contest_scores, "write", cut_off)
    with pytest.raises(OSError, match="power"):
        contest.run(url, terms, processes=1)
    result = contest.run(url, terms, processes=1)
    assert sorted(entrant.looks for entrant in result.sets[0].entrants if entrant.session is not None) == [1, 1, 1, 2]
    assert ("looks at eval", "8, see “What it took”") in report.build(result, Setup()).facts


def test_a_damaged_score_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(DataError, match="is damaged"):
        contest_scores.read(tmp_path / "x.json")
    assert contest_scores.read(tmp_path / "none.json") is None


# Real data, and people


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Points of three classes as CSV files, as the course gives its own: the class last, no comment."""
    home = tmp_path / "course"
    home.mkdir()
    rng = np.random.default_rng(3)
    for split in SPLITS:
        labels = np.arange(90) % 3
        places = rng.normal(0, 0.3, (90, 2)) + np.stack([labels, labels % 2], axis=1)
        rows = [f"{x:.4f},{y:.4f},{label}" for (x, y), label in zip(places.tolist(), labels.tolist(), strict=True)]
        (home / f"{split}_08.csv").write_text("\n".join(rows) + "\n")
    return home


@pytest.mark.slow
def test_a_folder_of_csv_files_is_not_called_generated(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path))
    terms = Terms(sets=("08",), trials=1, data={"08": f"{folder}[least_epochs=1,max_epochs=2]"})
    result = contest.run(f"sqlite:///{tmp_path / 'lab.sqlite'}", terms, processes=1)
    (course,) = result.sets
    assert (course.label, course.generated, course.classes, course.sizes) == ("read from course", False, 3, (90, 90, 90))
    assert [entrant.name for entrant in course.entrants] == ["KNN", "RNF", "MLP-M", "MLP-A", "BER"]  # no density is known
    rows = report.table_3(result).rows
    assert {row[9] for row in rows} == {"read from course"}
    assert next(row for row in rows if row[1] == "MLP-M")[3:] == ("–",) * 3 + (
        "32.56",
        "32.29",
        "56.39",
        "read from course",
        "not published",
    )
    built = report.build(result, Setup())
    assert GENERATED not in page.html(replace(built, sections=built.sections[:-1]), "2026-11-21")
    assert all("generated" not in item.svg for item in built.items)


@pytest.mark.slow
def test_generated_points_stay_so_called_when_they_are_written_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path))
    points.write(tmp_path / "written", points.locate("08", 0.0003))
    terms = Terms(("08",), trials=1, data={"08": f"{tmp_path / 'written'}[least_epochs=1,max_epochs=2]"})
    result = contest.run(f"sqlite:///{tmp_path / 'lab.sqlite'}", terms, processes=1)
    assert result.sets[0].label == f"read from written, {GENERATED}"
    assert {row[9] for row in report.table_3(result).rows} == {"generated"}
    assert all("generated data" in item.svg for item in report.build(result, Setup()).items if item.svg)


@pytest.mark.slow
def test_patches_given_as_set_11_are_tuned_by_hand_as_printed_and_automatically(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path))
    slides = {f"s{n:02d}": {"along": 6, "across": 4} for n in range(8)}
    home = pictures(tmp_path / "slides", slides)
    wanted = f"{home}[slide=^([^_]+)_,size=44,train=30,validation=12,test=12,max_weights=300000]"
    url, terms = f"sqlite:///{tmp_path / 'lab.sqlite'}", Terms(sets=("11",), trials=1, data={"11": wanted})
    (course,) = contest.run(url, terms, processes=1).sets
    assert (course.label, course.sizes) == ("read from slides", (30, 12, 12))
    manual, auto = course.entrants
    assert manual.session is not None
    assert auto.session is not None
    assert manual.ours is not None
    assert manual.configuration == dict(convnet.PUBLISHED["manual"])
    assert manual.weights == convnet.weights_of(convnet.shapes(convnet.PUBLISHED["manual"], 44))
    best = manual.session.trials[0].value
    assert best is not None
    assert manual.ours.dev == pytest.approx(100 * (1 - best), abs=1e-9)
    assert len(auto.session.trials) == 1
    assert (auto.ours is None) == bool(auto.why)


@pytest.mark.slow
def test_signals_given_as_set_12_are_tuned_automatically_and_by_hand_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path))
    home = tmp_path / "signals"
    home.mkdir()
    series_of(home, "Made_TRAIN.ts", ["slow", "fast"] * 20)
    series_of(home, "Made_TEST.ts", ["fast", "slow"] * 6)
    wanted = f"{home}[channels=null,source_rate=64,rate=64,window=0.5,frame=0.25,least_epochs=1,max_epochs=3]"
    terms = Terms(sets=("12",), trials=4, data={"12": wanted})
    (course,) = contest.run(f"sqlite:///{tmp_path / 'lab.sqlite'}", terms, processes=1).sets
    manual, auto = course.entrants
    assert (manual.ours, manual.why) == (None, "not published")
    assert auto.session is not None
    assert auto.ours is not None
    best = max(trial.value for trial in auto.session.trials if trial.value is not None)
    assert auto.ours.dev == pytest.approx(100 * (1 - best), abs=1e-9)
    assert course.sizes is not None
    assert course.sizes[2] == auto.session.task.statistics["test pieces"]
    assert auto.weights is not None


@pytest.mark.parametrize("pair", ["10", "10=", "=x"])
def test_an_option_that_is_no_pair_is_refused(pair: str) -> None:
    with pytest.raises(InvalidSettings, match="expected NUMBER=VALUE"):
        contest_commands._pairs("--data", [pair])


def test_options_are_read_as_pairs() -> None:
    assert contest_commands._pairs("--data", ["10=a=b", "08=c"]) == {"10": "a=b", "08": "c"}
    with pytest.raises(InvalidSettings, match="each number once"):
        contest_commands._pairs("--human", ["10=1", "10=2"])
    with pytest.raises(InvalidSettings, match="got session 'me'"):
        contest_commands._session("me")


def a_person(lab: Lab, task: Task, *, mode: str = "live", study: str = "people", trials: int = 1) -> Session:
    """A participant's session on an mlp task: so many trials with other batch sizes, and the last one chosen."""
    record = lab.studies.add_task(task.record)
    declared = lab.studies.add(
        Study(study, study, record.id, Budget(trials=5), 7, *(Text(""),) * 3, evaluation_seeds=0, machines="any")
    )
    if mode == "live":
        declared = lab.studies.publish(declared.id, "it begins")
    session = lab.participants.begin(lab.participants.join(declared.id, mode=mode)[0].id)  # type: ignore[arg-type]
    trainer = Trainer(lab, task, session.id)
    for number in range(trials):
        values = {**mlp.PUBLISHED["MLP-M1"].values, "epochs": 10, "batch_size": 16 + number}
        lab.submit(session.id, task.space.configuration(values if not task.settings["dropout"] else {**values, "dropout": 0.1}))
        assert trainer.train_next()
    trainer.close()
    return lab.choose(session.id, number=trials)


@pytest.mark.slow
def test_a_persons_session_enters_as_tuned_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path))
    url = f"sqlite:///{tmp_path / 'lab.sqlite'}"
    lab = Lab.connect(url)
    task = mlp.load({"data": "08", "scale": 0.0003, "dropout": False})
    session = a_person(lab, task, trials=2)
    terms = Terms(sets=("08",), scale=0.0003, trials=1, human={"08": session.id})
    with pytest.raises(Refused, match="is still collecting"):
        contest.run(url, terms, processes=1)
    assert lab.evaluations.looks(session.id) == []
    lab.studies.close(session.study_id)
    result = contest.run(url, terms, processes=1)
    row = next(entrant for entrant in result.sets[0].entrants if entrant.name == "MLP-M")
    assert session.choice is not None
    assert session.choice.configuration is not None
    predict = mlp.fitted(task, session.choice.configuration, session.tuning_seed)
    assert row.ours == rates(points.errors_of(mlp.data_of(task), predict))
    assert row.published == TABLE_3["08"]["MLP-M"]
    assert row.how == f"session {session.id}, trial 2 of 2, 10 epochs"
    assert [who for who, _ in lab.evaluations.looks(session.id)] == [contest.WHO]
    (margin,) = margins(result)
    auto = next(entrant for entrant in result.sets[0].entrants if entrant.name == "MLP-A")
    if auto.ours is not None:
        assert margin.difference == auto.ours.eval - row.ours.eval
    lab.close()


@pytest.mark.slow
def test_who_is_no_person_on_this_data_is_refused_and_a_try_out_is_marked(
    at_home: Played, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = at_home.of("MLP-A1").session
    assert method is not None
    with pytest.raises(Refused, match="it is no person's alone"):
        contest.run(at_home.url, replace(TERMS, human={"10": method.id}))
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path))
    url = f"sqlite:///{tmp_path / 'lab.sqlite'}"
    lab = Lab.connect(url)
    session = a_person(lab, mlp.load({"data": "08", "scale": 0.0003, "dropout": False}), mode="pilot")
    with pytest.raises(Refused, match="another task, data or version; expected mlp with data=08"):
        contest.run(url, Terms(sets=("08",), scale=0.0002, trials=1, human={"08": session.id}))
    assert len(lab.studies.all()) == 1
    built = report.build(contest.run(url, Terms(("08",), 0.0003, 1, human={"08": session.id}), processes=1), Setup())
    assert built.mark == f"Pilot sessions among the contestants: {session.id}; they are no part of a study"
    drawn = {item.key: item.svg for item in built.items}
    assert "pilot session, generated data" in drawn["surface-08-mlp-m"]
    assert "pilot session" not in drawn["surface-08-knn"]
    lab.close()


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        (Terms(sets=("13",)), "--only: there is no data set 13"),
        (Terms(sets=("08",), data={"11": "x"}), "data set 11 is given data or a session, but left out"),
        (Terms(scale=0), "--scale: got 0"),
        (Terms(trials=0), "--trials: got 0"),
        (Terms(sets=("08",), method="annealing"), "annealing"),
    ],
)
def test_what_cannot_be_is_refused(terms: Terms, message: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match=message):
        contest.run(f"sqlite:///{tmp_path / 'lab.sqlite'}", terms, processes=1)


# Models, drawings, words


def test_a_model_of_fewer_epochs_is_that_of_a_trial_that_was_stopped_there() -> None:
    task = mlp.load({"data": "10", "scale": SCALE, "dropout": True, "least_epochs": 1})
    values = {**mlp.PUBLISHED["MLP-M2"].values, "epochs": 9}
    stopped = as_tuned_scores.model_of(task, values, seed=5, epochs=4)
    parts = as_tuned_scores.parts_of(task)
    short = mlp.fitted(task, {**values, "epochs": 4}, 5)
    assert all(np.array_equal(stopped(x), short(x)) for x, _ in parts.values())
    with pytest.raises(InvalidSettings, match=r"reached epoch 9 .* expected epoch 20"):
        as_tuned_scores.model_of(task, values, seed=5, epochs=20)


def test_a_surface_is_drawn_with_every_region_and_point_and_its_label() -> None:
    rng = np.random.default_rng(1)
    parts = {name: (rng.uniform(-1, 1, (50, 2)), np.arange(50) % 2) for name in ("train", "dev", "eval")}
    decision_surface = surface(lambda places: (places[:, 0] > 0).astype(np.int64), parts, "made for a test", cells=20, most=30)
    drawn = surfaces.drawing(decision_surface, ("0", "1"), errors={"train": 1.0, "dev": 2.0, "eval": 3.25}, mark="generated data")
    assert drawn.count('fill-opacity="0.22"') == 6  # two classes in three panels
    assert (
        sum(drawn.count(mark) for mark in (f"{surfaces.MARK_PATHS[0]}M", f'{surfaces.MARK_PATHS[0]}"'))
        + drawn.count(surfaces.MARK_PATHS[1])
        == 3 * 30 + 2
    )  # and the legend
    assert drawn.count("z") >= 2 * len(decision_surface.y) * 3
    for words in ("generated data", "train", "dev", "eval", "3.2", "class 0", "class 1"):
        assert words in drawn
    plain = surfaces.drawing(decision_surface, ("0", "1"), regions=False)
    assert "fill-opacity" not in plain
    assert "30 points" in plain


def test_architectures_are_those_of_table_4() -> None:
    published = {name: architectures.rows(published.values, 2) for name, published in mlp.PUBLISHED.items()}
    assert published["MLP-M2"]["layer 2"] == "32, ReLU, dropout 0.3"
    assert published["MLP-A2"]["output"] == "2, sigmoid"
    layout = architectures.layout(published)
    assert [row[0] for row in layout[:6]] == [*(f"layer {n}" for n in range(1, 6)), "output"]
    assert layout[4] == ("layer 5", "–", "–", "67, tanh", "–")


def test_difficulty_counts_how_trials_ended(played: Played) -> None:
    session = played.of("MLP-A2").session
    assert session is not None
    took = difficulty(session)
    assert took.trials == TRIALS == sum(took.outcomes.values())
    assert took.until_best is not None
    assert took.until_best > 0
    assert took.training == pytest.approx(sum(trial.seconds(0) for trial in session.trials))
