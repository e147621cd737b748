"""The documented path from a study's file to its report, by the commands of docs/studies.md, with 31 simulated participants."""

import re
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from evenhand import rehearsal
from evenhand.lab import Lab

ROOT = Path(__file__).parent.parent
CHANGES = (("minutes = 120", "trials = 8"), ('contact = ""', 'contact = "us"'), ("evaluation_seeds = 10", "evaluation_seeds = 3"))


def evenhand(*arguments: str, expect: int = 0) -> str:
    command = [sys.executable, "-m", "evenhand.cli", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout


@pytest.mark.timeout(300)
def test_the_documented_path_from_the_file_to_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path / "data"))
    study, report = tmp_path / "study", tmp_path / "report.html"
    evenhand("study", "new", str(study))
    text = (study / "study.toml").read_text()
    text = re.sub(r'task = "black-magic".*\n.*\n', f'task = "{ROOT / "examples" / "digits_mlp.py"}:train"\n', text)
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
    port = rehearsal.free_port()
    command = [sys.executable, "-m", "evenhand.cli", "serve", "--port", str(port), "--slots", "2"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        rehearsal.wait_for_server(address := f"http://127.0.0.1:{port}")
        assert server.stdout is not None
        link = next(found[0] for line in server.stdout if (found := re.search(r"/signin/\S+", line)))
        assert httpx.post(f"{address}{link}", trust_env=False).status_code == 303
        wait_for_agent()
        assert "--accept-warnings" in evenhand("study", "publish", "study", expect=1)
        assert "is live at version 1" in evenhand("study", "publish", "study", "--accept-warnings")
        many = ("--participants", "31", "--trials", "3", "--random", "20", "--limit", "epochs=1:2")
        evenhand("bots", "study", *many, "--url", address)
    finally:
        server.terminate()
        server.wait(timeout=30)
    evenhand("study", "report", "study", "--mode", "simulated", "--out", str(report))
    page = report.read_text()
    assert "Simulated participants: no human data" in page
    assert page.count("<figure") > 25
    assert "still collecting" in evenhand("study", "report", "study", expect=1)
    assert str(tmp_path) not in page


def wait_for_agent() -> None:
    lab = Lab.connect()
    until = time.monotonic() + 120
    while not lab.agents() and time.monotonic() < until:
        time.sleep(0.2)
    lab.close()
