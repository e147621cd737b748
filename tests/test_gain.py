"""The gain of a run over its declared baseline: numbers, words, and the ways to declare one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from typer.testing import CliRunner

import evenhand
from benchmarks.made_runs import make
from evenhand.analysis.gain import Gain
from evenhand.cli.main import app
from evenhand.errors import InvalidSettings, Refused
from evenhand.lab.lab import Lab
from evenhand.model.domain import Float
from evenhand.tasks.splits import Splits
from evenhand.web.access import Role
from tests.web import Site, toy_site

SPACE = {"shift": Float(-1.0, 1.0), "scale": Float(0.5, 2.0)}


def _splits() -> Splits:
    x = np.random.default_rng(5).normal(size=(400, 1))
    return Splits.drawn(x, (x[:, 0] > 0).astype(int))


@evenhand.task(space=SPACE, metric="accuracy", max_epochs=1, data=_splits, revision=1)
def train(configuration: Any, run: Any) -> None:
    """Answers by a threshold that the configuration shifts, and the seed a little."""
    noise = np.random.default_rng(run.seed).normal() * 0.02
    threshold = configuration["shift"] + noise
    run.report(step=1, epoch=1, accuracy=run.score(lambda x: (x[:, 0] > threshold).astype(int)))


@pytest.fixture
def db(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'lab.sqlite'}"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with toy_site(tmp_path) as served:
        yield served


def _tuned(db: str, **given: Any) -> evenhand.Result:
    return evenhand.tune(train, trials=12, db=db, progress=False, **given)


def test_the_gain_is_paired_by_seed(db: str) -> None:
    result = _tuned(db, baseline={"shift": 0.5, "scale": 1.0}, name="search")
    gain = result.gain
    assert gain is not None
    assert gain.on_test is not None
    lab = Lab.connect(db)
    base = lab.sessions.get(gain.baseline_id)
    assert base.trials[0].configuration == {"shift": 0.5, "scale": 1.0}
    own, other = (
        {score.seed: score.value or 0.0 for score in lab.evaluations.get(session_id, "evenhand.tune").scores}
        for session_id in (result.session_id, base.id)
    )
    differences = [value - other[seed] for seed, value in own.items()]
    assert len(differences) == 10
    assert gain.on_test.values == pytest.approx(differences)
    expected = stats.t.interval(0.95, 9, np.mean(differences), stats.sem(differences))
    assert (gain.on_test.interval.low, gain.on_test.interval.high) == pytest.approx(expected)
    best, base_trial = result.best, base.trials[0]
    assert best is not None
    assert best.value is not None
    assert base_trial.value is not None
    assert gain.on_validation == pytest.approx(best.value - base_trial.value)
    assert gain.on_test.is_told_apart
    assert f"points accuracy on test over {base.called} (95 % +" in " ".join(repr(result).split())
    assert "the best of 12 trials against one training" in gain.words


def test_an_equal_baseline_is_trained_once(db: str) -> None:
    first = _tuned(db, baseline={"shift": 0.5, "scale": 1.0})
    second = _tuned(db, baseline={"scale": 1.0, "shift": 0.5}, method="sobol")
    assert first.gain is not None
    assert second.gain is not None
    assert first.gain.baseline_id == second.gain.baseline_id
    again = _tuned(db, baseline={"shift": 0.25, "scale": 1.0})
    assert again.gain is not None
    assert again.gain.baseline_id != first.gain.baseline_id


def test_a_run_may_be_the_baseline_of_another(db: str) -> None:
    first = _tuned(db, name="first")
    for which in ("first", first.session_id, f"#{first.session_id}"):
        result = _tuned(db, baseline=which, method="sobol")
        assert result.gain is not None
        assert result.gain.baseline_id == first.session_id
        assert result.gain.on_test is not None


@pytest.mark.parametrize(
    ("baseline", "words"),
    [
        ({"shift": 7, "scale": 1.0}, "baseline: .*shift"),
        ({"shfit": 0.1}, "baseline: .*shfit"),
        ("nobody", "there is no run 'nobody'"),
        (999, "there is no run '999'"),
        (1.5, "baseline is 1.5, expected a configuration"),
        (True, "baseline is True, expected a configuration"),
    ],
)
def test_what_can_be_no_baseline_is_refused_before_anything_is_trained(db: str, baseline: Any, words: str) -> None:
    with pytest.raises(InvalidSettings, match=words):
        _tuned(db, baseline=baseline)
    assert not [trial for row in Lab.connect(db).runs.all() for trial in Lab.connect(db).sessions.get(row.session_id).trials]


def test_a_baseline_is_declared_changed_and_taken_away(db: str) -> None:
    first, second = _tuned(db), _tuned(db, method="sobol", evaluate=False)
    lab = Lab.connect(db)
    assert lab.runs.gain(second.session_id, "w") is None
    lab.runs.declare_baseline(second.session_id, first.session_id)
    gain = lab.runs.gain(second.session_id, "w")
    assert isinstance(gain, Gain)
    assert gain.on_test is None  # w has looked at neither
    assert "on validation over" in gain.words
    assert "on test" not in gain.words
    with pytest.raises(Refused, match="its own baseline"):
        lab.runs.declare_baseline(second.session_id, second.session_id)
    lab.runs.declare_baseline(second.session_id, None)
    assert lab.runs.gain(second.session_id, "w") is None


@evenhand.task(space=SPACE, metric="loss", direction="minimize", max_epochs=1, revision=1)
def lose(configuration: Any, run: Any) -> None:
    """Another metric, of which less is better."""
    run.report(step=1, epoch=1, loss=configuration["scale"])


def test_less_is_a_gain_where_less_is_better(db: str) -> None:
    result = evenhand.tune(lose, trials=8, db=db, progress=False, baseline={"shift": 0.0, "scale": 2.0})
    assert result.gain is not None
    assert result.gain.on_validation is not None
    assert result.gain.on_validation > 0
    assert result.gain.on_test is None
    assert result.gain.words.startswith("+")
    accuracy = _tuned(db)
    with pytest.raises(Refused, match="expected a baseline that is tuned for the same"):
        Lab.connect(db).runs.declare_baseline(result.session_id, accuracy.session_id)


@pytest.mark.slow
def test_the_command_takes_a_configuration_or_a_run(db: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "import evenhand\n"
        "@evenhand.task(space={'lr': evenhand.Float(0.001, 1.0, log=True)}, metric='loss', direction='minimize', max_epochs=1)\n"
        "def train(configuration, run):\n"
        "    run.report(step=1, epoch=1, loss=configuration['lr'])\n"
    )
    command = ["tune", f"{file}:train", "--trials", "4", "--db", db]
    printed = CliRunner().invoke(app, [*command, "--baseline", '{"lr": 0.9}'])
    assert printed.exit_code == 0, printed.output
    assert "on validation over" in " ".join(printed.output.split())
    wrong = CliRunner().invoke(app, [*command, "--baseline", '{"lr": '])
    assert wrong.exit_code != 0
    assert "--baseline" in str(wrong.exception) + wrong.output


def test_a_baseline_is_typed_into_the_form_of_notes(site: Site) -> None:
    first, second = (make(site.lab, 4, seed=number, name=f"search {number}") for number in range(2))
    rosa = site.caller(Role.RESEARCHER)
    page = f"/sessions/{second.id}/notes"
    form = {"name": "search 1", "tags": "", "note": "", "baseline": "search 0"}
    assert rosa.post(page, form).status_code == 303
    assert site.lab.runs.notes(second.id).baseline == first.id
    assert 'name="baseline" value="search 0"' in rosa.get(page).text
    for typed, words in (("nobody", "there is no run"), (str(second.id), "its own baseline")):
        answer = rosa.post(page, {**form, "baseline": typed})
        assert answer.status_code == 400
        assert words in answer.text
        assert f'name="baseline" value="{typed}"' in answer.text  # what was typed stays
    assert site.lab.runs.notes(second.id).baseline == first.id
    assert rosa.post(page, {**form, "baseline": f"#{first.id}"}).status_code == 303
    assert rosa.post(page, {**form, "baseline": ""}).status_code == 303
    assert site.lab.runs.notes(second.id).baseline is None
