"""The environments of the peers that `benchmarks.paired` sets ours against: each of its own, with pinned versions.

    python -m benchmarks.peers                       (lists them, and which are made)
    python -m benchmarks.peers keras ray [--folder DIR]

They lie in a folder `peers` of the user's cache directory, in what EVENHAND_PEERS names, or in what `--folder` names, never
in the repository. Making one takes a minute or two with pip; what is made and has the versions named here is left as it is.

Optuna is one of Evenhand's own dependencies, so its sides run in the environment that runs the benchmarks. Where a peer trains in
PyTorch, its environment sees the packages of the running one behind its own (a .pth file), so that both train with the very
same PyTorch and it is not downloaded twice; is there none, PyTorch is installed.
"""

import argparse
import json
import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import platformdirs

from evenhand.errors import NotFound

MADE_FILE = "made.json"  # the pins that an environment was made with: the last file that is written
BEHIND_FILE = "behind_its_own.pth"


@dataclass(frozen=True)
class Environment:
    """What pip installs, and of which packages a record gives the versions. torch: whether its sides train in PyTorch."""

    pins: tuple[str, ...]
    named: tuple[str, ...]
    torch: bool = False


ENVIRONMENTS: Mapping[str, Environment] = {
    # Keras Tuner imports TensorBoard for every trial; without it all of them fail.
    "keras": Environment(
        ("keras==3.15.1", "keras-tuner==1.4.8", "tensorboard==2.20.0", "tensorflow-cpu==2.21.0"),
        ("keras", "keras-tuner", "tensorflow-cpu", "numpy"),
    ),
    "ray": Environment(("ray[tune]==2.60.0",), ("ray", "torch", "numpy"), torch=True),
    "dashboard": Environment(("optuna-dashboard==0.21.0", "optuna==5.0.0"), ("optuna-dashboard", "optuna")),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="*", choices=[*ENVIRONMENTS, []])
    parser.add_argument("--folder", type=Path, help="where environments lie (default: EVENHAND_PEERS, or the user's cache)")
    options = parser.parse_args()
    if options.folder is not None:
        os.environ["EVENHAND_PEERS"] = str(options.folder.resolve())
    for name in options.name:
        make(name)
    for name, environment in ENVIRONMENTS.items():
        print(f"{name}: {_interpreter(name) if is_made(name) else 'not made'} ({', '.join(environment.pins)})")


def folder() -> Path:
    """Where the environments lie."""
    chosen = os.environ.get("EVENHAND_PEERS")
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir("evenhand"), "peers")


def is_made(name: str) -> bool:
    """Whether the environment is there, with the versions that are asked for here."""
    made = folder() / name / MADE_FILE
    return made.is_file() and json.loads(made.read_text()) == list(ENVIRONMENTS[name].pins)


def python_of(name: str) -> str:
    """The interpreter of a peer's environment; NotFound where it was not made yet."""
    if not is_made(name):
        raise NotFound(
            f"environment {name!r}: not in {folder()}, or with other versions; make it by `python -m benchmarks.peers {name}`"
        )
    return str(_interpreter(name))


@cache
def versions_of(python: str, packages: tuple[str, ...]) -> Mapping[str, str]:
    """The versions of Python and of `packages` in the environment of an interpreter."""
    ask = "import json, platform, sys; from importlib.metadata import version as of; "
    ask += "print(json.dumps({'Python': platform.python_version(), **{each: of(each) for each in sys.argv[1:]}}))"
    versions: Mapping[str, str] = json.loads(
        subprocess.run([python, "-c", ask, *packages], stdout=subprocess.PIPE, check=True).stdout
    )
    return versions


def make(name: str) -> None:
    """Make the environment, or leave it as it is where it was made with the same versions."""
    if is_made(name):
        return
    environment, path = ENVIRONMENTS[name], folder() / name
    print(f"making {path}", flush=True)
    venv.create(path, clear=True, with_pip=True)
    pins = list(environment.pins)
    if environment.torch and find_spec("torch") is None:
        pins.append("torch")
    subprocess.run([_interpreter(name), "-m", "pip", "install", "--quiet", *pins], check=True)
    if environment.torch and find_spec("torch") is not None:
        _packages(path).joinpath(BEHIND_FILE).write_text(sysconfig.get_path("purelib") + "\n")
    (path / MADE_FILE).write_text(json.dumps(pins[: len(environment.pins)]))


def _interpreter(name: str) -> Path:
    return folder() / name / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def _packages(path: Path) -> Path:
    return Path(sysconfig.get_path("purelib", "venv", {"base": str(path), "platbase": str(path)}))


if __name__ == "__main__":
    main()
