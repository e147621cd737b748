"""The lab's verbs over HTTP: for agents and methods on other machines. Errors come back as the ones that the lab raised.

It keeps the protocols of `verbs`, as `Lab` does.
"""

import base64
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self, TypeVar

import httpx

from evenhand import errors
from evenhand.errors import CodeRefused, EvenhandError, InvalidConfiguration, InvalidSettings, Problem, StaleAttempt, Unreachable
from evenhand.model import codec
from evenhand.model.configuration import Configuration
from evenhand.model.environment import Environment
from evenhand.model.job import Assignment, Order
from evenhand.model.recent import Recent
from evenhand.model.sent_code import MOST_FILE_BYTES, MOST_LIST_BYTES, SentCode
from evenhand.model.session import Session, View
from evenhand.model.trial import LearningCurve, Measurement, Outcome, Stopper, Trial
from evenhand.model.trial_history import unsettled

T = TypeVar("T")
HTTP_TIMEOUT = httpx.Timeout(10.0, connect=5.0)  # seconds
IDLE_CONNECTION_SECONDS = 3.0  # seconds until an unused connection is dropped, before the server does
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.1, 2.0  # seconds between two tries
# An agent's posts rest this many times as long as the last one took, at most so many seconds.
REST_FACTOR, LONGEST_REST_SECONDS = 4, 0.2
MOST_POSTED_MEASUREMENTS = 5000  # measurements in one post
TOO_SLOW_STATUS = 408  # HTTP: a request that did not arrive in time
MOST_KEPT_SESSIONS = 8  # of which it is kept what was read: a token is of one, under its id or 0
LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")


