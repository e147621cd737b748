"""Crews: the agents that join one session of `evenhand.tune` while its process serves it, and the code that they are given.

All of it is in memory: it ends with the process. An agent of a crew trains for its session and for no other.
"""

import threading
from dataclasses import dataclass, field

from evenhand.errors import Dismissed, NotFound
from evenhand.lab.base import Core
from evenhand.lab.tokens import Tokens
from evenhand.model.sent_code import SentCode
from evenhand.store import jobs
from evenhand.tasks.transport import Packed

TOKEN_SECONDS = 7 * 86400.0  # for which a crew's tokens are valid, where their process is killed before it revokes them


@dataclass
class _Crew:
    """Of one session. agents: by id, those that joined and have not been told of its end."""

    task_version: str
    packed: Packed | None
    agents: set[int] = field(default_factory=set)
    is_over: bool = False


class Crews:
    """The crews that this process has. Threads may share it."""

    def __init__(self, core: Core, tokens: Tokens) -> None:
        self._core, self._tokens = core, tokens
        self._crews: dict[int, _Crew] = {}  # by session
        self._sessions: dict[int, int] = {}  # of agents, also of those that were told
        self._lock = threading.Lock()

    def open(self, session_id: int, task_version: str, packed: Packed | None) -> str:
        """Let agents join a session; the token with which they do. packed: the task's code, where they get it from here."""
        self._tokens.revoke_all("join", session_id)
        self._crews[session_id] = _Crew(task_version, packed)
        return self._tokens.issue("join", session_id, TOKEN_SECONDS)

    def join(self, session_id: int) -> str:
        """A new agent of a session's crew; its token."""
        crew = self._crews.get(session_id)
        if crew is None or crew.is_over:
            raise Dismissed(_ended(session_id))
        with self._core.change() as tx:
            agent_id = jobs.add_agent(tx, f"agent of session {session_id}", 1, False, "", self._core.clock())
        with self._lock:
            crew.agents.add(agent_id)
            self._sessions[agent_id] = session_id
        return self._tokens.issue("agent", agent_id, TOKEN_SECONDS)

    def session_of(self, agent_id: int) -> int | None:
        """The session whose crew an agent is of; None for any other agent. Dismissed where that is over."""
        session_id = self._sessions.get(agent_id)
        if session_id is not None and self._crews[session_id].is_over:
            with self._lock:
                self._crews[session_id].agents.discard(agent_id)
            raise Dismissed(_ended(session_id))
        return session_id

    def members(self, session_id: int) -> frozenset[int] | None:
        """The agents of a session's crew; None where it has none here."""
        crew = self._crews.get(session_id)
        return None if crew is None else frozenset(crew.agents)

    def code(self, task_version: str) -> SentCode | None:
        """The code of a task that agents get from here; None where it is none of them."""
        crews = [crew for crew in list(self._crews.values()) if crew.task_version == task_version and crew.packed is not None]
        return crews[-1].packed.code if crews and crews[-1].packed else None

    def content(self, checksum: str) -> bytes:
        """The content of one of the files that `code` lists; NotFound where it is of none."""
        for crew in list(self._crews.values()):
            if crew.packed is not None and checksum in crew.packed.contents:
                return crew.packed.contents[checksum]
        raise NotFound(f"no file that is sent from here has the checksum {checksum!r}")

    def dismiss(self, session_id: int) -> None:
        """From now on nobody joins, and who asks for work is told that it is over."""
        self._tokens.revoke_all("join", session_id)
        self._crews[session_id].is_over = True

    def forget(self, session_id: int) -> None:
        """Nobody is served any more: what its agents had is not valid any longer."""
        crew = self._crews.pop(session_id)
        with self._lock:
            member_ids = [agent_id for agent_id, of in self._sessions.items() if of == session_id]
            for agent_id in member_ids:
                del self._sessions[agent_id]
        for agent_id in member_ids:
            self._tokens.revoke_all("agent", agent_id)
        crew.agents.clear()


def _ended(session_id: int) -> str:
    return f"session {session_id} is not served any more: its `evenhand tune` has ended, and starting that again serves it anew"
