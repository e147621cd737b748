"""The lab's verbs over HTTP: for agents and methods on other machines. Errors come back as the ones that the lab raised."""

import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self, TypeVar

import httpx

from evenhand import errors, wire
from evenhand.errors import EvenhandError, InvalidConfiguration, Problem, StaleAttempt, Unreachable
from evenhand.records import Assignment, Curve, Measurement, Outcome, Session, Stopper, Trial, View
from evenhand.space import Configuration
from evenhand.trials import unsettled

T = TypeVar("T")
TIMEOUT = httpx.Timeout(10.0, connect=5.0)  # seconds
IDLE = 3.0  # seconds until an unused connection is dropped, before the server does
FIRST_WAIT, LONGEST_WAIT = 0.1, 2.0  # seconds between two tries
REST, LONGEST_REST = 4, 0.2  # an agent's posts rest this many times as long as the last one took, at most so many seconds
MOST_ROWS = 5000  # measurements in one post
LOCAL = ("127.0.0.1", "localhost", "::1")


class Client:
    """A laboratory at `url`, asked with an agent's or a method's token. Threads may share it.

    retry: for how many seconds a call that may be repeated is tried again where the server does not answer; then, and at once
    for other calls, it raises Unreachable. Every write but `claim` may be repeated: it carries a key or an attempt.
    """

    def __init__(self, url: str, token: str, *, retry: float = 10.0) -> None:
        self.url = url.rstrip("/")
        self._retry = retry
        host = httpx.URL(self.url).host
        self._counting = threading.Lock()
        self._posting = False  # whether a thread has the turn to post
        self._unposted: list[_Posted] = []
        self._next_post = 0.0  # time.monotonic()
        self._viewed: dict[int, Session] = {}
        self._events: dict[int, int] = {}
        self._http = httpx.Client(
            base_url=self.url,
            headers={"authorization": f"Bearer {token}"},
            timeout=TIMEOUT,
            limits=httpx.Limits(keepalive_expiry=IDLE),
            trust_env=host not in LOCAL,  # a proxy cannot reach this machine's own server
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Agents. The token says which agent asks; `agent_id` is the lab's own way to know.

    def hello(self, agent_id: int = 0, *, slots: int, machine: str, name: str = "") -> None:
        """Say what this agent is."""
        self._repeat("/api/agent/hello", slots=slots, machine=machine, name=name)

    def goodbye(self, agent_id: int = 0) -> None:
        """Say that this agent ends in order. Not repeated: it is only a courtesy."""
        self._post("/api/agent/goodbye")

    def claim(
        self, agent_id: int = 0, *, refused: Sequence[str] = (), session_id: int | None = None, seconds: float = 0.0
    ) -> Assignment | None:
        """The next training for this agent, or None where nothing comes to wait within the seconds.

        Not repeated: a lost answer's lease just ends.
        """
        answer = self._post("/api/agent/claim", refused=list(refused), session_id=session_id, seconds=seconds)
        return None if answer["assignment"] is None else wire.from_json(Assignment, answer["assignment"])

    def measure(self, job_id: int, attempt: int, batch: Sequence[Measurement]) -> bool:
        """Send what a training measured; whether it shall go on. What threads send while a post is under way goes in one post."""
        mine = _Posted((job_id, attempt, [wire.row_of(each) for each in batch]))
        with self._counting:
            self._unposted.append(mine)
            leads, self._posting = not self._posting, True
        if not leads:
            mine.woken.wait()
        if not mine.done:  # it is the first that waits, and so its thread's turn to post
            self._post_reports()
        return mine.answer()

    def _post_reports(self) -> None:
        """Post what waits, or its first part, and hand over to the thread of the next. Is one report refused for itself, then
        the others are sent without it."""
        time.sleep(max(0.0, self._next_post - time.monotonic()))
        with self._counting:
            group = _first_of(self._unposted)
            del self._unposted[: len(group)]
        begun = time.monotonic()
        try:
            self._send_reports(group)
        except Exception as error:
            if isinstance(error, Unreachable) or len(group) == 1:
                for each in group:
                    each.told = error
            else:
                self._send_each(group)
        finally:
            ended = time.monotonic()
            self._next_post = ended + min(LONGEST_REST, REST * (ended - begun))
            self._hand_over(group)

    def _hand_over(self, group: "Sequence[_Posted]") -> None:
        with self._counting:
            after = self._unposted[:1]
            self._posting = bool(after)
        for each in (*group, *after):
            each.woken.set()

    def _send_each(self, group: "Sequence[_Posted]") -> None:
        for each in group:
            try:
                self._send_reports([each])
            except Exception as error:
                each.told = error

    def _send_reports(self, group: "Sequence[_Posted]") -> None:
        answers = self._repeat("/api/agent/measure", reports=[each.report for each in group])["answers"]
        for each, answer in zip(group, answers, strict=True):
            each.told = answer

    def finish(
        self, job_id: int, attempt: int, outcome: Outcome, why: str | None = None, batch: Sequence[Measurement] = ()
    ) -> None:
        """End a training, with the last of what it measured."""
        rows = [wire.row_of(each) for each in batch]
        self._repeat(f"/api/agent/jobs/{job_id}/finish", attempt=attempt, outcome=outcome.value, why=why, rows=rows)

    def release(self, job_id: int, attempt: int, why: str, counts: bool = True) -> None:
        """Give a training back unfinished."""
        path, tried = f"/api/agent/jobs/{job_id}/release", 0

        def give_back() -> None:
            nonlocal tried
            tried += 1
            try:
                self._post(path, attempt=attempt, why=why, counts=counts)
            except StaleAttempt:
                if tried == 1:  # else an earlier try arrived, only its answer did not
                    raise

        self._persist(give_back)

    # Methods. The token is of one session; `session_id` 0 means that one.

    def view(self, session_id: int = 0) -> View:
        """All that the session's tuner may see. What has ended is asked for once."""
        known = self._viewed.get(session_id)
        return self._read_view(session_id, self._repeat("/api/session/view", **_read_before(session_id, known)), known)

    def wait(self, session_id: int, seconds: float, measured: bool = False) -> View:
        """What `view` gives, when the session may have changed since the last wait, or after a time. measured: by a measurement,
        too. Not repeated: it is only asked for again."""
        known, event = self._viewed.get(session_id), self._events.get(session_id, 0)
        had = _read_before(session_id, known)
        answer = self._post("/api/session/wait", event=event, seconds=seconds, measured=measured, **had)
        self._events[session_id] = int(answer["event"])
        return self._read_view(session_id, answer["view"], known)

    def _read_view(self, session_id: int, told: Mapping[str, Any], known: Session | None) -> View:
        found = wire.view_from_json(told, known)
        self._viewed[session_id] = found.session
        return found

    def curve(self, session_id: int, number: int, after: tuple[int, int] = (0, -1)) -> Curve:
        """What a trial measured after the cursor (attempt, index)."""
        answer = self._repeat("/api/session/curve", session_id=session_id, number=number, attempt=after[0], index=after[1])
        measurements = tuple(wire.measurement_of(row) for row in answer["measurements"])
        return Curve(answer["number"], answer["attempt"], measurements)

    def start(self, session_id: int = 0) -> Session:
        """Start the session's clock."""
        return wire.from_json(Session, self._repeat("/api/session/start", session_id=session_id))

    def submit(
        self,
        session_id: int,
        configuration: Configuration,
        *,
        reasons: Mapping[str, str] | None = None,
        explanation: str = "",
        resumes: int | None = None,
        revision: int | None = None,
        key: str | None = None,
    ) -> Trial:
        """Queue a trial of `configuration`; however often it is sent, it is one trial."""
        answer = self._repeat(
            "/api/session/submit",
            session_id=session_id,
            configuration=dict(configuration),
            reasons=dict(reasons or {}),
            explanation=explanation,
            resumes=resumes,
            revision=revision,
            key=key or uuid.uuid4().hex,
        )
        return wire.from_json(Trial, answer)

    def stop(self, session_id: int, number: int, by: Stopper = Stopper.TUNER, *, why: str | None = None) -> Trial:
        """Ask a trial to stop, as its tuner or by its stopping rule."""
        body = {"session_id": session_id, "number": number, "rule": by is Stopper.RULE, "why": why}
        return wire.from_json(Trial, self._repeat("/api/session/stop", **body))

    def choose(
        self,
        session_id: int,
        *,
        number: int | None = None,
        configuration: Configuration | None = None,
        key: str | None = None,
    ) -> Session:
        """End the session with its final configuration."""
        answer = self._repeat(
            "/api/session/choose",
            session_id=session_id,
            number=number,
            configuration=None if configuration is None else dict(configuration),
            key=key or uuid.uuid4().hex,
        )
        return wire.from_json(Session, answer)

    def _repeat(self, path: str, **body: Any) -> dict[str, Any]:
        return self._persist(lambda: self._post(path, **body))

    def _persist(self, call: Callable[[], T]) -> T:
        last, wait = time.monotonic() + self._retry, FIRST_WAIT
        while True:
            try:
                return call()
            except Unreachable:
                if time.monotonic() + wait > last:
                    raise
            time.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT)

    def _post(self, path: str, **body: Any) -> dict[str, Any]:
        try:
            response = self._http.post(path, json=body)
        except httpx.HTTPError as error:
            raise Unreachable(f"the laboratory at {self.url} does not answer ({error}); is it running?") from error
        if response.status_code != 200:
            raise error_of(response.status_code, _json(response))
        found: dict[str, Any] = response.json()
        return found


