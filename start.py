"""Sets Evenhand up in `.venv` beside this file and starts it. It needs Python 3.11 or later and nothing else.

    python3 start.py             set up, then start the lab with a sample study
    python3 start.py ARGS        set up, then run `evenhand ARGS`
    python3 start.py test ARGS   set up with what the tests need, then run every check and pytest ARGS

What is set up is stamped, so that the next start takes no time; an interrupted set-up is repaired by the next start.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

OLDEST_PYTHON = (3, 11)
ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
LOG = VENV / "install.log"
STAMP = VENV / "evenhand.json"
HALF_MADE = VENV / "half-made"  # there while the environment itself is being made
INSTALLING = VENV / "installing"  # there while packages are being installed into it
LOCK = ROOT / ".start.lock"
BROWSER_FILES = ROOT / "evenhand" / "web" / "static" / "vendor" / "manifest.json"
STAMPED = ("pyproject.toml", "assets/package-lock.json", "hatch_build.py", "evenhand/tasks/engines/whole.cpp")

TORCH = "torch==2.13.0"
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
SAMPLE = ("serve", "--sample")
EXTRAS = frozenset({"postgres", "report", "torch"})  # of the project; what few need is installed by name (docs/installing.md)
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM_ON_MAC = "/Applications/Chromium.app/Contents/MacOS/Chromium"
NO_CHROMIUM = (
    "Chromium was not found, which the browser tests need. Install it (Debian: apt install chromium; "
    "Fedora: dnf install chromium; macOS: brew install --cask chromium) or name one in EVENHAND_CHROMIUM."
)


class SetupError(Exception):
    """The set-up failed; the message says what to do."""


class Progress:
    """One line a step on stderr with the time it took; redrawn while the step lasts where stderr is a terminal."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._number = 0
        self._title = ""
        self._started = self._shown = time.monotonic()
        self._live = sys.stderr.isatty()

    def begin(self, title: str) -> None:
        """Starts the next step."""
        self._number += 1
        self._title = f"[{self._number}/{self._steps}] {title}"
        self._started = self._shown = time.monotonic()
        if not self._live:
            say(f"{self._title} ...")

    def tick(self, activity: str) -> None:
        """Shows what the step is at: at every call on a terminal, else every 15 seconds."""
        now = time.monotonic()
        line = f"{self._title} ... {now - self._started:.0f} s  {activity.strip()[:100]}"
        if self._live:
            print(f"\r\033[K{line[: shutil.get_terminal_size().columns - 1]}", end="", file=sys.stderr, flush=True)
        elif now - self._shown >= 15:
            self._shown = now
            say(line)

    def end(self, verdict: str) -> None:
        """Ends the step."""
        say(f"{chr(13) + chr(27) + '[K' if self._live else ''}{self._title}: {verdict}, {self.seconds:.0f} s")

    @property
    def seconds(self) -> float:
        """How long the step has lasted."""
        return time.monotonic() - self._started


def say(line: str) -> None:
    """Prints a line on stderr, so that a command's own output stays clean."""
    print(line, file=sys.stderr, flush=True)


# --- what is there


def inputs(root: Path, python: str) -> str:
    """Hash of all that decides what is installed: the declared requirements, the Python, the place."""
    digest = hashlib.sha256(f"{python}\n{root}\n".encode())
    for name in STAMPED:
        digest.update(hashlib.sha256((root / name).read_bytes()).digest())
    return digest.hexdigest()


def stamp_covers(stamp: Mapping[str, object], digest: str, extras: Collection[str]) -> bool:
    """Whether a stamp says that these extras are installed from these inputs."""
    installed = stamp.get("extras")
    return stamp.get("inputs") == digest and isinstance(installed, list) and set(extras) <= set(installed)


def is_ready(extras: Collection[str]) -> bool:
    """Whether there is nothing to set up."""
    if HALF_MADE.exists() or INSTALLING.exists() or not BROWSER_FILES.exists() or not program("evenhand").exists():
        return False
    try:
        stamp = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return False
    python = python_version()
    return python is not None and stamp_covers(stamp, inputs(ROOT, python), extras)


