"""Which process tunes a session itself, by a name that is stored, and whether it may still be there."""

import os
import platform
import secrets

PROCESS_TOKEN = secrets.token_hex(4)  # tells this process from one of before with its number, as in a restarted container


def this_process() -> str:
    """What this process is called: its number, its machine and what tells it from others with the same number."""
    return f"{os.getpid()} {platform.node()} {PROCESS_TOKEN}"


def has_ended(process: str) -> bool:
    """Whether a process is known to be gone: one of this machine that runs no more. Of another machine's nothing is known."""
    number, _, rest = process.partition(" ")
    machine, _, _ = rest.rpartition(" ")
    if process == this_process() or machine != platform.node() or os.name == "nt" or not number.isdecimal():
        return False
    if int(number) == os.getpid():
        return True
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except OSError:  # it is somebody else's
        return False
    return False


def in_words(process: str) -> str:
    """A process for people: its number and its machine."""
    number, _, rest = process.partition(" ")
    return f"process {number} on {rest.rpartition(' ')[0]}"
