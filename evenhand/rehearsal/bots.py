"""Simulated participants that walk the real pages over HTTP: the rehearsal of a study, its load test and its end-to-end test.

A bot reads each page's forms as a browser does, and goes where the server sends it. What it does next is a function of its plan
(drawn from a seed and its number) and of what its pages show, so that a bot that is started again, or a server that is killed and
started again, changes nothing but times. Its records are marked `simulated` from the invitation on.
"""

import asyncio
import json
import math
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any, Literal

import httpx
import numpy as np

from evenhand.errors import EvenhandError, Unreachable
from evenhand.model.direction import is_better, sign_of
from evenhand.model.domain import Value
from evenhand.model.rules import derive_seed
from evenhand.model.space import Space
from evenhand.rehearsal.html_forms import Form, FormControl, form_for, forms
from evenhand.rehearsal.policies import LEVELS, MONTHS, Level, Limits, Tried, next_move
from evenhand.settings import private_opener

Mishap = Literal[
    "refresh", "two tabs", "invalid input", "abandons", "withdraws", "early stops", "comes back", "lets time run out"
]
DOWN_SECONDS = 120.0  # seconds for which a server that does not answer is asked again
RETRY_SECONDS = 0.2  # seconds between two such tries
SHARES: Mapping[Mishap, float] = {
    "refresh": 0.3,
    "two tabs": 0.2,
    "invalid input": 0.3,
    "abandons": 0.06,
    "withdraws": 0.03,
    "early stops": 0.3,
    "comes back": 0.2,
    "lets time run out": 0.1,
}
TIMED_MISHAPS: frozenset[Mishap] = frozenset({"early stops", "lets time run out"})  # these depend on how quick the machine is


class Misled(EvenhandError):
    """A page that a bot could not go on from: which bot, which page, what it said."""


@dataclass(frozen=True)
class BotPlan:
    """Who a bot plays: its level and months of experience, how many trials it wants, what befalls it."""

    number: int
    level: Level
    months: int
    trials: int
    mishaps: frozenset[Mishap] = frozenset()


@dataclass(frozen=True)
class Crowd:
    """What all bots of a rehearsal share.

    space, maximize: of the task. limits: values within which they stay. trials: how many each wants on average. steady: nothing
    that depends on how quick the machine is, so that the same seed gives the same records. seconds: the budget's time limit.
    """

    address: str
    space: Space
    maximize: bool = True
    limits: Limits = field(default_factory=dict)
    trials: int = 8
    seed: int = 0
    steady: bool = False
    seconds: float | None = None
    mishaps: bool = True

    def plan(self, number: int) -> BotPlan:
        """The bot of this number, from 1: levels in turn as in the paper's groups of 8, 12 and 11."""
        rng = np.random.default_rng(derive_seed(self.seed, "bot", number))
        level = _LEVELS[(number - 1) % len(_LEVELS)]
        low, high = MONTHS[level]
        trials = max(1, self.trials + int(rng.integers(-2, 3))) if self.trials > 2 else self.trials
        drawn = {name for name, share in SHARES.items() if rng.random() < share}
        if self.steady:
            drawn -= TIMED_MISHAPS
        if self.seconds is None or self.seconds > 600:
            drawn.discard("lets time run out")
        return BotPlan(number, level, int(rng.integers(low, high + 1)), trials, frozenset(drawn) if self.mishaps else frozenset())


def _levels() -> tuple[Level, ...]:
    """31 levels, well mixed, in the paper's proportions: 8 novices, 12 medium, 11 experts."""
    counts: Mapping[Level, int] = {"novice": 8, "medium": 12, "expert": 11}
    places = [((index + 0.5) / counts[level], level) for level in LEVELS for index in range(counts[level])]
    return tuple(level for _, level in sorted(places, key=lambda place: place[0]))


_LEVELS = _levels()


