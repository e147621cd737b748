"""A training script in any language is tuned: its command, its results, how it ends, and that nothing of it stays behind."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import evenhand
from evenhand import (
    Choice,
    Condition,
    Configuration,
    Float,
    Hyperparameter,
    Integer,
    Outcome,
    Space,
    Stopped,
    Task,
    program,
    tasks,
)
from evenhand.cli.main import app
from evenhand.errors import DataError, InvalidSettings, TaskMissing
from evenhand.lab.lab import Lab
from evenhand.model.domain import show
from evenhand.model.job import place_of
from evenhand.model.trial import Measurement
from evenhand.runners.agent import run_agent
from evenhand.tasks.gate import Gate
from evenhand.tasks.programs.command import Command
from evenhand.tasks.programs.output import FIRST_BYTES, LAST_BYTES, Output, tail
from evenhand.testing import check_task
from evenhand.web.access import Role
from tests.agents import ended, opened, training
from tests.components import need
from tests.labs import Clock
from tests.waiting import PATIENCE_SECONDS, wait_for
from tests.web import serve

LR = Hyperparameter("lr", Float(0, 1))
EPOCHS = Hyperparameter("epochs", Integer(1, 50), fidelity=True)
LOOP = """
for epoch in $(seq "$2"); do
    echo "{\\"epoch\\": $epoch, \\"accuracy\\": 0.$epoch, \\"loss\\": $1}"
