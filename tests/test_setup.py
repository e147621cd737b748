"""The set-up: what is pinned, what is fetched, what is stamped, and that nothing light imports PyTorch."""

import csv
import io
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import hatch_build
import start
from tests.components import need

ROOT = Path(start.__file__).parent
VENDOR = ROOT / hatch_build.VENDOR


def run_python(code: str) -> str:
    """What a fresh Python prints for `code`."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# --- imports


@pytest.mark.slow
def test_importing_the_package_imports_no_torch() -> None:
    assert run_python("import sys, evenhand; print('torch' in sys.modules)") == "False"


@pytest.mark.slow
def test_help_imports_no_torch() -> None:
    code = """
import sys
from evenhand.cli.main import app
from tests.components import need
try:
    app(["--help"])
except SystemExit as stop:
    assert not stop.code, stop.code
print("torch" in sys.modules)
"""
    shown = run_python(code).splitlines()
    assert shown[-1] == "False"
    assert "serve" in "\n".join(shown)


# --- the browser files


def test_every_browser_package_is_pinned_by_hash_and_names_no_host() -> None:
    lock = json.loads((ROOT / hatch_build.LOCK).read_text())
    wanted = json.loads((ROOT / hatch_build.LOCK.parent / "package.json").read_text())["dependencies"]
    packages = {name.removeprefix("node_modules/"): entry for name, entry in lock["packages"].items() if name}
    assert all(entry["integrity"].startswith("sha512-") for entry in packages.values())
    assert not any("resolved" in entry for entry in packages.values())
    assert {name: packages[name]["version"] for name in wanted} == wanted


def test_the_pages_scripts_are_checked_against_the_very_libraries_that_pages_load() -> None:
    lock = json.loads((ROOT / "scripts" / "javascript" / "package-lock.json").read_text())
    served = json.loads((ROOT / hatch_build.LOCK.parent / "package.json").read_text())["dependencies"]
    for name in ("htmx.org", "uplot"):
        assert lock["packages"][f"node_modules/{name}"]["version"] == served[name]
    for entry in lock["packages"].values():
        assert "resolved" not in entry  # any registry may serve what the hash fits
    wanted = json.loads((ROOT / "scripts" / "javascript" / "package.json").read_text())["devDependencies"]
    assert all(version[0].isdigit() for version in wanted.values()), "a version is not exact"


def test_the_browser_files_are_those_of_the_lock() -> None:
    assert hatch_build.is_current(ROOT), "run `python3 start.py` to fetch what the lock file asks for"


def test_the_browser_files_ask_no_other_host_for_anything() -> None:
    for name in hatch_build.FILES:
        if name.endswith(".css"):
            text = (VENDOR / name).read_text(encoding="utf-8")
            assert "@import" not in text
            targets = [part.split(")")[0].strip("\"' ") for part in text.split("url(")[1:]]
            assert all(target.startswith(("data:", "#")) for target in targets)


@pytest.mark.slow
def test_git_ignores_the_browser_files() -> None:
    need("git")
    done = subprocess.run(["git", "check-ignore", "-q", str(VENDOR / "htmx.min.js")], cwd=ROOT, check=False)
    assert done.returncode == 0


def copy_of_browser_files(folder: Path) -> Path:
    """A project at `folder` with the lock file and the browser files only."""
    shutil.copytree(ROOT / hatch_build.LOCK.parent, folder / hatch_build.LOCK.parent)
    shutil.copytree(VENDOR, folder / hatch_build.VENDOR)
    return folder


def test_browser_files_are_fetched_again_when_the_lock_or_a_file_changes(tmp_path: Path) -> None:
    root = copy_of_browser_files(tmp_path)
    assert hatch_build.is_current(root)
    style = root / hatch_build.VENDOR / "uPlot.min.css"
    whole = style.read_bytes()
    style.write_bytes(whole[:-1])
    assert not hatch_build.is_current(root)
    style.write_bytes(whole)
    assert hatch_build.is_current(root)
    lock = root / hatch_build.LOCK
    lock.write_text(lock.read_text().replace("sha512-", "sha512-A", 1))
    assert not hatch_build.is_current(root)


def test_the_wheel_s_tag_is_one_that_pypi_takes() -> None:
    assert hatch_build.PLATFORMS.keys() == hatch_build.PROCESSORS.keys()
    for machine, platform in hatch_build.PLATFORMS.items():
        assert re.fullmatch(rf"manylinux_\d+_\d+_{machine}", platform)  # a bare linux_x86_64 is refused


@pytest.mark.slow
def test_the_source_distribution_has_all_that_is_kept() -> None:
    need("git")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    targets = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]
    included = {name.removeprefix("/") for name in targets["sdist"]["include"]}
    brought_by_hatch = {".gitignore", "LICENSE", "README.md", "pyproject.toml"}
    of_the_host = {".github"}
    assert included == {path.partition("/")[0] for path in listed} - brought_by_hatch - of_the_host


@pytest.mark.parametrize(
    ("library", "machine", "tag"),
    [
        ("glibc", "x86_64", "py3-none-manylinux_2_5_x86_64"),
        ("glibc", "aarch64", "py3-none-manylinux_2_17_aarch64"),
        ("musl", "x86_64", "py3-none-linux_x86_64"),
        ("", "aarch64", "py3-none-linux_aarch64"),
    ],
)
def test_only_a_glibc_s_wheel_is_a_manylinux_one(monkeypatch: pytest.MonkeyPatch, library: str, machine: str, tag: str) -> None:
    monkeypatch.setattr("platform.libc_ver", lambda: (library, "1"))
    monkeypatch.setattr("platform.machine", lambda: machine)
    assert hatch_build.tag() == tag


def test_a_broken_copy_of_the_browser_files_is_not_taken_for_a_whole_one(tmp_path: Path) -> None:
    root = copy_of_browser_files(tmp_path / "project")
    modules = tmp_path / "node_modules"
    for source in list(hatch_build.FILES.values())[:-1]:
        (modules / source).parent.mkdir(parents=True, exist_ok=True)
        (modules / source).write_text("new")
    with pytest.raises(FileNotFoundError):
        hatch_build.install(root, modules)
    assert not hatch_build.is_current(root)
    last = modules / list(hatch_build.FILES.values())[-1]
    last.parent.mkdir(parents=True, exist_ok=True)
    last.write_text("new")
    hatch_build.install(root, modules)
    assert hatch_build.is_current(root)


def test_an_npm_too_old_for_the_lock_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, answer in (("node", "v8.0.0"), ("npm", "6.14.4")):
        (tmp_path / name).write_text(f"#!/bin/sh\necho {answer}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert hatch_build.npm_on_path() is None
    (tmp_path / "npm").write_text("#!/bin/sh\necho 11.0.0\n")
    assert hatch_build.npm_on_path() == str(tmp_path / "npm")


# --- PyTorch


@pytest.mark.parametrize(
    ("version", "fits"),
    [
        ("2.6.0", True),
        ("2.13.0+cpu", True),
        ("2.13.1", True),
        ("2.5.1+cu124", False),
        ("2.14.0", False),
        ("2.14.0a0+git12", False),
        ("3.0", False),
    ],
)
def test_a_torch_in_the_range_is_kept(version: str, fits: bool) -> None:
    assert start.satisfies(version, "torch>=2.6,<2.14") is fits


def test_the_pinned_torch_lies_in_the_range_that_the_project_asks_for() -> None:
    name, pinned = start.TORCH.split("==")
    requirement = start.torch_requirement(ROOT)
    assert requirement.startswith(name)
    assert start.satisfies(pinned, requirement)
    assert not start.satisfies("1.0", requirement)


def test_the_cpu_index_is_asked_first_and_once_on_linux_without_a_gpu() -> None:
    first, second = start.torch_commands("Linux", nvidia=False)
    assert first[first.index("--index-url") + 1] == start.TORCH_CPU_INDEX
    assert first[first.index("--retries") + 1] == "0"
    assert second == start.pip(start.TORCH)


@pytest.mark.parametrize(("system", "nvidia"), [("Linux", True), ("Darwin", False), ("Windows", False)])
def test_elsewhere_torch_comes_from_pips_own_index(system: str, nvidia: bool) -> None:
    assert start.torch_commands(system, nvidia) == [start.pip(start.TORCH)]


def test_the_torch_that_is_there_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "VENV", tmp_path)
    assert start.torch_version() is None
    package = tmp_path / "lib" / "python3.11" / "site-packages" / "torch-2.13.0+cpu.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 2.13.0+cpu\n")
    assert start.torch_version() == "2.13.0+cpu"


def test_the_docs_name_the_extras_that_the_set_up_installs() -> None:
    sentence = re.search(
        r"makes an environment in `.venv` with the extras ([^;]*?) of the table", (ROOT / "docs/installing.md").read_text()
    )
    assert sentence is not None
    assert set(re.findall(r"`(\w+)`", sentence[1])) == start.EXTRAS


# --- the stamp


def project(folder: Path) -> Path:
    """A folder with the files that the stamp covers."""
    for name in start.STAMPED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.mark.parametrize("name", start.STAMPED)
def test_the_stamp_follows_every_file_that_decides_what_is_installed(tmp_path: Path, name: str) -> None:
    root = project(tmp_path)
    before = start.inputs(root, "3.11")
    assert start.inputs(root, "3.11") == before
    with (root / name).open("a") as file:
        file.write(" ")
    assert start.inputs(root, "3.11") != before


def test_the_stamp_follows_the_python_and_the_place(tmp_path: Path) -> None:
    here, there = project(tmp_path / "here"), project(tmp_path / "there")
    assert len({start.inputs(here, "3.11"), start.inputs(here, "3.12"), start.inputs(there, "3.11")}) == 3


def test_a_stamp_covers_only_the_extras_and_inputs_it_names() -> None:
    stamp = {"inputs": "abc", "extras": ["test", "torch"]}
    assert start.stamp_covers(stamp, "abc", {"torch"})
    assert start.stamp_covers(stamp, "abc", {"torch", "test"})
    assert not start.stamp_covers(stamp, "abd", {"torch"})
    assert not start.stamp_covers({"inputs": "abc", "extras": ["torch"]}, "abc", {"torch", "test"})
    assert not start.stamp_covers({}, "abc", set())


# --- repair


def installed_package(folder: Path) -> Path:
    """A package with one module, as pip leaves it; returns its `.dist-info`."""
    package = folder / "lib" / "python3.11" / "site-packages" / "thing-1.0.dist-info"
    package.mkdir(parents=True)
    (package.parent / "thing.py").write_text("x = 1\n")
    (package / "INSTALLER").write_text("pip\n")
    record = io.StringIO()
    rows = [("thing.py", "sha256=x", "6"), ("thing-1.0.dist-info/INSTALLER", "sha256=y", "4")]
    csv.writer(record).writerows([*rows, ("__pycache__/thing.cpython-311.pyc", "", ""), ("thing-1.0.dist-info/RECORD", "", "")])
    (package / "RECORD").write_text(record.getvalue())
    return package


def test_a_whole_package_survives_the_repair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "VENV", tmp_path)
    package = installed_package(tmp_path)
    start.forget_broken_packages()
    assert package.exists()


@pytest.mark.parametrize("damage", ["cut", "missing", "no installer", "no record"])
def test_a_package_that_a_killed_pip_left_in_part_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    monkeypatch.setattr(start, "VENV", tmp_path)
    package = installed_package(tmp_path)
    module = package.parent / "thing.py"
    if damage == "cut":
        module.write_text("x")
    else:
        {"missing": module, "no installer": package / "INSTALLER", "no record": package / "RECORD"}[damage].unlink()
    start.forget_broken_packages()
    assert not package.exists()


@pytest.mark.slow
def test_real_packages_are_taken_for_whole() -> None:
    folder = Path(pytest.__file__).parent.parent
    broken = [package.name for package in folder.glob("*.dist-info") if not start.is_whole(package)]
    assert broken == []


# --- the commands


def test_an_old_python_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(start, "OLDEST_PYTHON", (99, 0))
    assert start.main([]) == 1
    assert "needs Python 3.11 or later" in capsys.readouterr().err


def test_a_chromium_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "my-chromium"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("EVENHAND_CHROMIUM", str(program))
    assert start.find_chromium() == str(program)
    monkeypatch.setenv("EVENHAND_CHROMIUM", str(tmp_path / "none"))
    assert start.find_chromium() is None