@dataclass
class Diary:
    """What the bots went through.

    pages: seconds of every answer by the page's kind. statuses: how often each HTTP status came. happened: how often each mishap
    was played. troubles: what should not have been. ended: the last page of each bot by its number. outages: unanswered requests.
    """

    pages: dict[str, list[float]] = field(default_factory=dict)
    statuses: Counter[int] = field(default_factory=Counter)
    happened: Counter[str] = field(default_factory=Counter)
    troubles: list[str] = field(default_factory=list)
    trials: int = 0
    ended: dict[int, str] = field(default_factory=dict)
    outages: int = 0

    def quantile(self, share: float) -> float | None:
        """Seconds within which this share of all pages was answered."""
        every = [seconds for durations in self.pages.values() for seconds in durations]
        return float(np.quantile(every, share)) if every else None


@dataclass
class Memory:
    """What must survive the bots' own end: each bot's form to join by, cookies and resume code, by its number."""

    path: Path | None = None
    bots: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def at(cls, path: Path) -> "Memory":
        """What was kept there, or nothing yet."""
        return cls(path, json.loads(path.read_text()) if path.exists() else {})

    def keep(self, number: int, **facts: Any) -> None:
        """Note facts of a bot."""
        self.bots.setdefault(str(number), {}).update(facts)
        if self.path is not None:
            fresh = self.path.with_suffix(".new")
            with open(fresh, "w", encoding="utf-8", opener=private_opener) as file:
                json.dump(self.bots, file)
            fresh.replace(self.path)

    def of(self, number: int) -> dict[str, Any]:
        """What is known of a bot."""
        return self.bots.get(str(number), {})


@dataclass(frozen=True)
class Page:
    """A page that was answered: the address after all redirects, the status, the HTML."""

    path: str
    status: int
    html: str

    @property
    def home(self) -> str:
        """What the addresses of this study's pages begin with; "" on any other page."""
        within = re.match(r"/p/\d+", self.path)
        return within[0] if within else ""

    @property
    def place(self) -> str:
        """The page's address within its study."""
        return self.path.partition("?")[0].removeprefix(self.home)

    @property
    def step(self) -> str:
        """The page's kind: the first part of its place."""
        return self.place.strip("/").partition("/")[0]