done
echo done >&2
"""


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "data"
    monkeypatch.setenv("EVENHAND_DATA", str(folder))
    return folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that commands are given in."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def shell(text: str, *hyperparameters: Hyperparameter, arguments: str = "{lr}", **settings: Any) -> Task:
    """A task that runs a shell script train.sh of this text here."""
    Path("train.sh").write_text(text)
    space = Space(hyperparameters or [LR])
    return program(f"sh train.sh {arguments}", space, **{"metric": "accuracy", **settings})


def run(task: Task, stop_at: int = 10**6, **values: object) -> tuple[Outcome, str, list[Measurement]]:
    """A training: how it ended, why, and what it measured, stopped after so many measurements."""
    measured: list[Measurement] = []

    def report(measurement: Measurement) -> None:
        measured.append(measurement)
        if len(measured) == stop_at:
            raise Stopped

    outcome, why = tasks.run_trial(task, {"lr": 0.5, **values}, seed=7, evaluation=False, report=report)
    return outcome, why or "", measured


def said(measured: list[Measurement]) -> list[tuple[int | None, float | None, float | None]]:
    return [(measurement.epoch, measurement.value, measurement.loss) for measurement in measured]


# The command


def filled(command: str, space: Space, **values: object) -> list[str]:
    facts = {"number": "3", "seed": "9", "folder": "/f", "configuration": "/c.json"}
    return Command.of(command, space, False).arguments(space.configuration(values), facts)


def test_each_placeholder_is_in_one_argument_whatever_its_value_is() -> None:
    space = Space({"lr": Float(1e-9, 1), "name": ["a b", "$(x) 'q'"], "flag": [True, False, None], "layers": [[64, 32], [8]]})
    command = "train 'my file' --lr={lr} --name {name} {flag} --layers {layers} --at {folder}/{number}.{seed}"
    assert filled(command, space, lr=1.25e-7, name="$(x) 'q'", flag=True, layers=(64, 32)) == [
        "train", "my file", "--lr=1.25e-7", "--name", "$(x) 'q'", "true", "--layers", "[64, 32]", "--at", "/f/3.9",
    ]  # fmt: skip


def test_text_of_mixed_options_is_as_json_only_where_options_would_look_alike() -> None:
    assert filled("t {x}", Space({"x": [1, "auto"]}), x="auto") == ["t", "auto"]
    assert filled("t {x}", Space({"x": [1, "1"]}), x="1") == ["t", '"1"']
    assert filled("t {x}", Space({"x": Integer(2**62, 2**63 - 1)}), x=2**63 - 1) == ["t", "9223372036854775807"]


def test_braces_that_are_no_placeholder_are_text_and_doubled_ones_are_a_name_in_braces() -> None:
    space = Space({"learning rate": Float(0, 1)})
    assert filled("awk '{ print $1 }' '{\"lr\": {learning rate}}' {{lr}} {}", space, **{"learning rate": 0.5}) == [
        "awk", "{ print $1 }", '{"lr": 0.5}', "{lr}", "{}",
    ]  # fmt: skip


def test_an_inactive_hyperparameter_s_argument_is_left_out_with_its_option_word() -> None:
    adam = Condition("optimizer", ("adam",))
    space = Space(
        [
            Hyperparameter("optimizer", Choice(("adam", "sgd"))),
            Hyperparameter("beta", Float(0, 1), condition=adam),
            Hyperparameter("eps", Float(0, 1), condition=adam),
        ]
    )
    command = "train -v --optimizer {optimizer} --beta {beta} --eps={eps} data.csv"
    assert filled(command, space, optimizer="sgd") == ["train", "-v", "--optimizer", "sgd", "data.csv"]
    assert filled(command, space, optimizer="adam", beta=0.5, eps=0.1)[4:] == ["--beta", "0.5", "--eps=0.1", "data.csv"]
    assert filled("train x {beta} {eps} {optimizer}", space, optimizer="sgd") == ["train", "x", "sgd"]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("train {lr} {units}", "{units} is no hyperparameter: expected some of {lr}, {number}"),
        ("train", "it uses no {lr}, so that tuning it would change nothing"),
        ("train {lr} {epochs}", "{epochs} is no hyperparameter: the space marks no hyperparameter as its fidelity"),
        ("train 'a {lr}", "No closing quotation"),
        ("", "expected a program and its arguments"),
    ],
)
def test_a_command_that_cannot_work_is_refused(command: str, words: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        program(command, Space([LR]), metric="accuracy")
    assert words in str(caught.value)


def test_a_hyperparameter_called_as_something_else_is_refused() -> None:
    with pytest.raises(InvalidSettings, match=r"'seed' is called as \{seed\}, which stands for something else"):
        program("sh {seed}", Space({"seed": [1, 2]}), metric="accuracy")
    with pytest.raises(InvalidSettings, match=r"a-b and a\.b would both be the variable EVENHAND_A_B|a\.b and a-b would both"):
        program("sh", Space({"a-b": [1, 2], "a.b": [1, 2]}), metric="accuracy", environment=True)


def test_epochs_stands_for_the_fidelity_whatever_it_is_called() -> None:
    space = Space([Hyperparameter("rounds", Integer(1, 9), fidelity=True)])
    assert filled("train {epochs}", space, rounds=4) == ["train", "4"]


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"command": "no-such-program-here {lr}"}, TaskMissing, "no folder of PATH has one"),
        ({"command": "./no.sh {lr}"}, TaskMissing, "has none"),
        ({"command": "./train.sh {lr}"}, TaskMissing, "chmod +x"),
        ({"command": 3}, InvalidSettings, "command: got 3, expected a command line"),
        ({"metric": "score"}, InvalidSettings, "got no direction"),
        ({"metric": "epoch", "direction": "minimize"}, InvalidSettings, "the metric is called 'epoch'"),
        ({"direction": "up"}, InvalidSettings, "direction: got 'up', expected maximize or minimize"),
        ({"result": "("}, InvalidSettings, "it is no regular expression"),
        ({"result": "acc=(.*)"}, InvalidSettings, "it has no group named 'accuracy'"),
        ({"command": []}, InvalidSettings, "expected a program and its arguments"),
        ({"files": ["nothing.csv"]}, DataError, "nothing.csv, which is no file"),
        ({"threads": 0}, InvalidSettings, "threads: got 0, expected a whole number from 1"),
        ({"max_seconds": -1}, InvalidSettings, "max_seconds: got -1, expected a number above 0"),
        ({"folder": "nowhere"}, TaskMissing, "is not here"),
    ],
)
def test_what_cannot_be_used_is_refused_before_a_session(
    home: Path, changes: dict[str, Any], error: type[Exception], words: str
) -> None:
    (home / "train.sh").write_text(LOOP)
    settings: dict[str, Any] = {"command": "sh train.sh {lr}", "metric": "accuracy", **changes}
    with pytest.raises(error) as caught:
        program(settings.pop("command"), Space([LR]), **settings)
    assert words in str(caught.value)


# Holding


@pytest.mark.needs("procfs")
@pytest.mark.slow
def test_a_held_program_stands_still_with_all_that_it_started(home: Path) -> None:
    (home / "inner.sh").write_text(f"echo $$ > {home}/inner.pid; until test -e {home}/go; do sleep 0.01; done")
    task = shell(f"sh {home}/inner.sh & echo $$ > {home}/outer.pid; wait; echo '{{\"accuracy\": 1}}'")
    gate, measured, ends = Gate(), list[Measurement](), list[Any]()

    def train() -> None:
        ends.append(tasks.run_trial(task, {"lr": 0.5}, seed=7, evaluation=False, report=measured.append, gate=gate))

    thread = threading.Thread(target=train)
    thread.start()
    outer, inner = (wait_for(partial(content, home / name), name) for name in ("outer.pid", "inner.pid"))
    gate.close()
    for pid in (outer, inner):
        wait_for(partial(stands, pid), "it is suspended", lambda state: state == "T")
    (home / "go").touch()
    gate.open()
    thread.join(PATIENCE_SECONDS)
    assert ends == [(Outcome.COMPLETED, None)]
    assert said(measured) == [(1, 1.0, None)]


def content(path: Path) -> str:
    """What a file holds; nothing where it is not there."""
    return path.read_text().strip() if path.exists() else ""


def stands(pid: str) -> str:
    """The letter of a process's state, as the system says it."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


