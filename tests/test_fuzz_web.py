"""Bytes into every form and every call: whatever comes, no answer says that the server failed. Seeded, and bounded in number."""

import json
import random
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from evenhand.web import api
from evenhand.web.access import COOKIE_NAMES, PERMISSIONS, Role
from evenhand.web.pages import TEMPLATE_FOLDER
from tests.test_access import STREAMS
from tests.web import SUBJECTS, Site, evaluated, run_by_hand, toy_site, train, tuned_study, tuning_participant

TRIES_A_ROUTE = 12
HERE = {**SUBJECTS, "run_id": "3"}  # what each parameter of a path stands for in this module's site
TEXTS: list[str | bytes] = [
    "",
    "1",
    "0",
    "-1",
    "²",
    "٣",
    "9" * 5000,
    str(2**63),
    str(2**31),
    "1e400",
    "nan",
    "null",
    "true",
    "a\0b",
    "\ud800".encode("utf-8", "surrogatepass"),
    b"\xff\xfe",
    "\N{GRINNING FACE}",
    "\u202e",
    "../../etc/passwd",
    "{{7*7}}",
    "<script>",
    "'; --",
    "x" * 3000,
    "1.2.3",
    "live",
    "stop 1",
    "[",
    "a" * 40,
    "%",
    "\r\nx: y",
]
VALUES: list[Any] = [
    None,
    True,
    0,
    1,
    -1,
    2**31,
    2**63,
    -(2**64),
    10**400,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "x",
    "\ud800",
    "\0",
    "completed",
    [],
    [1],
    [[1, 1, []]],
    [[1, 1, [[0, 1, 1, 0.5, 0.5, 1.0, {}]]]],
    [[1, 1, [[0, 2, 1, 0.5, 0.5, 1.0, {"\ud800": 1.0}]]]],
    {},
    {"epochs": 2},
    {"learning_rate": "\ud800", "epochs": 2**70},
]
# What every call takes, and the names in templates and addresses.
CALL: dict[str, Any] = {
    "slots": 1,
    "machine": "m",
    "name": "n",
    "environment": None,
    "refused": [],
    "session_id": 0,
    "seconds": 0.0,
    "task_version": "v",
    "checksum": "c",
    "reports": [[1, 1, []]],
    "attempt": 1,
    "outcome": "completed",
    "why": None,
    "rows": [],
    "counts": True,
    "settled": 0,
    "last": 0,
    "task": "",
    "event": 0,
    "measured": False,
    "number": 1,
    "index": -1,
    "configuration": {"epochs": 2},
    "reasons": {},
    "explanation": "",
    "resumes": None,
    "revision": None,
    "key": None,
    "rule": False,
    "held": [],
}
NAME_PATTERN = re.compile(r'name="([a-z_:]+)"|[?&](?:amp;)?([a-z]+)=')
FIELDS = sorted(
    {"".join(names) for page in TEMPLATE_FOLDER.rglob("*.html") for names in NAME_PATTERN.findall(page.read_text())}
    | {"learning_rate", "epochs", "months", "education", "number", "cap", "session", "participant", "key"}
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with toy_site(tmp_path_factory.mktemp("fuzz")) as made:
        study, session, agent = tuned_study(made)
        evaluated(made, session.id, agent, 0.5, 0.6)
        person = tuning_participant(made, study)
        assert person.session_id
        train(made, person.session_id, agent, 0.4)
        assert str(run_by_hand(made, session.task).id) == HERE["run_id"]
        yield made


def address(path: str, chance: random.Random) -> str:
    """A path with odd things where names stand, more often with right ones."""
    filled = re.sub(
        r"\{(\w+)\}", lambda place: HERE[place[1]] if chance.random() < 0.7 else quote(chance.choice(TEXTS), safe=""), path
    )
    return f"{filled}?{pairs(chance)}" if chance.random() < 0.7 else filled


def pairs(chance: random.Random, *known: str) -> str:
    chosen = [f"{quote(name)}={quote(chance.choice(TEXTS), safe='')}" for name in chance.sample(FIELDS, chance.randint(0, 12))]
    return "&".join([*known, *chosen])


def body(chance: random.Random, csrf_token: str, is_api: bool) -> tuple[bytes, str]:
    """What is sent, and what it is said to be."""
    if chance.random() < 0.15:
        return chance.randbytes(chance.randint(0, 200)), chance.choice(
            ["application/json", "multipart/form-data", "text/plain", ""]
        )
    if is_api:
        content = {**CALL, **{key: chance.choice(VALUES) for key in chance.sample(sorted(CALL), chance.randint(0, 2))}}
        return json.dumps(content).encode(), "application/json"
    if chance.random() < 0.3:
        charset = chance.choice(["utf-8", "utf-7", "utf-16", "nonsense", "unicode_escape"])
        typed: dict[str, str | bytes] = {
            "csrf_token": csrf_token,
            **{name: chance.choice(TEXTS) for name in chance.sample(FIELDS, 6)},
        }
        parts = [
            f'--edge\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n'.encode()
            + (value if isinstance(value, bytes) else value.encode())
            for name, value in typed.items()
        ]
        return b"\r\n".join([*parts, b"--edge--"]), f"multipart/form-data; boundary=edge; charset={charset}"
    return pairs(chance, f"csrf_token={csrf_token}").encode(), "application/x-www-form-urlencoded"


def test_a_call_says_all_that_calls_take() -> None:
    bodies = [kind for kind in vars(api).values() if isinstance(kind, type) and is_dataclass(kind)]
    assert CALL.keys() == {part.name for kind in bodies if kind.__module__ == api.__name__ for part in fields(kind)}


@pytest.mark.slow
@pytest.mark.parametrize(("row", "role"), PERMISSIONS.items(), ids=str)
def test_whatever_comes_is_answered(row: tuple[str, str], role: Role, site: Site) -> None:
    method, path = row
    if path.endswith(STREAMS):
        return
    chance = random.Random(f"{method} {path}")
    for _ in range(TRIES_A_ROUTE):
        caller = site.caller(role, {Role.PARTICIPANT: 1, Role.AGENT: 1, Role.METHOD: 1}.get(role, 0))
        wanted = address(path, chance)
        content, kind = (b"", "") if method == "GET" else body(chance, caller.identity.csrf_token, path.startswith("/api/"))
        headers = {"content-type": kind} if kind else {}
        if role in COOKIE_NAMES and chance.random() < 0.9:
            headers["x-csrf-token"] = caller.identity.csrf_token
        try:
            answer = caller.http.request(method, wanted, content=content, headers=headers)
        except httpx.RemoteProtocolError:
            continue  # no HTTP: the server hung up
        assert answer.status_code < 500, f"{method} {wanted[:300]} {kind} {content[:2000]!r}"
        caller.http.close()
