"""What a newcomer does with an installed Evenhand, step by step.

README's three lines, the sample study's server, the plug-in example, a task that needs PyTorch. Run by `scripts/wheel`, with the
Python of the environment that Evenhand and the example are installed in, away from their source:

    python -I first_steps.py README.md without|with
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.request import urlopen

SERVER_SECONDS = 120.0  # within which the server says where it is
EVENHAND = (sys.executable, "-I", "-m", "evenhand")


def main(readme: Path, has_torch: bool) -> None:
    """Every step in turn; AssertionError, with what was said, where one goes wrong."""
    import evenhand

    assert "site-packages" in str(evenhand.__file__), f"{evenhand.__file__} is not the installed package"
    with tempfile.TemporaryDirectory(prefix="evenhand-first-steps-") as folder:
        environment = {**os.environ, "EVENHAND_DATA": folder, "COLUMNS": "200"}
        assert said(environment, "--version").strip() == evenhand.__version__
        three_lines(readme, environment)
        serve_sample(environment, has_torch)
        use_plug_in(environment)
        train_with_torch(environment, has_torch)


def said(environment: Mapping[str, str], *arguments: str, code: int = 0) -> str:
    """What the command prints, which has to end with this exit code."""
    done = subprocess.run([*EVENHAND, *arguments], env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == code, f"evenhand {' '.join(arguments)}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def three_lines(readme: Path, environment: Mapping[str, str]) -> None:
    """README's first lines of Python, as they stand there."""
    block = re.search(r"```python\n(.*?)```", readme.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None, f"{readme} has no Python"
    command = [sys.executable, "-I", "-c", block[1]]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{block[1]}\n{done.stdout}{done.stderr}"
    assert "test" in done.stdout, done.stdout
    print(f"README's lines of Python:\n{done.stdout.rstrip()}")


def serve_sample(environment: Mapping[str, str], has_torch: bool) -> None:
    """The sample study is served: its link signs the researcher in, its script comes with the package, and Ctrl-C ends it."""
    command = [*EVENHAND, "serve", "--sample", "--port", str(free_port()), "--slots", "1"]
    with tempfile.TemporaryFile("w+") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            output, link = "", None
            until = time.monotonic() + SERVER_SECONDS
            while link is None and server.poll() is None and time.monotonic() < until:
                time.sleep(0.1)
                log.seek(0)
                output = log.read()
                link = re.search(r"Stop with Ctrl-C", output) and re.search(r"http://\S+/signin/\S+", output)
            assert link, output
            address = link[0].partition("/signin/")[0]
            page = fetched(link[0])
            assert "Sign in" in page, page
            assert "htmx" in fetched(f"{address}/static/vendor/htmx.min.js")
        finally:
            server.send_signal(signal.SIGINT)
            code = server.wait(timeout=60)  # 130 says that Ctrl-C ended it; 0 comes of a shell that starts it without one
        assert code in (0, 130), f"the server ended with exit code {code}"
    assert ("PyTorch is not installed" in output) is not has_torch, output
    print(output.splitlines()[0])


def fetched(url: str) -> str:
    """A page of the server, which may need a moment to answer first."""
    until = time.monotonic() + SERVER_SECONDS
    while True:
        try:
            with urlopen(url, timeout=30) as answer:
                return str(answer.read().decode())
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def use_plug_in(environment: Mapping[str, str]) -> None:
    """The plug-in example's method tunes its task, both found by their names."""
    output = said(environment, "tune", "waves", "--method", "nearby:draws=3", "--trials", "3")
    assert "nearby, 3 trials (3 completed)" in output, output
    assert "test" in output, output
    print(f"the plug-in example:\n{output.rstrip()}")


def train_with_torch(environment: Mapping[str, str], has_torch: bool) -> None:
    """A task that needs PyTorch trains, or says in words what to install."""
    tune = ("tune", "mlp", "--set", "lane=stacked", "--set", "scale=0.01", "--set", "least_epochs=1")
    budget = ("--trials", "1", "--epochs-per-trial", "1")
    output = said(environment, *tune, *budget, code=0 if has_torch else 1)
    assert ("pip install 'evenhand[torch]'" in output) is not has_torch, output
    print(f"a task that needs PyTorch:\n{output.rstrip()}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] == "with")