class Client:
    """A laboratory at `url`, asked with an agent's or a method's token. Threads may share it.

    retry: for how many seconds a call that may be repeated is tried again where the server does not answer; then, and at once
    for other calls, it raises Unreachable. Every write but `claim` may be repeated: it carries a key or an attempt.
    """

    def __init__(self, url: str, token: str, *, retry: float = 10.0) -> None:
        self.url = url.rstrip("/")
        self._retry = retry
        host = host_of(self.url)
        self._counting = threading.Lock()
        self._posting = False  # whether a thread has the turn to post
        self._unposted: list[_Posted] = []
        self._next_post = 0.0  # time.monotonic()
        self._viewed: Recent[int, Session] = Recent(MOST_KEPT_SESSIONS)
        self._events: Recent[int, int] = Recent(MOST_KEPT_SESSIONS)
        self._http = httpx.Client(
            base_url=self.url,
            headers={"authorization": f"Bearer {token}"},
            timeout=HTTP_TIMEOUT,
            limits=httpx.Limits(keepalive_expiry=IDLE_CONNECTION_SECONDS),
            trust_env=host not in LOCAL_HOSTS,  # a proxy cannot reach this machine's own server
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Agents. The token says which agent asks; `agent_id` is the lab's own way to know, and is not sent.

    def hello(
        self, agent_id: int = 0, *, slots: int, machine: str, name: str = "", environment: Environment | None = None
    ) -> None:
        """Say what this agent is."""
        self._repeat("/api/agent/hello", slots=slots, machine=machine, name=name, environment=codec.to_json(environment))

    def refusals(self, agent_id: int = 0) -> tuple[str, ...]:
        """Why studies whose trainings wait take no claim of this agent."""
        return codec.from_json(tuple[str, ...], self._post("/api/agent/refusals")["refusals"])

    def join(self) -> tuple[str, int]:
        """By the token that `evenhand tune --serve` prints: become an agent of its session. Its token, and the session."""
        answer = self._repeat("/api/agent/join")
        return str(answer["token"]), int(answer["session_id"])

    def code(self, agent_id: int, task_version: str) -> SentCode | None:
        """Which files are the code of a task that agents get from the laboratory; None where they have it by its name."""
        answer = self._bounded("/api/agent/code", MOST_LIST_BYTES, task_version=task_version)["code"]
        return None if answer is None else codec.from_json(SentCode, answer)

    def content(self, agent_id: int, checksum: str) -> bytes:
        """The content of one of these files."""
        answer = self._bounded("/api/agent/content", 2 * MOST_FILE_BYTES, checksum=checksum)
        return base64.b64decode(answer["content"], validate=True)

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
        return None if answer["assignment"] is None else codec.from_json(Assignment, answer["assignment"])

    def measure(
        self, job_id: int, attempt: int, batch: Sequence[Measurement], agent_id: int | None = None, *, is_held: bool = False
    ) -> Order:
        """Send what a training measured, and whether it stands still; what it shall do.

        What threads send while a post is under way goes in one post, and what one may not hold in several.
        """
        orders = [self._measure(job_id, attempt, part, is_held) for part in _parts_of(batch)]  # all are sent, also after a stop
        return Order.STOP if Order.STOP in orders else orders[-1]

    def _measure(self, job_id: int, attempt: int, batch: Sequence[Measurement], is_held: bool = False) -> Order:
        mine = _Posted((job_id, attempt, [codec.row_of(measurement) for measurement in batch]), is_held)
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
                for waiter in group:
                    waiter.reply = error
            else:
                self._send_each(group)
        finally:
            ended = time.monotonic()
            self._next_post = ended + min(LONGEST_REST_SECONDS, REST_FACTOR * (ended - begun))
            self._hand_over(group)

    def _hand_over(self, group: "Sequence[_Posted]") -> None:
        with self._counting:
            after = self._unposted[:1]
            self._posting = bool(after)
        for waiter in (*group, *after):
            waiter.woken.set()

    def _send_each(self, group: "Sequence[_Posted]") -> None:
        for waiter in group:
            try:
                self._send_reports([waiter])
            except Exception as error:
                waiter.reply = error

    def _send_reports(self, group: "Sequence[_Posted]") -> None:
        reports, held = [waiter.report for waiter in group], [waiter.report[0] for waiter in group if waiter.is_held]
        answer = self._repeat("/api/agent/measure", reports=reports, **({"held": held} if held else {}))
        to_hold = answer.get("hold", ())  # an older laboratory holds nothing
        for waiter, reply in zip(group, answer["answers"], strict=True):
            waiter.reply = Order.HOLD if reply is True and waiter.report[0] in to_hold else reply

    def finish(
        self,
        job_id: int,
        attempt: int,
        outcome: Outcome,
        why: str | None = None,
        batch: Sequence[Measurement] = (),
        agent_id: int | None = None,
    ) -> None:
        """End a training, with the last of what it measured; what one post may not hold is sent before."""
        *first, last = _parts_of(batch)
        for part in first:
            self._measure(job_id, attempt, part)
        rows = [codec.row_of(measurement) for measurement in last]
        self._repeat(f"/api/agent/jobs/{job_id}/finish", attempt=attempt, outcome=outcome.value, why=why, rows=rows)

    def release(self, job_id: int, attempt: int, why: str, counts: bool = True, agent_id: int | None = None) -> None:
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

    def _read_view(self, session_id: int, answer: Mapping[str, Any], known: Session | None) -> View:
        view = codec.view_from_json(answer, known)
        self._viewed[session_id] = view.session
        return view

    def curve(self, session_id: int, number: int, after: tuple[int, int] = (0, -1)) -> LearningCurve:
        """What a trial measured after the cursor (attempt, index)."""
        answer = self._repeat("/api/session/curve", session_id=session_id, number=number, attempt=after[0], index=after[1])
        measurements = tuple(codec.measurement_of(row) for row in answer["measurements"])
        return LearningCurve(answer["number"], answer["attempt"], measurements)

    def start(self, session_id: int = 0) -> Session:
        """Start the session's clock."""
        return codec.from_json(Session, self._repeat("/api/session/start", session_id=session_id))

    def submit(
        self,
        session_id: int,
        configuration: Configuration | Mapping[str, Any],
        *,
        reasons: Mapping[str, str] | None = None,
        explanation: str = "",
        resumes: int | None = None,
        revision: int | None = None,
        key: str | None = None,
    ) -> Trial:
        """Queue a trial of `configuration`; however often it is sent, it is one trial. The lab checks it against the space."""
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
        return codec.from_json(Trial, answer)

    def stop(self, session_id: int, number: int, by: Stopper = Stopper.TUNER, *, why: str | None = None) -> Trial:
        """Ask a trial to stop, as its tuner or by its stopping rule."""
        body = {"session_id": session_id, "number": number, "rule": by is Stopper.RULE, "why": why}
        return codec.from_json(Trial, self._repeat("/api/session/stop", **body))

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
        return codec.from_json(Session, answer)

    def _repeat(self, path: str, **body: Any) -> dict[str, Any]:
        return self._persist(lambda: self._post(path, **body))

    def _bounded(self, path: str, most: int, **body: Any) -> dict[str, Any]:
        """What `_repeat` gives; CodeRefused where the answer has more than so many bytes, of which no more are read."""

        def call() -> dict[str, Any]:
            try:
                with self._http.stream("POST", path, json=body) as response:
                    read = b""
                    for part in response.iter_bytes():
                        read += part
                        if len(read) > most:
                            raise CodeRefused(
                                f"the laboratory at {self.url} sends more than {most} bytes at once, which is not taken"
                            )
                    return _answer_of(httpx.Response(response.status_code, content=read))
            except httpx.HTTPError as error:
                raise self._unreachable(error) from error

        return self._persist(call)

    def _persist(self, call: Callable[[], T]) -> T:
        last, wait = time.monotonic() + self._retry, FIRST_WAIT_SECONDS
        while True:
            try:
                return call()
            except Unreachable:
                if time.monotonic() + wait > last:
                    raise
            time.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT_SECONDS)

    def _post(self, path: str, **body: Any) -> dict[str, Any]:
        try:
            response = self._http.post(path, json=body)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        return _answer_of(response)

    def _unreachable(self, error: httpx.HTTPError) -> Unreachable:
        return Unreachable(f"the laboratory at {self.url} does not answer ({error}); is it running?")


