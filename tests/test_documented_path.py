"""The documented path from a study's file to its report, by the commands of docs/studies.md, with 31 simulated participants."""

import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from evenhand.lab.lab import Lab
from evenhand.rehearsal import run
from tests.waiting import PATIENCE_SECONDS, wait_for

ROOT = Path(__file__).parent.parent
CHANGES = (("minutes = 120", "trials = 8"), ('contact = ""', 'contact = "us"'), ("evaluation_seeds = 10", "evaluation_seeds = 3"))


def evenhand(*arguments: str, expect: int = 0) -> str:
    command = [sys.executable, "-m", "evenhand.cli.main", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr if expect else done.stdout


@pytest.mark.slow
def test_the_documented_path_from_the_file_to_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path / "data"))
    study, report = tmp_path / "study", tmp_path / "report.html"
    evenhand("study", "new", str(study))
    text = (study / "study.toml").read_text()
    text = re.sub(r'task = "black-magic".*\n.*\n', 'task = "evenhand.examples.digits_mlp:train"\n', text)
    for old, new in (
        ("minutes = 120", "trials = 8"),
        ('contact = ""', 'contact = "us"'),
        ("evaluation_seeds = 10", "evaluation_seeds = 3"),
    ):
        text = text.replace(old, new)
    (study / "study.toml").write_text(text)
    assert "0 errors, 1 warning" in evenhand("study", "check", str(study))
    assert "version 1" in evenhand("study", "add", str(study))
    assert "blocks" in evenhand("study", "publish", "study", expect=1), "published without an agent"
    with run.held_port() as port:
        served(study, port)
    evenhand("study", "report", "study", "--mode", "simulated", "--out", str(report))
    page = report.read_text()
    assert "Simulated participants: no human data" in page
    assert page.count("<figure") > 25
    assert "still collecting" in evenhand("study", "report", "study", expect=1)
    assert str(tmp_path) not in page


def served(study: Path, port: int) -> None:
    """What is done while a server runs: the study is published, and 31 take part."""
    command = [sys.executable, "-m", "evenhand.cli.main", "serve", "--port", str(port), "--slots", "2"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        run.wait_for_server(address := f"http://127.0.0.1:{port}")
        assert server.stdout is not None
        link = next(match[0] for line in server.stdout if (match := re.search(r"/signin/\S+", line)))
        assert httpx.post(f"{address}{link}", trust_env=False).status_code == 303
        lab = Lab.connect()
        wait_for(lab.agents.all, "an agent is there")
        lab.close()
        assert "--accept-warnings" in evenhand("study", "publish", "study", expect=1)
        assert "is live at version 1" in evenhand("study", "publish", "study", "--accept-warnings")
        many = ("--participants", "31", "--trials", "3", "--random", "20", "--limit", "epochs=1:2")
        evenhand("bots", "study", *many, "--url", address)
    finally:
        server.terminate()
        server.wait(PATIENCE_SECONDS)