class Bot:
    """One simulated participant at one browser."""

    def __init__(self, crowd: Crowd, plan: BotPlan, diary: Diary, memory: Memory, http: httpx.AsyncClient) -> None:
        self.crowd, self.plan, self.diary, self.memory = crowd, plan, diary, memory
        self._http = http
        self._befell: set[str] = set()
        self._home: str = memory.of(plan.number).get("home", "")
        for name, value in memory.of(plan.number).get("cookies", {}).items():
            http.cookies.set(name, value)

    @property
    def name(self) -> str:
        """How troubles name it."""
        return f"bot {self.plan.number} ({self.plan.level})"

    # Pages

    async def get(self, path: str) -> Page:
        """Open a page."""
        return await self._ask("GET", path)

    async def send(self, form: Form, changes: Mapping[str, str | list[str]] | None = None) -> Page:
        """Send a form as it stands, but for the changes."""
        return await self._ask(form.method.upper(), form.action, {**form.values(), **(changes or {})})

    async def _ask(self, method: str, path: str, data: Mapping[str, Any] | None = None) -> Page:
        """A request that is repeated while the server does not answer: every form carries what makes a repetition harmless."""
        until = time.monotonic() + DOWN_SECONDS
        while True:
            begun = time.monotonic()
            try:
                answer = await self._http.request(
                    method, path, data=data if method == "POST" else None, params=data if method == "GET" else None
                )
            except httpx.TransportError as error:
                if time.monotonic() > until:
                    raise Unreachable(
                        f"{self.name}: {self.crowd.address} did not answer for {DOWN_SECONDS:.0f} s: {error!r}"
                    ) from None
                self.diary.outages += 1
                await asyncio.sleep(RETRY_SECONDS)
                continue
            for response in (*answer.history, answer):
                kind = f"{response.request.method} {re.sub(r'(?<=/join/).+|[0-9]+', 'N', response.request.url.path)}"
                self.diary.pages.setdefault(kind, []).append(response.elapsed.total_seconds())
                self.diary.statuses[response.status_code] += 1
            if answer.status_code >= 500:
                self.trouble(f"{method} {path} was answered with {answer.status_code} after {time.monotonic() - begun:.1f} s")
            return Page(answer.request.url.raw_path.decode(), answer.status_code, answer.text)

    def _cookies(self) -> dict[str, str | None]:
        return {cookie.name: cookie.value for cookie in self._http.cookies.jar}

    def trouble(self, words: str) -> None:
        """Note what should not have happened."""
        self.diary.troubles.append(f"{self.name}: {words}")

    def befalls(self, mishap: Mishap) -> bool:
        """Whether this happens now; each happens once."""
        if mishap in self._befell or mishap not in self.plan.mishaps:
            return False
        self._befell.add(mishap)
        self.diary.happened[mishap] += 1
        return True

    def _form(self, page: Page, action: str) -> Form:
        form = form_for(page.html, action)
        if form is None:
            raise Misled(
                f"{self.name}: the page {page.path} (status {page.status}) has no form for {action}; {_words(page.html)}"
            )
        return form

    # The way

    async def arrive(self, address: str) -> None:
        """Join by an invitation's address, unless done already, and agree to the terms. Opening it alone joins nobody."""
        if self.memory.of(self.plan.number).get("cookies"):
            return
        joining = self.memory.of(self.plan.number).get("joining")
        if joining is None:
            page = await self.get(address)
            form = self._form(page, page.home + address)
            joining = form.values() | ({"name": f"Bot {self.plan.number}"} if "name" in form.fields else {})
            self._home = page.home
            # Before it is sent: sent again from the same browser, it joins nobody else.
            self.memory.keep(self.plan.number, joining=joining, home=self._home, browser=self._cookies())
        for name, value in self.memory.of(self.plan.number)["browser"].items():
            self._http.cookies.set(name, value)
        page = await self._ask("POST", self._home + address, joining)
        code = re.search(r'id="resume-code">([A-Z0-9-]+)<', page.html)
        self.memory.keep(self.plan.number, cookies=self._cookies(), code=code[1] if code else "")
        page = await self.get(self._home)
        if page.step == "terms":
            await self.send(self._form(page, f"{self._home}/terms"), {"agree": "yes"})

    async def walk(self) -> None:
        """Go from page to page until the end, whatever the server says is next."""
        if self.befalls("comes back") and (code := self.memory.of(self.plan.number).get("code")):
            self._http.cookies.clear()
            page = await self.get("/resume")
            await self.send(self._form(page, "/resume"), {"code": code.lower()})
        last, repeats = "", 0
        while True:
            page = await self.get(self._home)
            repeats = repeats + 1 if page.step == last else 0
            last = page.step
            if repeats > 30 and page.step not in ("tune", "practice"):
                raise Misled(f"{self.name}: stays at {page.path}; {_words(page.html)}")
            if not await self._step(page):
                self.diary.ended[self.plan.number] = page.step
                return

    async def _step(self, page: Page) -> bool:
        """What to do on a page; whether there is a next one."""
        if page.step in ("thanks", "withdrawn"):
            return False
        if page.step == "terms":
            await self.send(self._form(page, f"{self._home}/terms"), {"agree": "yes"})
        elif page.step in ("background", "questions"):
            await self._answer(page)
        elif page.step == "details":
            start_form = next(
                (
                    form
                    for form in forms(page.html)
                    if form.action.startswith((f"{self._home}/practice/start", f"{self._home}/tune/start"))
                ),
                None,
            )
            await self.send(start_form or self._form(page, f"{self._home}/tune/start"))
        elif page.step == "practice":
            await self._practise(page)
        elif page.step == "tune":
            return await self._tune(page)
        elif page.step == "final":
            await self._finish(page)
        else:
            raise Misled(f"{self.name}: does not know the page {page.path} (status {page.status}); {_words(page.html)}")
        return True

    async def _practise(self, page: Page) -> None:
        """One practice trial by the odd bots, none by the even ones; then the clock starts."""
        if self.plan.number % 2 and (begin := form_for(page.html, f"{self._home}/practice")) is not None:
            page = await self.send(begin)
            if (form := form_for(page.html, f"{self._home}/tune/submit")) is not None:
                page = await self.send(form)
        await self.send(self._form(page, f"{self._home}/tune/start"))

    # Questions

    async def _answer(self, page: Page) -> None:
        form = next(
            (form for form in forms(page.html) if form.method == "post" and form.action.startswith(f"{self._home}/")),
            None,
        )
        form = next((form for form in forms(page.html) if any(_is_question(name) for name in form.fields)), form)
        if form is None:
            raise Misled(f"{self.name}: no questions at {page.path}; {_words(page.html)}")
        rng = np.random.default_rng(derive_seed(self.crowd.seed, "answers", self.plan.number, f"/p{page.place}"))
        answers = {name: self._reply(control, rng) for name, control in form.fields.items() if _is_question(name)}
        if self.befalls("invalid input"):
            wrong = {name: "as many as it takes" for name, control in form.fields.items() if _is_number(control)}
            refused = await self.send(form, {**answers, **wrong})
            if wrong and refused.status != 422:
                self.trouble(f"words in a field for numbers were answered with {refused.status}, not 422")
        await self.send(form, answers)

    def _reply(self, asked: FormControl, rng: np.random.Generator) -> str | list[str]:
        name = asked.name.removeprefix("q.")
        if name in ("months", "experience"):
            return str(self.plan.months)
        if name.endswith(("level", "self_rated")) and any(self.plan.level in option for option in asked.options):
            return next(option for option in asked.options if self.plan.level in option)
        if asked.options:
            known = [option for option in asked.options if option]
            if asked.kind == "checkbox":
                return [option for option in known if rng.random() < 0.5] or known[:1]
            return str(rng.choice(np.array(known)))
        if _is_number(asked):
            low, high = asked.attributes.get("data-low"), asked.attributes.get("data-high")
            least = math.ceil(float(low)) if low else min(0, math.floor(float(high or 0)))
            most = math.floor(min(float(high), least + 120)) if high else least + 100
            return str(int(rng.integers(least, most + 1))) if least <= most else str(low)
        return "Simulated."

    # Tuning

    async def _tune(self, page: Page) -> bool:
        """One trial more, or the choice; False where the bot leaves the study for good."""
        await self._until_free()
        tried = await self._history()
        count = len(tried)
        if count >= 2 and self.befalls("withdraws"):
            return await self._withdraw()
        if count >= 1 and "abandons" in self.plan.mishaps:
            self.befalls("abandons")
            return False
        if count >= 1 and self.befalls("refresh"):
            page = await self.get(f"{self._home}/tune")
        if "lets time run out" in self.plan.mishaps and count >= 2:
            self.befalls("lets time run out")
            await asyncio.sleep(1)
            return True
        if count >= self.plan.trials:
            await self._choose(tried)
            return True
        rng = np.random.default_rng(derive_seed(self.crowd.seed, "move", self.plan.number, count))
        crowd = self.crowd
        move = next_move(self.plan.level, crowd.space, tried, rng, maximize=crowd.maximize, limits=crowd.limits)
        if await self._submit(page, _typed(self.crowd.space, move.configuration, move.reasons)) == 409:
            await self._choose(tried)  # the budget allows no more
        return True

    async def _submit(self, page: Page, typed: Mapping[str, str]) -> int:
        """Send a configuration; the status, or 0 where the page is no longer the one to send it from."""
        if page.step != "tune":
            return 0
        form = self._form(page, f"{self._home}/tune/submit")
        held = {name: "" for name in form.fields if name.startswith(("value.", "reason.", "other."))}
        if self.befalls("invalid input"):
            name = next(key for key in typed if key.startswith("value."))
            refused = await self.send(form, {**held, **typed, name: "lots"})
            if refused.status != 422:
                self.trouble(f"{name} = lots was answered with {refused.status}, not 422")
        if self.befalls("two tabs"):
            other = self._form(await self.get(f"{self._home}/tune"), f"{self._home}/continue")
            await self.send(other, {"window": "the other tab"})
        answer = await self.send(form, {**held, **typed})
        if await self._takes_over(answer):
            return 0
        if answer.status == 200:
            self.diary.trials += 1
        elif answer.status != 409:
            self.trouble(f"a valid configuration was answered with {answer.status}: {_words(answer.html)}")
        return answer.status

    async def _takes_over(self, answer: Page) -> bool:
        """Go on in this window where the page says that another one is writing; whether it said so."""
        form = form_for(answer.html, f"{self._home}/continue")
        if answer.status != 409 or form is None or form.hidden:
            return False
        await self.send(form)
        return True

    async def _history(self) -> list[Tried]:
        """The trials that have ended, in their order, as the page of all trials shows them."""
        page = await self.get(f"{self._home}/trials?order=new&all=yes")
        trials: dict[int, Tried] = {}
        for row in page.html.split("<tr data-trial=")[1:]:
            number, values = re.match(r'"(\d+)"', row), re.search(r'data-values="([^"]*)"', row)
            score = re.search(r'<td class="cell-value"><span class="num">([^<]*)<', row)
            if number and values:
                raw: dict[str, str] = json.loads(unescape(values[1]))
                trials[int(number[1])] = Tried(self._read(raw), _score(score[1] if score else ""))
        return [trials[number] for number in sorted(trials)]

    def _read(self, raw: Mapping[str, str]) -> Mapping[str, Value]:
        space = self.crowd.space
        return dict(space.configuration({name: space[name].of_text(text) for name, text in raw.items()}))

    async def _until_free(self) -> None:
        """Follow the live stream, as an open page does, until nothing trains any more or the page is another one."""
        best: float | None = None
        async for state in self._states():
            run = state["run"]
            best = run["best_value"] if best is None else best
            if state["step"] != "tune" or not run["open"]:
                return
            if self._is_bad(run, best) and self.befalls("early stops"):
                page = await self.get(f"{self._home}/tune")
                if (form := form_for(page.html, f"{self._home}/tune/stop")) is not None:
                    await self.send(form, {"number": str(run["number"])})

    def _is_bad(self, run: Mapping[str, Any], best: float | None) -> bool:
        if best is None or not run["open"] or run["best_number"] == run["number"]:
            return False
        value = _score(run["value"])
        return value is not None and is_better(best * (0.9 if self.crowd.maximize else 1.1), value, self.crowd.maximize)

    async def _states(self) -> AsyncIterator[Mapping[str, Any]]:
        until = time.monotonic() + DOWN_SECONDS
        while True:
            try:
                async with self._http.stream("GET", f"{self._home}/events", timeout=httpx.Timeout(10, read=30)) as stream:
                    if stream.status_code != 200:
                        return
                    name = ""
                    async for line in stream.aiter_lines():
                        if line.startswith("event: "):
                            name = line[7:]
                        elif line.startswith("data: ") and name == "state":
                            until = time.monotonic() + DOWN_SECONDS
                            yield json.loads(line[6:])
            except httpx.TransportError:
                self.diary.outages += 1
            if time.monotonic() > until:
                raise Unreachable(f"{self.name}: the live stream of {self.crowd.address} gave nothing for {DOWN_SECONDS:.0f} s")
            await asyncio.sleep(RETRY_SECONDS)

    async def _choose(self, tried: Sequence[Tried]) -> None:
        page = await self.get(f"{self._home}/final")
        if page.step != "final":
            return
        valued = [(trial.value, -index) for index, trial in enumerate(tried) if trial.value is not None]
        if not valued:
            typed = _typed(self.crowd.space, tried[-1].configuration, {})
            page = await self._ask(
                "GET", f"{self._home}/final", {name: value for name, value in typed.items() if name.startswith("value.")}
            )
        else:
            _, place = max(valued, key=lambda pair: (sign_of(self.crowd.maximize) * pair[0], pair[1]))
            page = await self.get(f"{self._home}/final?trial={1 - place}")
        await self._finish(page)

    async def _finish(self, page: Page) -> None:
        """Send the form that ends the session: the marked trial, or no choice where there is none."""
        sent = [form for form in forms(page.html) if form.action.startswith(f"{self._home}/final") and form.method == "post"]
        if not sent:
            await asyncio.sleep(RETRY_SECONDS)  # its last trial is being stopped
            return
        form, changes = sent[0], {}
        choices = form.fields.get("trial")
        if choices is not None and not choices.values and choices.options:
            changes = {"trial": choices.options[0]}
        answer = await self.send(form, changes)
        if not await self._takes_over(answer) and answer.status >= 400:
            self.trouble(f"the final choice was answered with {answer.status}: {_words(answer.html)}")

    async def _withdraw(self) -> bool:
        page = await self.get(f"{self._home}/withdraw")
        await self.send(self._form(page, f"{self._home}/withdraw"))
        return True