def _answer_of(response: httpx.Response) -> dict[str, Any]:
    """What an answer says; raises the error that it is."""
    if response.status_code != 200:
        raise error_of(response.status_code, _json(response))
    answer: dict[str, Any] = response.json()
    return answer


def _read_before(session_id: int, known: Session | None) -> dict[str, Any]:
    """The part of a question for a session's view that says what need not be sent again."""
    if known is None:
        return {"session_id": session_id}
    settled = len(known.trials) - len(unsettled(known.trials))
    last = known.trials[settled - 1].id if settled else 0
    return {"session_id": session_id, "settled": settled, "last": last, "task": known.task.version}


class _Posted:
    """One training's report, and what the server replied."""

    def __init__(self, report: tuple[int, int, list[Any]], is_held: bool) -> None:
        self.report = report
        self.is_held = is_held
        self.reply: bool | Order | str | Exception | None = None
        self.woken = threading.Event()  # it was posted, or is the first that waits

    @property
    def done(self) -> bool:
        """Whether a thread has posted it."""
        return self.reply is not None

    def answer(self) -> Order:
        """What the training shall do; raises what went wrong."""
        if isinstance(self.reply, str):
            raise StaleAttempt(self.reply)
        if isinstance(self.reply, Exception):
            raise self.reply
        return Order(self.reply or 0)


def _parts_of(batch: Sequence[Measurement]) -> list[Sequence[Measurement]]:
    """Measurements in parts that one post may hold each; one part without any where there are none."""
    starts = range(0, max(1, len(batch)), MOST_POSTED_MEASUREMENTS)
    return [batch[start : start + MOST_POSTED_MEASUREMENTS] for start in starts]


def _first_of(waiting: Sequence[_Posted]) -> list[_Posted]:
    """As many reports as one post may hold, at least one where any waits."""
    rows, count = 0, 0
    for waiter in waiting:
        rows += len(waiter.report[2])
        if count and rows > MOST_POSTED_MEASUREMENTS:
            break
        count += 1
    return list(waiting[:count])


def error_of(status: int, answer: Mapping[str, Any]) -> EvenhandError:
    """The error that the server raised; Unreachable where it failed itself, or the line was too slow for it: try again."""
    message = str(answer.get("message", f"HTTP status {status}"))
    if status >= 500 or status == TOO_SLOW_STATUS:
        return Unreachable(f"the laboratory could not answer: {message}")
    if answer.get("error") == InvalidConfiguration.__name__:
        return InvalidConfiguration(
            Problem(problem["name"], problem["given"], problem["expected"]) for problem in answer["problems"]
        )
    kind = getattr(errors, str(answer.get("error")), None)
    known = isinstance(kind, type) and issubclass(kind, EvenhandError)
    return kind(message) if kind and known else EvenhandError(message)


def _json(response: httpx.Response) -> Mapping[str, Any]:
    try:
        answer = response.json()
    except ValueError:
        answer = None
    return answer if isinstance(answer, Mapping) else {"message": f"HTTP status {response.status_code}: {response.text[:300]}"}


def host_of(url: str) -> str:
    """The host of a laboratory's address; InvalidSettings where it is none."""
    try:
        address = httpx.URL(url)
    except httpx.InvalidURL:
        address = httpx.URL()
    if address.scheme not in ("http", "https") or not address.host:
        raise InvalidSettings(f"address {url!r}: expected http://HOST:PORT or https://HOST, such as http://lab.example:8765")
    return address.host
