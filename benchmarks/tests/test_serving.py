"""The benchmark of serving, small: what it counts is there, nothing is lost, and the record says it. Not how fast."""

import json
from pathlib import Path

import pytest

from benchmarks import serving
from benchmarks.serving import Wishes
from tests.components import need

need("procfs")  # where the server's CPU time is read


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "SETTLE_SECONDS", 1.0)
    monkeypatch.setattr(serving, "TICK_SECONDS", 0.2)


@pytest.mark.slow
def test_agents_are_answered_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["serving", "agents", "--agents", "4", "--seconds", "2", "--folder", str(tmp_path), "--out", str(tmp_path)]
    monkeypatch.setattr("sys.argv", arguments)
    serving.main()
    (path,) = tmp_path.glob("*-serving-agents.json")
    record = json.loads(path.read_text())
    measured = record["found"]
    assert measured["measurements lost"] == 0
    assert measured["measurements acknowledged"] >= 4 * 20 * 5
    assert measured["trainings"] >= 4
    assert {
        kind: measured["answers, ms"][kind]["count"] > 0 for kind in ("claim", "submit", "measure", "finish")
    } == dict.fromkeys(("claim", "submit", "measure", "finish"), True)
    assert 0 < measured["commits a second"] <= 1.5 * measured["requests a second"], "each request writes once at most"
    assert record["command"] == "python -m benchmarks.serving agents --agents 4 --rate 20 --seed 1 --seconds 2"
    assert record["errors the server told"] == 0
    assert "claim, median, ms" in capsys.readouterr().out


@pytest.mark.slow
def test_watchers_get_every_measurement_once(tmp_path: Path) -> None:
    record = serving.run("watchers", Wishes(watchers=30, sessions=2, seconds=3), tmp_path)
    measured = record["found"]
    assert (measured["measurements lost"], measured["measurements left out or twice"], measured["connections lost"]) == (0, 0, 0)
    assert measured["messages"] >= 30  # each watcher has one at least, however slow the machine is
    assert measured["age of a measurement, ms"]["count"] >= 30 * 20 * 2
    assert measured["age of the newest in a message, ms"]["median"] <= measured["age of a measurement, ms"]["95 %"]
    assert set(record["goals"]) == {
        "CPU a message, microseconds",
        "age of a measurement, 95 %, ms",
        "age of the newest in a message, 95 %, ms",
        "messages a second and connection",
    }
    assert record["errors the server told"] == 0


@pytest.mark.slow
def test_what_lacks_a_measurement_is_noticed() -> None:
    watcher = serving.Watcher(1, 1, "token", start=0.0)
    watcher._answered = True
    rows = [[0, 0, None, 1.0, None, 0.0], [1, 10, None, 1.0, None, 0.0], [3, 30, None, 1.0, None, 0.0]]
    data = json.dumps({"number": 1, "attempt": 1, "reset": False, "measurements": rows})
    event = f"event: points\ndata: {data}\nid: 1.1.3\n\n".encode()
    whole = b"%x\r\n%s\r\n" % (len(event), event)
    for cut in (whole[:7], whole[7:20], whole[20:]):  # a message may come in pieces
        watcher.data_received(cut)
    assert (watcher.gaps, watcher.last, len(watcher.ages), len(watcher.messages)) == (1, 3, 3, 1)
