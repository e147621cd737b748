"""Objects and classes of one's own are methods like any other: recorded, budgeted, compared, and refused in words."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import evenhand
from evenhand import Float, Hyperparameter, InvalidSettings, Prior, Space, Suggestion, methods
from evenhand.cli.main import app
from evenhand.errors import MethodFailed, PluginBroken
from evenhand.experiments import compare, contest
from evenhand.experiments.replay import replay
from evenhand.lab.lab import Lab
from evenhand.methods.simple import Sobol
from evenhand.methods.tpe import TPE
from evenhand.model.study import Budget
from evenhand.model.task import TaskSpec
from evenhand.runners import method_player
from tests.own_methods import Answering, Failing, Greedy, Plain

LINE = Space([Hyperparameter("x", Float(-1, 1))])
FILE = Path(__file__).parent / "own_methods.py"


def square(configuration: Any) -> float:
    return float(configuration["x"] ** 2)


def tuned(tmp_path: Path, method: Any, **more: Any) -> evenhand.Result:
    url = f"sqlite:///{tmp_path / 'lab.sqlite'}"
    options: dict[str, Any] = {"direction": "minimize", "trials": 4, "progress": False, "db": url} | more
    return evenhand.tune(square, LINE, method=method, **options)


@pytest.mark.slow
def test_an_object_tunes_and_is_recorded_with_its_settings(tmp_path: Path) -> None:
    result = tuned(tmp_path, Plain(width=0.25, note=[1, ("a", None)]))
    assert [trial.proposer for trial in result.trials] == ["plain"] * 4
    assert [trial.explanation for trial in result.trials] == [f"a draw of {number}" for number in range(1, 5)]
    session = result.session
    assert session.tuner == "plain"
    kept = {name: value for name, value in session.method.items() if name != "seed"}
    assert kept == {"name": "plain", "object": "tests.own_methods:Plain", "width": 0.25, "note": [1, ["a", None]]}
    again = tuned(tmp_path / "..", Plain(width=0.25), db=f"sqlite:///{tmp_path / 'again.sqlite'}")
    assert [trial.configuration for trial in again.trials] == [trial.configuration for trial in result.trials]
    other = tuned(tmp_path, Plain(), seed=1)
    assert [trial.configuration for trial in other.trials] != [trial.configuration for trial in result.trials]


def test_what_no_json_holds_is_recorded_as_its_text_without_addresses(tmp_path: Path) -> None:
    method = tuned(tmp_path, Plain(width=float("inf"), note=lambda x: x), trials=1).session.method
    assert method["width"] == "inf"
    assert "lambda" in method["note"]
    assert "0x" not in method["note"]


def test_a_class_is_made_with_the_direction_the_seed_and_settings(tmp_path: Path) -> None:
    result = tuned(tmp_path, Greedy, step=0.3)
    assert result.session.method["step"] == 0.3
    assert result.session.method["seed_"] == result.session.method["seed"]
    assert result.trials[0].explanation == f"a draw by seed {result.session.method['seed']}"
    with pytest.raises(InvalidSettings, match="'stride' is unknown; expected one of step, seed"):
        tuned(tmp_path, Greedy, stride=0.3)


def test_beliefs_stopping_and_parallel_work_for_objects(tmp_path: Path) -> None:
    result = tuned(tmp_path, Greedy(maximize=False, seed=7), priors={"x": Prior(0.5, "high")}, stopping="median", parallel=2)
    assert result.trials[0].configuration["x"] == 0.5
    assert result.trials[0].explanation == "as believed, by seed 7"
    assert result.session.method["stopping"] == "median"
    assert result.session.method["seed_"] == 7
    assert len(result.trials) == 4


def test_a_session_of_an_object_can_be_read_and_replayed_and_goes_on_where_the_object_is_given(tmp_path: Path) -> None:
    result = tuned(tmp_path, Plain(), trials=2)
    url = f"sqlite:///{tmp_path / 'lab.sqlite'}"
    assert evenhand.session(result.session_id, db=url).best == result.best
    lab = Lab.connect(url)
    left = lab.sessions.open(
        result.session.study_id, tuner="plain", method=dict(result.session.method), budget=Budget(trials=2), driver="python"
    )
    with pytest.raises(InvalidSettings, match=r"'plain' is an object of tests.own_methods:Plain, .*goes on only in a program"):
        method_player.Player.of(lab, left.id)
    player = method_player.Player.of(lab, left.id, Plain())
    assert player.turn() is method_player.Turn.SUBMITTED
    (trial,) = lab.sessions.get(left.id).trials
    assert trial.configuration == result.trials[0].configuration
    with pytest.raises(evenhand.EvenhandError, match="task"):
        replay(lab, result.session_id, 1)  # the function was this test's own: only a task of a file can be loaded again
    lab.close()


@pytest.mark.slow
def test_a_registered_method_given_as_object_or_class_is_recorded_by_its_name(tmp_path: Path) -> None:
    assert tuned(tmp_path, TPE(maximize=False, startup=3)).session.method.items() >= {"name": "tpe", "startup": 3}.items()
    assert tuned(tmp_path, TPE, startup=3).session.method.items() >= {"name": "tpe", "startup": 3}.items()
    with_seed = tuned(tmp_path, Sobol(maximize=False, seed=3)).session.method
    assert with_seed["object"] == "evenhand.methods.simple:Sobol"
    assert with_seed["seed_"] == 3


def test_what_is_missing_of_the_protocol_is_named(tmp_path: Path) -> None:
    class Nameless:
        def suggest(self, space: Any, trials: Any) -> None: ...

    class Mute:
        name = "a:b"
        maximize = "yes"

    class Taken(Plain):
        name = "tpe"

    with pytest.raises(InvalidSettings, match=r"Nameless does not keep .*it has no `name`.*cannot be called as suggest\(space"):
        tuned(tmp_path, Nameless())
    with pytest.raises(InvalidSettings, match=r"`name` is 'a:b', expected .*it has no `suggest`.*`maximize` is 'yes'"):
        tuned(tmp_path, Mute)
    with pytest.raises(InvalidSettings, match="int does not keep"):
        tuned(tmp_path, 3)
    with pytest.raises(InvalidSettings, match="the name 'tpe' is taken by a registered method"):
        tuned(tmp_path, Taken())
    with pytest.raises(InvalidSettings, match="made with maximize=True, and for this task smaller values are better, not larger"):
        tuned(tmp_path, Greedy(maximize=True))
    with pytest.raises(InvalidSettings, match="Plain is an object, whose settings are its own; width cannot be given"):
        tuned(tmp_path, Plain(), width=3)
    with pytest.raises(InvalidSettings, match="'greedy' tunes real numbers only"):
        evenhand.tune(square, Space([Hyperparameter("x", evenhand.Integer(0, 3))]), direction="minimize", trials=1, method=Greedy)
    lab = Lab.connect(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    assert lab.studies.all() == []  # nothing was stored
    lab.close()


def test_a_session_whose_method_raises_goes_on_once_that_is_mended(tmp_path: Path) -> None:
    with pytest.raises(MethodFailed, match=r"(?s)method 'failing', asked for trial 3 of session 1, .*no model of mine"):
        tuned(tmp_path, Failing())
    lab = Lab.connect(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    session = lab.sessions.get(1)
    assert len(session.trials) == 2
    assert session.choice is None
    lab.close()


def test_a_method_that_leaves_by_exit_ends_its_session_too(tmp_path: Path) -> None:
    class Leaving(Plain):
        def suggest(self, *_: Any) -> list[Suggestion]:
            raise SystemExit(3)

    with pytest.raises(MethodFailed, match="SystemExit: 3"):
        tuned(tmp_path, Leaving())


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"x": 0.5}, "answered a dict, expected a list of evenhand.Suggestion"),
        (Suggestion(evenhand.Configuration({"x": 3.0}), "too far"), "no configuration of the space: x: got 3"),
        (Suggestion(evenhand.Configuration({"y": 1.0}), "elsewhere"), "no configuration of the space"),
        (Suggestion({"x": 0.5}, "plain"), r"expected a Configuration; use space.configuration\(values\)"),  # type: ignore[arg-type]
        (Suggestion(evenhand.Configuration({"x": 0.5}), " "), "without an explanation: got ' '"),
        (Suggestion(evenhand.Configuration({"x": 0.5}), None), "without an explanation: got None"),  # type: ignore[arg-type]
        (Suggestion(evenhand.Configuration({"x": 0.5}), "on", resumes="1"), "resumes='1', expected the number"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_suggestion_is_said_with_the_method_s_name(tmp_path: Path, answer: object, words: str) -> None:
    with pytest.raises(MethodFailed, match=f"method 'answering'.* {words}"):
        tuned(tmp_path, Answering(note=answer))


class Choosy(Plain):
    def check(self, space: Space) -> None:
        raise ValueError("no words")


def test_a_check_that_raises_is_the_method_s_fault(tmp_path: Path) -> None:
    with pytest.raises(MethodFailed, match=r"(?s)method 'plain': its check\(space\) raised .*ValueError: no words"):
        tuned(tmp_path, Choosy())


class Resuming(Plain):
    """Goes on from a trial, with so many epochs; before that one has ended it draws for three."""

    name = "resuming"

    def suggest(self, space: Space, trials: Any, n: int, rng: Any) -> list[Suggestion]:
        note: Any = self.note
        number, epochs, x = note
        if not trials:
            return [Suggestion(space.configuration({"x": 0.5, "epochs": 3}), "to begin with")]
        return [Suggestion(space.configuration({"x": x, "epochs": epochs}), "goes on", resumes=number)]


@pytest.mark.parametrize(
    ("note", "words"),
    [
        ((999, 4, 0.5), "trial 999 has not ended with a completed epoch"),
        ((1, 4, 0.25), "this is not the configuration of trial 1; only epochs may differ"),
        ((1, 3, 0.5), "trial 1 has 3 epochs already"),
    ],
)
def test_what_cannot_go_on_from_a_trial_ends_the_search_in_words(tmp_path: Path, note: Any, words: str) -> None:
    def train(configuration: Any, run: Any) -> None:
        for epoch in range(1, configuration["epochs"] + 1):
            run.report(epoch=epoch, value=configuration["x"])

    space = Space([*LINE, Hyperparameter("epochs", evenhand.Integer(1, 9), fidelity=True)])
    with pytest.raises(MethodFailed, match=f"method 'resuming' suggested what cannot go on from another trial: {words}"):
        evenhand.tune(
            train, space, direction="minimize", trials=3, method=Resuming(note=note), progress=False, db=f"sqlite:///{tmp_path}/l"
        )


def test_a_file_s_method_is_found_by_its_place(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'lab.sqlite'}"
    task = tmp_path / "line.py"
    task.write_text(
        "import evenhand\nS = evenhand.Space([evenhand.Hyperparameter('x', evenhand.Float(-1, 1))])\n"
        "@evenhand.task(space=S, metric='loss', direction='minimize', max_epochs=1)\n"
        "def train(configuration, run):\n    run.report(epoch=1, loss=configuration['x'] ** 2)\n"
    )
    outcome = CliRunner().invoke(
        app, ["tune", f"{task}:train", "--method", f"{FILE}:Plain:width=2", "--trials", "2", "--db", url]
    )
    assert outcome.exit_code == 0, outcome.output
    lab = Lab.connect(url)
    session = lab.sessions.get(1)
    assert session.tuner == "own_methods.py:Plain"
    assert session.method.items() >= {"name": f"{FILE.resolve()}:Plain", "width": 2}.items()
    assert replay(lab, 1, 2).matches
    left = lab.sessions.open(
        session.study_id, tuner="later", method=dict(session.method), budget=Budget(trials=2), driver="python"
    )
    assert method_player.Player.of(lab, left.id).turn() is method_player.Turn.SUBMITTED  # found again by its place
    lab.close()
    for name, words in (
        ("nofile.py:Plain", "no file"),
        (f"{FILE}:Nobody", "no Nobody"),
        ("tests.nowhere:Plain", "there is no module tests.nowhere here"),
    ):
        with pytest.raises(PluginBroken, match=words):
            methods.method(name, maximize=True)
    with pytest.raises(InvalidSettings, match="does not keep the protocol"):
        methods.method(f"{FILE}:NOTHING", maximize=True)


@pytest.mark.slow
def test_contestants_may_be_objects_and_classes_played_in_processes(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'lab.sqlite'}"
    contestants = (compare.Contestant("mine", Plain(width=0.1)), compare.Contestant("class", Plain), compare.contestant("random"))
    spec = TaskSpec("sklearn", {"model": "tree", "data": "iris"})
    plan = compare.ComparisonPlan((spec,), contestants, seeds=(0,), budget=Budget(trials=2))
    runs = compare.run(url, plan, processes=2)
    comparison = compare.comparison(url, runs)
    assert [(entry.contestant, len(entry.session.trials)) for entry in comparison.entries] == [
        ("mine", 2),
        ("class", 2),
        ("random", 2),
    ]
    assert comparison.entries[0].settings == {"method": "plain", "object": "tests.own_methods:Plain", "width": 0.1, "note": None}
    again = compare.run(url, plan, processes=2)
    assert [run.session_id for run in again] == [run.session_id for run in runs]  # it goes on where it stood

    class Local(Plain):
        pass

    with pytest.raises(InvalidSettings, match="contestant 'here': its method cannot be sent to another process"):
        compare.run(url, compare.ComparisonPlan((spec,), (compare.Contestant("here", Local()),), (0,), Budget(trials=2)))


def test_a_contest_s_autotuner_may_be_a_class() -> None:
    tuners = contest._tuners(contest.Terms(sets=("08",), scale=0.01, trials=2, method=Plain))
    assert [tuner.contestant.method for tuner in tuners if tuner.contestant is not None] == [Plain]


class Unnamed(Plain):
    @property
    def name(self) -> str:  # type: ignore[override] # only an object of it has one
        return "made"


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("tpe:startup=5", "tpe:startup=5"),
        (Plain, "plain"),
        (Plain(), "plain"),
        (lambda: Plain(), "<lambda>"),
        (Unnamed, "Unnamed"),
    ],
    ids=["text", "class", "object", "function", "name made later"],
)
def test_a_contest_s_autotuner_is_called_by_a_name(method: Any, words: str) -> None:
    called = contest.autotuner(method)
    assert called.endswith(words)
    assert "0x" not in called


@pytest.mark.parametrize("reserved", ["name", "seed", "object"])
def test_a_setting_that_means_something_else_in_a_session_is_refused(reserved: str) -> None:
    with pytest.raises(InvalidSettings, match=f"method 'tpe': {reserved} cannot be a setting"):
        methods.chosen("tpe", maximize=True, settings={reserved: 1})
    with pytest.raises(InvalidSettings, match=f"method 'Plain': {reserved} cannot be a setting"):
        methods.chosen(Plain, maximize=True, settings={reserved: 1})


def test_a_contestant_has_one_name_and_the_session_s_seed(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="name cannot be a setting, since 'tpe' stands before the colon"):
        compare.contestant("tpe:name=random")
    spec = TaskSpec("sklearn", {"model": "tree", "data": "iris"})
    plan = compare.ComparisonPlan((spec,), (compare.contestant("sobol:seed=3"),), (0,), Budget(trials=2))
    with pytest.raises(InvalidSettings, match="method 'sobol': seed cannot be a setting"):
        compare.run(f"sqlite:///{tmp_path / 'lab.sqlite'}", plan)


def test_an_estimator_is_tuned_by_an_object(tmp_path: Path) -> None:
    from sklearn.datasets import load_iris
    from sklearn.tree import DecisionTreeClassifier

    X, y = load_iris(return_X_y=True)
    url = f"sqlite:///{tmp_path / 'lab.sqlite'}"
    result = evenhand.tune_estimator(
        DecisionTreeClassifier(), X, y, method=Plain(), trials=2, evaluate=False, progress=False, db=url
    )
    assert result.session.tuner == "plain"
    assert result.best_estimator().n_features_in_ == 4


@pytest.mark.parametrize(
    ("text", "label", "method"),
    [
        ("tpe", "tpe", {"name": "tpe"}),
        ("quick=tpe:startup=5", "quick", {"name": "tpe", "startup": 5}),
        ("my.py:Mine", "my.py:Mine", {"name": "my.py:Mine"}),
        ("a=/x/my.py:Mine:width=2,note=b", "a", {"name": "/x/my.py:Mine", "width": 2, "note": "b"}),
        ("lab.methods:Mine", "lab.methods:Mine", {"name": "lab.methods:Mine"}),
    ],
)
def test_the_notation_of_the_command_line(text: str, label: str, method: dict[str, Any]) -> None:
    assert compare.contestant(text) == compare.Contestant(label, method)


METHOD = """
from evenhand import draw_untried
import width_of_mine

class Method:
    name = "mine"
    width = width_of_mine.WIDTH

    def suggest(self, space, trials, n, rng):
        return draw_untried(space, trials, n, rng, f"a draw of width {self.width}")
"""


@pytest.mark.slow
def test_helpers_of_the_same_name_beside_two_methods_are_each_method_s_own(tmp_path: Path) -> None:
    explanations = []
    for number in (1, 2, 1):
        folder = tmp_path / str(number)
        folder.mkdir(exist_ok=True)
        (folder / "method.py").write_text(METHOD)
        (folder / "width_of_mine.py").write_text(f"WIDTH = {number}")
        result = tuned(folder, f"{folder / 'method.py'}:Method", trials=1)
        explanations.append(result.trials[0].explanation)
    assert explanations == [f"a draw of width {number}" for number in (1, 2, 1)]