# Results


def test_epochs_are_reported_as_they_come_and_further_numbers_are_kept(home: Path) -> None:
    line = {"epoch": 1, "accuracy": 0.25, "loss": 2, "f1": 0.5, "phase": "train"}
    task = shell(f"echo hello; echo '{json.dumps(line)}'; echo {{")
    outcome, why, measured = run(task)
    assert (outcome, why) == (Outcome.COMPLETED, "")
    assert said(measured) == [(1, 0.25, 2.0)]
    assert measured[0].extra == {"f1": 0.5}


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (['{"accuracy": 0.1}', '{"accuracy": 0.2}'], [(1, 0.2, None)]),  # the last one counts
        (['{"epoch": 0, "accuracy": 0.1}', '{"epoch": 1, "accuracy": 0.2}'], [(1, 0.1, None), (2, 0.2, None)]),  # from 0
        (['{"epoch": 1, "accuracy": 0.1}', '{"accuracy": 0.9}'], [(1, 0.1, None)]),  # a summary is no epoch
        (['{"loss": 3}', '{"epoch": 1, "loss": 2}', '{"epoch": 1, "accuracy": "0.5"}'],
         [(None, None, 3.0), (None, None, 2.0), (1, 0.5, None)]),
        (["[1]", "{broken", '{"accuracy": null}', '"text"', '{"accuracy": 1}'], [(1, 1.0, None)]),
    ],
)  # fmt: skip
def test_which_lines_count(home: Path, lines: list[str], expected: list[Any]) -> None:
    (home / "lines.txt").write_text("\n".join(lines))  # the last one without an end
    outcome, why, measured = run(shell("cat lines.txt"))
    assert (outcome, why) == (Outcome.COMPLETED, "")
    assert said(measured) == expected


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"accuracy": "high"}', "accuracy is 'high' in the line"),
        ('{"accuracy": true}', "accuracy is True in the line"),
        ('{"epoch": 1.5, "accuracy": 1}', "epoch is 1.5 in the line"),
        ('{"epoch": -1, "accuracy": 1}', "epoch -1 in the line"),
        ('{"epoch": 1, "accuracy": 1}\n{"epoch": 1, "accuracy": 1}', "comes after epoch 1; expected a later one"),
    ],
)
def test_a_result_that_is_none_is_invalid_in_words(home: Path, line: str, words: str) -> None:
    (home / "lines.txt").write_text(f"{line}\n")
    outcome, why, _ = run(shell("cat lines.txt"))
    assert outcome is Outcome.INVALID
    assert words in why
    assert "Traceback" not in why


