"""What this machine is: the one place that looks. Nothing here loads PyTorch; what was found is kept for the process's life."""

import os
import platform
import shutil
import subprocess
from functools import lru_cache
from importlib import metadata
from pathlib import Path

from evenhand.model.environment import Environment
from evenhand.tasks import engines, processor

PACKAGES = ("evenhand", "numpy", "scipy", "scikit-learn", "torch", "optuna")  # what a study's numbers can depend on
ARCHITECTURES = {"x86_64": "x86-64", "amd64": "x86-64", "arm64": "ARM64", "aarch64": "ARM64"}
# By architecture, the instructions by which PyTorch, oneDNN, MKL and OpenBLAS choose their code: the flags that Linux must show,
# and what they are called. The first that is there counts.
VECTORS: dict[str, tuple[tuple[frozenset[str], str], ...]] = {
    "x86-64": (
        (frozenset({"avx512f", "amx_tile"}), "AVX-512 and AMX"),
        (frozenset({"avx512f", "avx512_bf16"}), "AVX-512 and BF16"),
        (frozenset({"avx512f", "avx512bw", "avx512vl", "avx512dq"}), "AVX-512"),
        (frozenset({"avx2", "fma"}), "AVX2"),
        (frozenset({"avx"}), "AVX"),
        (frozenset(), "SSE"),
    ),
    "ARM64": (
        (frozenset({"sve2"}), "SVE2"),
        (frozenset({"sve"}), "SVE"),
        (frozenset(), "NEON"),
    ),
}
MAKERS = {"GenuineIntel": "Intel", "AuthenticAMD": "AMD"}
QUERY = ("--query-gpu=name,driver_version", "--format=csv,noheader")
QUERY_SECONDS = 20.0  # that NVIDIA's program may take: without a program that keeps the driver loaded it takes seconds


@lru_cache(maxsize=1)
def here() -> Environment:
    """This machine's environment, as it was when this process first asked."""
    accelerator, driver = _accelerator()
    return Environment(
        python=platform.python_version(),
        torch=version("torch"),
        numpy=version("numpy"),
        scipy=version("scipy"),
        scikit_learn=version("scikit-learn"),
        engine=engines.build(),
        machine=kind_of(platform.machine(), processor.LIST_PATH),
        system=platform.system(),
        accelerator=accelerator,
        driver=driver,
    )


def version(package: str) -> str | None:
    """The version of an installed package; None where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def packages() -> dict[str, str]:
    """The installed versions of the packages that a study's numbers can depend on."""
    versions = {name: version(name) for name in PACKAGES}
    return {name: release for name, release in versions.items() if release is not None}


def model() -> str:
    """What a person calls this machine: the operating system, the processor's family and its model."""
    name = processor.facts().get("model name", platform.processor())
    return " ".join(part for part in (platform.system(), platform.machine(), name) if part)


def kind_of(architecture: str, facts: Path) -> str:
    """The kind of processor, as "x86-64 with AVX-512 (Intel)": its vector instructions and its maker, by which libraries choose.

    facts: Linux's list of processors. Without it nothing is said of the two. Two processors of one kind may still differ, as in
    the size of their caches.
    """
    name = ARCHITECTURES.get(architecture.lower(), architecture)
    words = processor.facts(facts)
    if name not in VECTORS or not words:
        return name
    flags = processor.flags(facts)
    vectors = next(called for needed, called in VECTORS[name] if needed <= flags)
    maker = words.get("vendor_id", "")
    return f"{name} with {vectors}" + (f" ({MAKERS.get(maker, maker)})" if maker else "")


def _accelerator() -> tuple[str | None, str | None]:
    """The names of all NVIDIA GPUs here, whichever of them trainings use, each once, and their driver's version.

    None of both where there is no GPU, or where trainings may use none.
    """
    program = shutil.which("nvidia-smi")
    if program is None or os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1"):
        return None, None
    try:
        process = subprocess.run([program, *QUERY], capture_output=True, text=True, timeout=QUERY_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None, None
    rows = [line.rpartition(",") for line in process.stdout.splitlines() if "," in line] if process.returncode == 0 else []
    names, drivers = ({row[at].strip() for row in rows} for at in (0, 2))
    return " and ".join(sorted(names)) or None, " and ".join(sorted(drivers)) or None