def _typed(space: Space, configuration: Mapping[str, Value], reasons: Mapping[str, str]) -> dict[str, str]:
    """A configuration as a form's fields."""
    values = {f"value.{name}": space[name].text(value) for name, value in configuration.items()}
    return values | {f"reason.{name}": reason for name, reason in reasons.items()}


def _is_question(name: str) -> bool:
    return name.startswith("q.")


def _is_number(asked: FormControl) -> bool:
    return asked.kind == "number" or asked.attributes.get("inputmode") in ("numeric", "decimal")


def _score(text: str) -> float | None:
    """A score as a page shows it: 64.6 % or 0.123; None for a dash."""
    plain = text.replace("\u202f", " ").replace("\u00a0", " ").strip()
    number = re.match(r"-?\d+(\.\d+)?(e-?\d+)?", plain)
    if number is None:
        return None
    return float(number[0]) / 100 if plain.endswith("%") else float(number[0])


def _words(html: str) -> str:
    """What a page says, for an error."""
    plain = re.sub(r"<(script|style|head).*?</\1>|<[^>]+>", " ", html, flags=re.S)
    return f"it says: {' '.join(plain.split())[:300]}"


# The crowd


@asynccontextmanager
async def browser(crowd: Crowd) -> AsyncIterator[httpx.AsyncClient]:
    """One bot's own HTTP client, with its own cookies."""
    async with httpx.AsyncClient(
        base_url=crowd.address, follow_redirects=True, timeout=30, trust_env=False, limits=httpx.Limits(keepalive_expiry=3)
    ) as http:
        yield http


async def rehearse(
    crowd: Crowd,
    addresses: Sequence[str],
    *,
    memory: Memory | None = None,
    at_once: int | None = None,
    diary: Diary | None = None,
) -> Diary:
    """Let one bot an invitation (its address on the server) walk the study; all that they went through.

    Bots arrive one after the other, so that pseudonyms and conditions do not depend on who is quicker; then they walk together,
    at most `at_once` of them. What stops one bot is noted as its trouble; the others go on.
    """
    diary, kept = diary or Diary(), memory or Memory()
    gate = asyncio.Semaphore(at_once or len(addresses))

    async def live(number: int) -> None:
        async with gate, browser(crowd) as http:
            bot = Bot(crowd, crowd.plan(number), diary, kept, http)
            try:
                await bot.walk()
            except EvenhandError as error:
                diary.troubles.append(str(error))

    for number, address in enumerate(addresses, 1):
        async with browser(crowd) as http:
            await Bot(crowd, crowd.plan(number), diary, kept, http).arrive(address)
    await asyncio.gather(*(live(number) for number in range(1, len(addresses) + 1)))
    return diary
