"""What Linux says of the processor, read in one place."""

from contextlib import suppress
from pathlib import Path

LIST_PATH = Path("/proc/cpuinfo")  # Linux's list of processors


def facts(path: Path | None = None) -> dict[str, str]:
    """What is said of the first processor, by name; nothing where there is no such list."""
    with suppress(OSError):
        lines = (path or LIST_PATH).read_text().partition("\n\n")[0].splitlines()
        return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return {}


def flags(path: Path | None = None) -> frozenset[str]:
    """The instructions that it has, by Linux's names: ARM's list calls them features. Nothing where it is not told."""
    words = facts(path)
    return frozenset(words.get("flags", words.get("Features", "")).split())
