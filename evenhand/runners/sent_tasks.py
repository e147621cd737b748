"""Tasks whose code a laboratory sends: an agent has it in a folder of its own, once its owner has said that it may run here."""

import logging
import select
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from evenhand import settings
from evenhand.errors import CodeRefused, EvenhandError, NotFound, Unreachable
from evenhand.lab.verbs import AgentVerbs
from evenhand.model.job import Assignment
from evenhand.model.sent_code import SentCode
from evenhand.model.task import TaskSpec
from evenhand.tasks import transport

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.2  # between two looks whether the agent ends while it asks
CODE = "code"  # in the data directory: the folders of the agents that run now
Allow = Callable[[str], bool]  # is shown what is to run, in lines, and says whether it may


def owners_word(url: str, yes: bool, stop: threading.Event) -> Allow:
    """What shows the code that the laboratory at `url` sends, and asks in the terminal whether it may run here.

    yes: said beforehand. stop: ends the waiting for an answer. Where nobody can answer, it may not.
    """

    def allow(shown: str) -> bool:
        print(f"The laboratory at {url} sends code that is to run on this machine, with your rights:\n{shown}", flush=True)
        if yes or not sys.stdin.isatty():
            print("It runs, since --yes was given." if yes else "It does not run: nobody can be asked here.", flush=True)
            return yes
        print("Shall it run here? [y/N] ", end="", flush=True)
        while not stop.is_set():
            if select.select([sys.stdin], [], [], LOOK_SECONDS)[0]:
                return sys.stdin.readline().strip().lower() in ("y", "yes")
        return False

    return allow


class SentTasks:
    """The code that one agent was sent. Its slots share it."""

    def __init__(self, verbs: AgentVerbs, agent_id: int, allow: Allow | None) -> None:
        """allow: None where nothing that is sent may run."""
        self._verbs, self._agent_id, self._allow = verbs, agent_id, allow
        self._known: dict[str, TaskSpec | CodeRefused | None] = {}  # by version; None: none is sent, it is here by its name
        self._allowed: set[str] = set()  # versions of which the owner said that they may run
        self._bringing = threading.Lock()
        self._folder: Path | None = None

    def close(self) -> None:
        """Delete all of it."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def sent(self, assignment: Assignment) -> SentCode | None:
        """The code that is sent for an assignment and has to be brought here first; None where that is done, or none is sent."""
        if assignment.task_version in self._known:
            return None
        try:
            code = self._verbs.code(self._agent_id, assignment.task_version)
        except Unreachable:
            raise
        except EvenhandError as error:  # a server that sends nothing
            log.debug("the laboratory sends no code: %s", error)
            code = None
        if code is None:
            self._known[assignment.task_version] = None
        return code

    def placed(self, assignment: Assignment) -> Assignment:
        """The assignment with its task where it is here; CodeRefused where its code does not run here.

        What is missing may come: of code that is allowed, it is looked for again at the next assignment.
        """
        known = self._known.get(assignment.task_version)
        if isinstance(known, CodeRefused):
            if assignment.task_version in self._allowed:
                self._known.pop(assignment.task_version, None)
            raise known
        return assignment if known is None else replace(assignment, task=known)

    def bring(self, version: str, code: SentCode) -> bool:
        """Ask whether it may run, and have it here. False where another slot does so now."""
        if not self._bringing.acquire(blocking=False):
            return False
        try:
            if version not in self._known:
                self._known[version] = self._brought(version, code)
        except CodeRefused as error:
            self._known[version] = error
        finally:
            self._bringing.release()
        return True

    def _brought(self, version: str, code: SentCode) -> TaskSpec:
        code.check()
        shown = "\n".join([*code.lines(), *_needed(code)])
        if version in self._allowed or (self._allow is not None and self._allow(shown)):
            self._allowed.add(version)
        else:
            raise CodeRefused(
                "its owner has not allowed that code which the laboratory sends runs here; where it is trusted, start the agent "
                "with --yes, or answer yes when it asks"
            )
        try:
            return transport.unpacked(code, self._content, self._new_folder(), Path.cwd())
        except (NotFound, OSError, ValueError) as error:
            raise CodeRefused(f"the code that the laboratory sends could not be had here: {error}") from error

    def _content(self, checksum: str) -> bytes:
        return self._verbs.content(self._agent_id, checksum)

    def _new_folder(self) -> Path:
        if self._folder is None:
            base = settings.data_dir() / CODE
            base.mkdir(mode=0o700, exist_ok=True)
            self._folder = Path(tempfile.mkdtemp(dir=base)).resolve()
        return Path(tempfile.mkdtemp(dir=self._folder))


def _needed(code: SentCode) -> list[str]:
    """The packages that code imports, and whether they are here; for a person."""
    here = [f"{name}{'' if _is_here(name) else ' (not installed here)'}" for name in code.packages]
    return [f"packages: {', '.join(here)}"] if here else []


def _is_here(name: str) -> bool:
    with suppress(ImportError, ValueError, AttributeError):
        return find_spec(name) is not None
    return False