@pytest.mark.parametrize("said", ['"epoch": 1, "accuracy": NaN', '"accuracy": NaN', '"loss": Infinity', '"accuracy": "nan"'])
def test_no_number_is_diverged_and_ends_the_program(home: Path, said: str) -> None:
    (home / "lines.txt").write_text(f"{{{said}}}\n")
    outcome, _, _ = run(shell("cat lines.txt; sleep 60"))
    assert outcome is Outcome.DIVERGED


def test_a_regular_expression_reads_any_line(home: Path) -> None:
    pattern = r"epoch (?P<epoch>\d+).*acc=(?P<accuracy>[0-9.]+)(?: loss=(?P<loss>\S+))?"
    task = shell('echo "epoch 1: acc=0.5 loss=2e-1"; echo "epoch 2: acc=0.75" >&2', result=pattern)
    assert sorted(said(run(task)[2]), key=str) == [(1, 0.5, 0.2), (2, 0.75, None)]


def test_a_metric_called_loss_is_a_value(home: Path) -> None:
    task = shell('echo \'{"epoch": 1, "loss": 0.25}\'', metric="loss", direction="minimize")
    assert said(run(task)[2]) == [(1, 0.25, 0.25)]


def test_a_result_without_epochs_is_that_of_all_epochs(home: Path) -> None:
    task = shell("echo '{\"accuracy\": 0.5}'", LR, EPOCHS, arguments="{lr} {epochs}")
    assert said(run(task, epochs=12)[2]) == [(12, 0.5, None)]


# How it ends


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("echo first; echo why >&2; exit 3", "the program ended with exit code 3; its standard error ended with:\nwhy"),
        ("echo only; exit 2", "the program ended with exit code 2; its standard output ended with:\nonly"),
        ("exit 1", "the program ended with exit code 1; it printed nothing"),
        ("no_such_command_here", "exit code 127 (a shell's word for: command not found)"),
        ("kill -SEGV $$", "the program was ended by SIGSEGV ("),
        ("kill -KILL $$", "a lack of memory may be the cause"),
        ("echo '{\"acc\": 1}'", "the program ended well (exit code 0), and never told accuracy: its standard output"),
        ("echo '{\"acc\": 1}'", 'for JSON lines, such as {"epoch": 1, "accuracy": 0.5}; what was told is acc'),
        ("echo a line", "its standard output ended with:\na line"),
    ],
)  # fmt: skip
def test_a_program_that_fails_is_invalid_and_says_why(home: Path, text: str, words: str) -> None:
    outcome, why, _ = run(shell(text))
    assert outcome is Outcome.INVALID
    assert words in why


def test_a_failure_after_results_is_invalid(home: Path) -> None:
    outcome, why, measured = run(shell(f"{LOOP}\nexit 1", LR, EPOCHS, arguments="{lr} {epochs}"), epochs=2)
    assert (outcome, len(measured)) == (Outcome.INVALID, 2)
    assert why.endswith("done")


def test_a_value_that_cannot_be_an_argument_is_invalid_in_words(home: Path) -> None:
    task = shell("true", Hyperparameter("lr", Choice(("a\0b", "c"))))
    outcome, why, _ = run(task, lr="a\0b")
    assert outcome is Outcome.INVALID
    assert why.startswith("the program 'sh' could not be started: embedded null byte")


def test_the_limit_on_time_ends_a_silent_program(home: Path) -> None:
    started = time.monotonic()
    outcome, why, _ = run(shell("sleep 60", max_seconds=0.5))
    assert outcome is Outcome.INVALID
    assert "longer than the task's limit" in why
    assert time.monotonic() - started < 30


# Nothing stays behind