def _read_before(session_id: int, known: Session | None) -> dict[str, Any]:
    """The part of a question for a session's view that says what need not be sent again."""
    if known is None:
        return {"session_id": session_id}
    settled = len(known.trials) - len(unsettled(known.trials))
    last = known.trials[settled - 1].id if settled else 0
    return {"session_id": session_id, "settled": settled, "last": last, "task": known.task.version}


class _Posted:
    """One training's report, and what the server told it."""

    def __init__(self, report: tuple[int, int, list[Any]]) -> None:
        self.report = report
        self.told: bool | str | Exception | None = None
        self.woken = threading.Event()  # it was posted, or is the first that waits

    @property
    def done(self) -> bool:
        """Whether a thread has posted it."""
        return self.told is not None

    def answer(self) -> bool:
        """Whether the training shall go on; raises what went wrong."""
        if isinstance(self.told, str):
            raise StaleAttempt(self.told)
        if isinstance(self.told, Exception):
            raise self.told
        return bool(self.told)


def _first_of(waiting: Sequence[_Posted]) -> list[_Posted]:
    """As many reports as one post may hold, at least one where any waits."""
    rows, count = 0, 0
    for each in waiting:
        rows += len(each.report[2])
        if count and rows > MOST_ROWS:
            break
        count += 1
    return list(waiting[:count])


def error_of(status: int, told: Mapping[str, Any]) -> EvenhandError:
    """The error that the server raised; Unreachable where it failed itself, so that the call may be tried again."""
    message = str(told.get("message", f"HTTP status {status}"))
    if status >= 500:
        return Unreachable(f"the laboratory could not answer: {message}")
    if told.get("error") == InvalidConfiguration.__name__:
        return InvalidConfiguration(Problem(each["name"], each["given"], each["expected"]) for each in told["problems"])
    kind = getattr(errors, str(told.get("error")), None)
    known = isinstance(kind, type) and issubclass(kind, EvenhandError)
    return kind(message) if kind and known else EvenhandError(message)


def _json(response: httpx.Response) -> Mapping[str, Any]:
    try:
        found = response.json()
    except ValueError:
        found = None
    return found if isinstance(found, Mapping) else {"message": f"HTTP status {response.status_code}: {response.text[:300]}"}