def program(name: str) -> Path:
    """A program of the environment."""
    return VENV / "Scripts" / f"{name}.exe" if os.name == "nt" else VENV / "bin" / name


def python_version() -> str | None:
    """Major and minor version of the environment's Python, or None where it does not run."""
    command = [str(program("python")), "-I", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def site_packages() -> list[Path]:
    """The folders that the environment's packages lie in."""
    return [*VENV.glob("lib/python*/site-packages"), *VENV.glob("Lib/site-packages")]


def torch_version() -> str | None:
    """Version of the environment's PyTorch, or None."""
    folders = [str(folder) for folder in site_packages()]
    return next((found.version for found in importlib.metadata.distributions(name="torch", path=folders)), None)


def torch_requirement(root: Path) -> str:
    """What the project asks for in its extra `torch`."""
    import tomllib

    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    return str(project["optional-dependencies"]["torch"][0])


def satisfies(version: str, requirement: str) -> bool:
    """Whether a version lies in a range such as `torch>=2.6,<2.14`; what follows the version's numbers is ignored."""

    def numbers(text: str) -> tuple[int, ...]:
        found = re.match(r"\d+(\.\d+)*", text)
        return tuple(int(part) for part in found[0].split(".")) if found else ()

    bounds = re.findall(r"(>=|<)\s*([\d.]+)", requirement)
    return all((numbers(version) >= numbers(bound)) == (sign == ">=") for sign, bound in bounds)


def has_nvidia_gpu() -> bool:
    """Whether the machine has an NVIDIA GPU with a driver."""
    if Path("/proc/driver/nvidia/version").exists():
        return True
    tool = shutil.which("nvidia-smi")
    return tool is not None and subprocess.run([tool, "-L"], capture_output=True, check=False).returncode == 0


def find_chromium() -> str | None:
    """Path of a Chromium for the browser tests, or None."""
    named = os.environ.get("EVENHAND_CHROMIUM")
    for name in [named] if named else [*CHROMIUM_NAMES, CHROMIUM_ON_MAC]:
        path = shutil.which(name)
        if path is not None:
            return path
    return None


# --- setting up


@contextlib.contextmanager
def only_one() -> Iterator[tuple[int, ...]]:
    """Holds the lock of the set-up and yields its descriptor, for pip to hold it too if this process is killed."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield ()
        return
    with LOCK.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another start.py, or what it left running, is still setting up here; waiting for it.")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield (file.fileno(),)


class Installer:
    """Runs the commands of a set-up, showing progress; what they print goes to the log."""

    def __init__(self, steps: int, held: tuple[int, ...] = ()) -> None:
        self.progress = Progress(steps)
        self._held = held

    def attempt(self, command: Sequence[str]) -> bool:
        """Runs a command; whether it succeeded."""
        VENV.mkdir(exist_ok=True)
        with LOG.open("a") as log:
            print(f"\n$ {shlex.join(command)}", file=log, flush=True)
            environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            try:
                process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, pass_fds=self._held
                )
            except OSError as error:
                print(error, file=log)
                return False
            try:
                while True:
                    try:
                        return process.wait(0.2) == 0
                    except subprocess.TimeoutExpired:
                        self.progress.tick(log_tail(1))
            finally:
                if process.poll() is None:
                    process.terminate()
                    process.wait()

    def step(self, title: str, *commands: Sequence[str]) -> None:
        """Runs a step: the commands in order, until one succeeds.

        Raises:
            SetupError: none did; the message ends with what the last one said.
        """
        self.progress.begin(title)
        for number, command in enumerate(commands):
            if number > 0:
                self.progress.tick("trying the next source")
            if self.attempt(command):
                self.progress.end("done")
                return
        self.progress.end("failed")
        raise SetupError(f"{log_tail(25)}\n\n{title} failed. All that was said is in {LOG}")


def log_tail(lines: int) -> str:
    """The last lines of the log that are not blank."""
    with LOG.open("rb") as log:
        log.seek(max(0, log.seek(0, os.SEEK_END) - 20_000))
        text = log.read().decode(errors="replace")
    return "\n".join([line.rstrip() for line in text.splitlines() if line.strip()][-lines:])


def pip(*arguments: str) -> list[str]:
    """A command of the environment's pip."""
    options = ("--disable-pip-version-check", "--no-input", "--progress-bar", "off")
    return [str(program("python")), "-m", "pip", "install", *options, *arguments]


def torch_commands(system: str, nvidia: bool) -> list[list[str]]:
    """The ways to install PyTorch, in the order to try them.

    pip's own index has builds for NVIDIA GPUs only on Linux, several GB of them; PyTorch's CPU index comes first where
    there is none, without retries, since not every machine reaches it.
    """
    own_index = pip(TORCH)
    if system != "Linux" or nvidia:
        return [own_index]
    return [pip("--index-url", TORCH_CPU_INDEX, "--retries", "0", "--timeout", "10", TORCH), own_index]


def make_environment(installer: Installer) -> None:
    """Makes `.venv`, anew where it was left half-made or its Python does not run, is too old or has no pip."""
    if VENV.exists():
        say(f"{VENV} has no Python that can be used; making it anew.")
        shutil.rmtree(VENV)
    VENV.mkdir()
    HALF_MADE.touch()
    try:
        installer.step("Making .venv", [sys.executable, "-m", "venv", str(VENV)])
    except SetupError as error:
        if platform.system() == "Linux" and importlib.util.find_spec("ensurepip") is None:
            package = f"python3.{sys.version_info.minor}-venv"
            raise SetupError(f"This Python comes without ensurepip. On Debian: apt install {package}") from error
        raise
    HALF_MADE.unlink()


def environment_works() -> bool:
    """Whether `.venv` is whole, with a Python that is new enough and has pip."""
    python = python_version()
    if HALF_MADE.exists() or python is None or tuple(map(int, python.split("."))) < OLDEST_PYTHON:
        return False
    command = [str(program("python")), "-I", "-c", "import pip"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def is_whole(package: Path) -> bool:
    """Whether all files that an installed package (its `.dist-info`) records are there in full.

    pip writes `INSTALLER` after a package's files, and the record names their sizes.
    """
    try:
        with (package / "RECORD").open(newline="", encoding="utf-8") as record:
            rows = [(package.parent / row[0], row[2]) for row in csv.reader(record) if len(row) == 3]
        sizes = [(file.stat().st_size, size) for file, size in rows if file.suffix != ".pyc"]
    except (OSError, UnicodeDecodeError):
        return False
    return (package / "INSTALLER").exists() and all(not size or found == int(size) for found, size in sizes)


def forget_broken_packages() -> None:
    """Makes pip install anew whatever a killed pip left in part, which it would take for installed."""
    for folder in site_packages():
        for package in folder.glob("*.dist-info"):
            if not is_whole(package):
                shutil.rmtree(package)
        for leftover in folder.glob("~*"):
            shutil.rmtree(leftover, ignore_errors=True)


def set_up(extras: Collection[str]) -> None:
    """Installs the project with these extras into `.venv`, unless that is done.

    Raises:
        SetupError: something could not be installed.
    """
    if is_ready(extras):
        return
    with only_one() as held:
        if is_ready(extras):
            return
        started = time.monotonic()
        make = not environment_works()
        installer = Installer(3 if make else 2, held)
        if make:
            make_environment(installer)
        elif INSTALLING.exists():
            say("The last set-up did not finish; repairing it.")
            forget_broken_packages()
        INSTALLING.touch()
        STAMP.unlink(missing_ok=True)
        install(installer, extras)
        stamp = {"inputs": inputs(ROOT, python_version() or ""), "extras": sorted(extras)}
        STAMP.write_text(json.dumps(stamp))
        INSTALLING.unlink()
        say(f"Set up in {time.monotonic() - started:.0f} s.")


def install(installer: Installer, extras: Collection[str]) -> None:
    """Installs PyTorch, unless one that fits is there, and the project."""
    found = torch_version()
    if found is not None and satisfies(found, torch_requirement(ROOT)):
        installer.progress.begin("PyTorch")
        installer.progress.end(f"{found} is there")
    else:
        installer.step("Installing PyTorch", *torch_commands(platform.system(), has_nvidia_gpu()))
    installer.step("Installing Evenhand", pip("--editable", f"{ROOT}[{','.join(sorted(extras))}]"))


# --- tests


def apt_prefix() -> list[str] | None:
    """What to put before an `apt-get` command on Debian, or None where this user may not run one without a password."""
    try:
        system = Path("/etc/os-release").read_text()
    except OSError:
        return None
    if not re.search(r'^ID="?debian"?$', system, re.MULTILINE) or shutil.which("apt-get") is None:
        return None
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if sudo is None or subprocess.run([sudo, "-n", "true"], capture_output=True, check=False).returncode != 0:
        return None
    return [sudo, "-n"]


def set_up_chromium() -> None:
    """Installs Chromium where it is missing and may be; says what to install where it may not."""
    prefix = apt_prefix()
    if find_chromium() is None and prefix is not None:
        installer = Installer(2)
        with contextlib.suppress(SetupError):  # the line below says what is missing
            installer.step("Reading Debian's package lists", [*prefix, "apt-get", "update"])
            command = ["apt-get", "install", "--yes", "--no-install-recommends", "chromium"]
            installer.step("Installing Chromium", [*prefix, *command])
    if find_chromium() is None:
        say(NO_CHROMIUM)


def run_checks(pytest_arguments: Sequence[str]) -> int:
    """Runs every check, prints a summary, and returns the exit code: 0 only if all passed."""
    python = str(program("python"))
    checks = {
        "ruff": [python, "-m", "ruff", "check"],
        "format": [python, "-m", "ruff", "format", "--check", "--quiet"],
        "imports": [str(program("lint-imports"))],
        "mypy": [python, "-m", "mypy"],
        "scripts": [python, str(ROOT / "scripts" / "javascript" / "check.py")],
        "docs": [python, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(ROOT / "build" / "site")],
        "pytest": [python, "-m", "pytest", *pytest_arguments],
    }
    path = os.pathsep.join([str(program("python").parent), os.environ.get("PATH", "")])
    environment = {**os.environ, "PATH": path, "VIRTUAL_ENV": str(VENV), "NO_MKDOCS_2_WARNING": "1"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # else each of the hundreds of processes that tests start compiles all anew
    summary, worst = [], 0
    for name, command in checks.items():
        print(f"\n== {name}", flush=True)
        started = time.monotonic()
        code = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
        worst = max(worst, abs(code))
        verdict = "passed" if code == 0 else f"FAILED with exit code {code}"
        summary.append(f"{name:8}{time.monotonic() - started:6.1f} s  {verdict}")
    print("\n== summary", *summary, sep="\n", flush=True)
    return min(worst, 1)


# --- the two commands


def run_evenhand(arguments: Sequence[str]) -> int:
    """Becomes `evenhand ARGUMENTS`; where a process cannot become another, runs it and returns its exit code."""
    command = [str(program("evenhand")), *arguments]
    if os.name != "nt":
        os.execv(command[0], command)
    return subprocess.run(command, check=False).returncode


def newer_python() -> str:
    """A sentence that names a Python on this machine that is new enough, or nothing."""
    names = [f"python3.{minor}" for minor in range(20, OLDEST_PYTHON[1] - 1, -1)]
    found = next((name for name in names if shutil.which(name)), None)
    return f" This machine has one: {found} start.py" if found else ""


def main(arguments: Sequence[str]) -> int:
    """Runs the command that the arguments name and returns its exit code."""
    if sys.version_info < OLDEST_PYTHON:
        say(f"Evenhand needs Python 3.11 or later; this is Python {platform.python_version()}.{newer_python()}")
        return 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    testing = arguments[:1] == ["test"]
    try:
        set_up({*EXTRAS, "docs", "test"} if testing else EXTRAS)
        if testing:
            set_up_chromium()
            return run_checks(arguments[1:])
        return run_evenhand(arguments or SAMPLE)
    except SetupError as error:
        say(f"\n{error}")
        return 1
    except KeyboardInterrupt:
        say("\nInterrupted; the next start goes on from here.")
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