def is_running(pid: int) -> bool:
    """Whether there is such a process that has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


FAMILY = """
echo $$ >> "$2"
sh -c 'echo $$ >> "$1"; exec sleep 300' child "$2" &
setsid sh -c 'echo $$ >> "$1"; trap "" TERM; sleep 300 & wait; sleep 300' grandchild "$2" &
while [ "$(wc -l < "$2")" -lt 3 ]; do sleep 0.05; done
echo '{"epoch": 1, "accuracy": 0.5}'
"""


def family(path: Path) -> list[int]:
    need("procfs")
    return [int(line) for line in path.read_text().split()] if path.exists() else []


@pytest.mark.parametrize(
    "after", ["sleep 300", "trap '' TERM; while true; do sleep 1; done", "exit 0"], ids=["obeys", "deaf", "ended"]
)
def test_a_stop_ends_all_that_the_program_started(home: Path, tmp_path: Path, after: str) -> None:
    pids = tmp_path / "pids"
    task = shell(f"{FAMILY}\n{after}", arguments=f"{{lr}} {pids}", grace=0.3)
    outcome, _, _ = run(task, stop_at=1)
    assert outcome is Outcome.STOPPED
    assert len(family(pids)) == 3
    assert not any(map(is_running, family(pids)))


def test_what_a_program_leaves_running_is_ended_when_it_has_completed(home: Path, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    outcome, why, _ = run(shell(FAMILY, arguments=f"{{lr}} {pids}", grace=0.3))
    assert (outcome, why) == (Outcome.COMPLETED, "")
    assert not any(map(is_running, family(pids)))


def test_a_stop_gives_the_program_time_to_end_by_itself(home: Path) -> None:
    task = shell(
        "trap 'echo saved > saved.txt; exit 0' TERM; echo '{\"epoch\": 1, \"accuracy\": 1}'; sleep 300 & wait", in_place=True
    )
    assert run(task, stop_at=1)[0] is Outcome.STOPPED
    assert (home / "saved.txt").read_text() == "saved\n"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_tuner_that_is_ended_leaves_no_program_behind(home: Path, tmp_path: Path, number: signal.Signals) -> None:
    pids = tmp_path / "pids"
    (home / "train.sh").write_text(f"{FAMILY}\nsleep 300")
    (home / "space.toml").write_text('[lr]\ntype = "float"\nlow = 0\nhigh = 1\n')
    command = ["tune", "--command", f"sh train.sh {{lr}} {pids}", "--space", "space.toml", "--metric", "accuracy"]
    tuner = subprocess.Popen(
        [sys.executable, "-m", "evenhand", *command, "--trials", "3", "--grace", "0.3"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(Path(evenhand.__file__).parents[1])},
    )
    wait_for(lambda: len(family(pids)), "the program runs", lambda count: count == 3)
    tuner.send_signal(number)
    tuner.wait(PATIENCE_SECONDS)
    wait_for(lambda: [pid for pid in family(pids) if is_running(pid)], "all of it has ended", lambda left: not left)


# Folders, variables, files


def test_a_program_starts_in_a_folder_of_its_own_where_it_finds_all_of_here(home: Path) -> None:
    (home / "in").mkdir()
    (home / "in" / "x.csv").write_text("0.75")
    task = shell(
        'echo weights > model.bin; ls > "$2"; echo "{\\"accuracy\\": $(cat in/x.csv)}"', arguments="{lr} {folder}/listed"
    )
    result = evenhand.tune(task, trials=2, parallel=2, progress=False)
    assert [trial.value for trial in result.trials] == [0.75, 0.75]
    assert sorted(path.name for path in home.iterdir()) == ["in", "train.sh"]
    for trial in result.trials:
        work = home.parent / "data" / "trials" / place_of(result.session, trial.number, trial.attempt) / "work"
        assert sorted(path.name for path in work.iterdir()) == ["listed", "model.bin"]
        assert (work / "listed").read_text().split() == ["in", "listed", "model.bin", "train.sh"]


def test_in_place_a_program_starts_where_the_command_was_given(home: Path) -> None:
    outcome, why, _ = run(shell("pwd > here.txt; echo '{\"accuracy\": 1}'", in_place=True))
    assert (outcome, why) == (Outcome.COMPLETED, "")
    assert (home / "here.txt").read_text().strip() == str(home)


def test_a_script_above_the_folder_is_found(home: Path) -> None:
    (home.parent / "above.sh").write_text("echo '{\"accuracy\": 1}'")
    assert run(program("sh ../above.sh {lr}", Space([LR]), metric="accuracy"))[0] is Outcome.COMPLETED


def test_the_environment_and_a_file_hold_the_configuration(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENHAND_AGENT_TOKEN", "secret")
    space = Space([LR, Hyperparameter("size-1", Choice((None, (64, 32)))), EPOCHS])
    (home / "train.sh").write_text(
        'env > "$EVENHAND_FOLDER/../env"; cp "$1" "$EVENHAND_FOLDER/../copy"; echo "{\\"accuracy\\": 1}"'
    )
    task = program("sh train.sh {configuration}", space, metric="accuracy", environment=True, threads=3)
    result = evenhand.tune(task, trials=1, progress=False)
    (trial,) = result.trials
    folder = home.parent / "data" / "trials" / place_of(result.session, 1, trial.attempt)
    assert json.loads((folder / "copy").read_text()) == json.loads(json.dumps(trial.configuration))
    variables = dict(line.split("=", 1) for line in (folder / "env").read_text().splitlines() if "=" in line)
    ours = {name: value for name, value in variables.items() if name.startswith("EVENHAND_")}
    assert ours == {
        "EVENHAND_LR": show(trial.configuration["lr"]),
        "EVENHAND_SIZE_1": json.dumps(trial.configuration["size-1"]),
        "EVENHAND_EPOCHS": str(trial.configuration["epochs"]),
        "EVENHAND_NUMBER": "1",
        "EVENHAND_SEED": str(result.session.tuning_seed),
        "EVENHAND_FOLDER": str(folder / "work"),
        "EVENHAND_CONFIGURATION": str(folder / "configuration.json"),
    }
    assert variables["OMP_NUM_THREADS"] == "3"


def test_the_version_holds_the_command_its_files_and_the_space_but_not_the_folder(home: Path, tmp_path: Path) -> None:
    version = shell(LOOP).version
    assert shell(LOOP).version == version
    assert shell(f"{LOOP}\n# more").version != version
    assert shell(LOOP, Hyperparameter("lr", Float(0, 2))).version != version
    assert shell(LOOP, arguments="{lr} 3").version != version
    other = tmp_path / "other"
    other.mkdir()
    (other / "train.sh").write_text(LOOP)
    assert program("sh train.sh {lr}", Space([LR]), metric="accuracy", folder=other).version == version
    (home / "helper.py").write_text("A = 1")
    (home / "train.py").write_text("import helper")
    script = program("sh train.py {lr}", Space([LR]), metric="accuracy")
    (home / "helper.py").write_text("A = 1  # said so")
    assert program("sh train.py {lr}", Space([LR]), metric="accuracy").version == script.version
    (home / "helper.py").write_text("A = 2")
    assert program("sh train.py {lr}", Space([LR]), metric="accuracy").version != script.version


def test_a_script_that_changes_during_a_session_ends_it_in_words(home: Path) -> None:
    task = shell("echo '{\"accuracy\": 1}'; echo '# more' >> train.sh")
    with pytest.raises(TaskMissing, match=r"train\.sh changed since this session began"):
        evenhand.tune(task, trials=3, progress=False)


def test_what_is_printed_is_kept_within_bounds(tmp_path: Path) -> None:
    output = Output(tmp_path / "kept")
    lines = [line for _ in range(100) for line in output.take(b"0123456789abcde\n" * 1000)]
    assert len(lines) == 100_000
    assert output.take(b"\x1b[31mthe\x1b[0m\rend \xff") == ["the"]
    assert output.last_line() == ["end \N{REPLACEMENT CHARACTER}"]
    output.close()
    size = (tmp_path / "kept").stat().st_size
    assert FIRST_BYTES + LAST_BYTES <= size <= FIRST_BYTES + LAST_BYTES + 20_000
    assert tail(tmp_path / "kept").endswith("end \N{REPLACEMENT CHARACTER}")
    assert b"bytes are left out here" in (tmp_path / "kept").read_bytes()


# Sessions


def session_of(home: Path, text: str, *options: str, trials: int = 4) -> Any:
    """What `evenhand tune --command` says."""
    (home / "train.sh").write_text(text)
    (home / "space.toml").write_text(
        'constraints = ["lr < 0.9"]\n[lr]\ntype = "float"\nlow = 0\nhigh = 1\n'
        '[epochs]\ntype = "integer"\nlow = 1\nhigh = 9\nfidelity = true\n'
    )
    command = ["tune", "--command", "sh train.sh {lr} {epochs}", "--space", "space.toml", "--trials", str(trials), *options]
    return CliRunner().invoke(app, command, env={"COLUMNS": "200"})


@pytest.mark.slow
def test_the_command_line_tunes_a_program_and_says_that_test_is_not_scored(home: Path) -> None:
    said = session_of(home, LOOP, "--metric", "accuracy", "--maximize", "--method", "tpe")
    assert said.exit_code == 0, said.output
    assert "4 trials (4 completed)" in said.output
    assert "test           not scored: the task has no test data that no tuner saw" in said.output
    lab = Lab.connect()
    assert all(trial.value == float(f"0.{trial.configuration['epochs']}") for trial in lab.sessions.get(1).trials)
    lab.close()
    replayed = CliRunner().invoke(app, ["replay", "1", "2"])
    assert replayed.exit_code == 0, replayed.output


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--command", "sh train.sh {lr}", "--metric", "accuracy"], "got --command without --space"),
        (["--command", "sh train.sh {lr}", "--space", "space.toml"], "got --command without --metric"),
        (["--space", "space.toml"], "got --space without --command"),
        ([], "got neither TASK nor --command"),
        (["practice", "--command", "sh train.sh {lr}"], "got --command and practice"),
        (["--command", "sh train.sh", "--space", "space.toml", "--metric", "accuracy"], "it uses no {lr}"),
    ],
)
def test_options_that_do_not_go_together_are_refused(home: Path, options: list[str], words: str) -> None:
    (home / "train.sh").write_text(LOOP)
    (home / "space.toml").write_text('[lr]\ntype = "float"\nlow = 0\nhigh = 1\n')
    outcome = CliRunner().invoke(app, ["tune", *options, "--trials", "1"])
    assert outcome.exit_code != 0
    assert words in f"{outcome.output}{outcome.exception}"
    assert not (home.parent / "data" / "evenhand.sqlite").exists()


@pytest.mark.slow
def test_a_stopping_rule_ends_programs_while_they_run(home: Path) -> None:
    slow = 'for e in 1 2 3 4; do echo "{\\"epoch\\": $e, \\"accuracy\\": $1}"; sleep 0.4; done'
    task = shell(slow, LR, EPOCHS, arguments="{lr} {epochs}")
    result = evenhand.tune(task, trials=9, epochs_per_trial=4, stopping="median", progress=False)
    assert {trial.outcome for trial in result.trials} == {Outcome.COMPLETED, Outcome.STOPPED}


@pytest.mark.parametrize(("text", "count"), [(LOOP, 3), ("echo '{\"accuracy\": 0.5}'", 1)])
def test_a_promoted_program_trains_again_and_reports_what_is_new(home: Path, text: str, count: int) -> None:
    measured: list[Measurement] = []
    task = shell(text, LR, EPOCHS, arguments="{lr} {epochs}")
    values = {"lr": 0.5, "epochs": 6}
    outcome, why = tasks.run_trial(task, values, seed=7, evaluation=False, report=measured.append, epochs_before=3)
    assert (outcome, why, len(measured), measured[-1].epoch) == (Outcome.COMPLETED, None, count, 6)


@pytest.mark.slow
def test_a_program_keeps_the_contract_of_tasks(home: Path) -> None:
    check_task(shell(LOOP, LR, EPOCHS, arguments="{lr} {epochs}"))


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab.connect(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    yield lab
    lab.close()


@pytest.fixture
def agent(lab: Lab) -> Iterator[None]:
    """An agent with worker processes."""
    agent_id, _ = lab.agents.add("here", 1)
    stop = threading.Event()
    thread = threading.Thread(target=run_agent, args=(lab, agent_id), kwargs={"slots": 1, "stop": stop})
    thread.start()
    yield
    stop.set()
    thread.join()


@pytest.mark.slow
@pytest.mark.usefixtures("agent")
def test_an_agent_s_worker_runs_a_program_and_its_end_is_the_program_s(home: Path, lab: Lab, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    session = opened(lab, shell(f"{FAMILY}\n[ $1 = 1 ] && exit 0; sleep 300", arguments=f"{{lr}} {pids}", grace=0.3).record)
    lab.submit(session.id, Configuration({"lr": 1.0}))
    trial = ended(lab, session, 1)
    assert (trial.outcome, trial.value, trial.why) == (Outcome.COMPLETED, 0.5, None)
    pids.write_text("")
    lab.submit(session.id, Configuration({"lr": 0.5}))
    training(lab, session, 2)
    assert any(map(is_running, family(pids)))
    lab.stop(session.id, 2)
    assert ended(lab, session, 2).outcome is Outcome.STOPPED
    assert not any(map(is_running, family(pids)))
    pids.write_text("")
    lab.submit(session.id, Configuration({"lr": 0.25}))
    training(lab, session, 3)
    lost = family(pids)
    parents = {int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) for pid in lost[:1]}
    worker = int(Path(f"/proc/{parents.pop()}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: [pid for pid in lost if is_running(pid)], "all of it has ended", lambda left: not left)
    lab.stop(session.id, 3)
    ended(lab, session, 3)


@pytest.mark.slow
@pytest.mark.usefixtures("agent")
def test_a_program_over_the_limit_has_its_grace_at_an_agent_too(home: Path, lab: Lab) -> None:
    slow = "trap 'sleep 7; exit 0' TERM; echo '{\"epoch\": 1, \"accuracy\": 0.5}'; sleep 300 & wait"
    session = opened(lab, shell(slow, max_seconds=1, grace=20).record)
    lab.submit(session.id, Configuration({"lr": 1.0}))
    trial = ended(lab, session, 1)
    assert (trial.outcome, trial.value) == (Outcome.STOPPED, 0.5)


@pytest.mark.slow
def test_an_agent_starts_no_programs_where_it_was_not_told_to(home: Path, lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    session = opened(lab, shell("echo ran > ran.txt; echo '{\"accuracy\": 1}'", in_place=True).record)
    lab.submit(session.id, Configuration({"lr": 1.0}))
    agent_id, _ = lab.agents.add("elsewhere", 1)
    stop = threading.Event()
    settings = {"slots": 1, "stop": stop, "programs": False}
    thread = threading.Thread(target=run_agent, args=(lab, agent_id), kwargs=settings)
    thread.start()
    wait_for(lambda: caplog.text, "the agent says so", lambda text: "start the agent with --programs" in text)
    stop.set()
    thread.join()
    assert lab.sessions.get(session.id).trials[0].is_open
    assert not (home / "ran.txt").exists()


def test_a_folder_elsewhere_is_refused(home: Path) -> None:
    for place in ("../up", "/tmp/elsewhere"):
        with pytest.raises(DataError, match="does not lie within"):
            _ = evenhand.Run(shell(LOOP), seed=0, evaluation=False, report=print, place=place).folder


@pytest.mark.slow
def test_what_a_program_printed_is_on_the_trial_s_page(home: Path, tmp_path: Path) -> None:
    db = f"sqlite:///{tmp_path / 'shown.sqlite'}"
    task = shell("echo '<b>loud</b>'; echo quiet >&2; echo '{\"accuracy\": 0.5}'")
    result = evenhand.tune(task, trials=1, progress=False, db=db)
    lab = Lab.connect(db)
    with serve(lab, Clock(), tmp_path) as site:
        caller = site.caller(Role.RESEARCHER)
        page = caller.get(f"/sessions/{result.session_id}/trials/1").text
        assert "&lt;b&gt;loud&lt;/b&gt;" in page
        assert f'href="/sessions/{result.session_id}/trials/1/output"' in page
        whole = caller.get(f"/sessions/{result.session_id}/trials/1/output")
        assert whole.headers["content-type"].startswith("text/plain")
        assert whole.text.startswith("--- standard output ---\n<b>loud</b>")
        assert "--- standard error ---\nquiet" in whole.text
        assert caller.get(f"/sessions/{result.session_id}/trials/2/output").status_code == 404
        assert site.caller().get(f"/sessions/{result.session_id}/trials/1/output").status_code in (302, 303, 401, 403)
