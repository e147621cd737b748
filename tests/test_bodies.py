"""What requests bring: limits of length and time, text that every codec can write, numbers within bounds."""

import asyncio
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from evenhand.errors import InvalidSettings
from evenhand.model.task import TaskRecord, TaskSpec
from evenhand.model.typed_numbers import whole_number
from evenhand.store.engine import read_json, written_json
from evenhand.web import api, bodies, serving
from evenhand.web.access import Role
from tests.components import DATABASES
from tests.labs import SPACE, database, make_lab
from tests.waiting import PATIENCE_SECONDS
from tests.web import Site, toy_site, tuned_study, tuning_participant

HALF, WHOLE = "a\ud83dz", "a\N{REPLACEMENT CHARACTER}z"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with toy_site(tmp_path_factory.mktemp("bodies")) as made:
        study, _, _ = tuned_study(made)
        tuning_participant(made, study)
        yield made


def scope_of(**headers: str) -> dict[str, Any]:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "path": "/x", "query_string": b"", "headers": pairs}


def mended(body: bytes, **headers: str) -> bytes:
    return asyncio.run(bodies.mended(scope_of(**headers), body))[1]


def test_a_form_beyond_its_limit_is_refused_in_words(site: Site) -> None:
    answer = site.caller().post("/resume", {"code": "x" * bodies.FORM_BYTES})
    assert answer.status_code == 413
    assert "This request has 64,005 bytes, and 64 kB (64,000 bytes) is the most that is taken here" in answer.text
    assert "back button leads back to the form" in answer.text
    assert answer.headers["content-type"].startswith("text/html")
    agent = site.caller(Role.AGENT, 1)
    long = agent.http.post("/api/agent/measure", content=b" " * (bodies.AGENT_BYTES + 1))
    assert long.status_code == 413
    assert "8 MB" in long.json()["message"]


def test_many_long_texts_of_any_letters_are_taken(site: Site) -> None:
    answers = {f"text_{number}": "\N{CJK UNIFIED IDEOGRAPH-4E00}" * 20_000 for number in range(20)}
    assert site.caller(Role.PARTICIPANT, 1).post("/p/1/questions/background", answers).status_code != 413


def test_a_body_in_chunks_is_counted(site: Site) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(bodies.FORM_BYTES // 1000 + 1):
            yield b"x" * 1000

    form = {"content-type": "application/x-www-form-urlencoded"}
    assert httpx.post(f"{site.address}/resume", content=chunks(), headers=form).status_code == 413


def test_a_said_length_is_believed_before_anything_is_read(site: Site) -> None:
    with socket.create_connection(("127.0.0.1", int(site.address.rpartition(":")[2])), PATIENCE_SECONDS) as line:
        line.sendall(b"POST /resume HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99999999\r\n\r\n")
        assert line.recv(100).startswith(b"HTTP/1.1 413")


def test_a_body_that_does_not_come_is_not_waited_for(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.05)
    with socket.create_connection(("127.0.0.1", int(site.address.rpartition(":")[2])), PATIENCE_SECONDS) as line:
        line.sendall(b"POST /resume HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\nx")
        assert line.recv(100).startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nhost: local"], ids=["nothing", "half of the headers"])
def test_headers_that_do_not_come_are_not_waited_for(begun: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "HEADER_SECONDS", 0.05)

    async def nothing(scope: Any, receive: Any, send: Any) -> None: ...

    async def connected() -> bytes:
        config = serving._config(nothing, "127.0.0.1", 0)  # type: ignore[arg-type]
        config.load()
        state = uvicorn.server.ServerState()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: serving.PunctualProtocol(config=config, server_state=state, app_state={}), "127.0.0.1", 0
        )
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(begun)
        left = await asyncio.wait_for(reader.read(), PATIENCE_SECONDS)
        writer.close()
        server.close()
        return left

    assert asyncio.run(connected()) == b""


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"a": HALF}).encode(),
        json.dumps({"a": HALF}, ensure_ascii=False).encode("utf-8", "surrogatepass"),
        json.dumps({"a": HALF}, ensure_ascii=False).encode("utf-16", "surrogatepass"),
        json.dumps({"a": HALF}, ensure_ascii=False).encode("utf-32-be", "surrogatepass"),
        json.dumps({"a": "a\0z"}).encode(),
    ],
    ids=["escaped", "utf-8", "utf-16", "utf-32", "zero"],
)
def test_no_json_brings_half_a_character(body: bytes) -> None:
    assert json.loads(mended(body, content_type="application/json")) == {"a": WHOLE}


@pytest.mark.parametrize("length", [1, bodies.LONG_BYTES], ids=["short", "long"])
@pytest.mark.parametrize("escaped", [True, False], ids=["escaped", "plain"])
def test_whole_text_stays_as_it_is(escaped: bool, length: int) -> None:
    text = "\N{GRINNING FACE} \\ud800 \\\\\N{GRINNING FACE}" + "\\" * length
    body = json.dumps({"a": text}, ensure_ascii=escaped).encode()
    assert json.loads(mended(body)) == {"a": text}
    assert json.loads(mended(body[:-2] + b'\\uD83D"}')) == {"a": f"{text}\N{REPLACEMENT CHARACTER}"}


def test_json_is_mended_without_being_read() -> None:
    nested = b"[" * 100_000 + b'"\\ud83d"'  # no reader that calls itself gets to the end of it
    assert mended(nested) == nested.replace(b"\\ud83d", b"\\ufffd")
    assert mended(b'{"a": 1.0000000000000000000001, "a": "\\ud83d"}') == b'{"a": 1.0000000000000000000001, "a": "\\ufffd"}'
    assert mended(b"\xff\xfe\0") == b"\xff\xfe\0"  # no text: whoever reads it refuses it


def test_a_zero_in_a_form_is_read_as_the_docs_say() -> None:
    assert mended(b"a=%00b", content_type="application/x-www-form-urlencoded") == b"a=%EF%BF%BDb"
    assert mended(b"--x\r\n\r\na\0z", content_type="multipart/form-data; boundary=x").decode().endswith(WHOLE)


def test_what_brings_no_body_keeps_its_headers() -> None:
    scope = scope_of(content_type="text/html; charset=utf-8")
    assert asyncio.run(bodies.mended(scope, b""))[0]["headers"] is scope["headers"]


def test_no_form_brings_half_a_character(site: Site) -> None:
    caller = site.caller(Role.RESEARCHER)
    edge = "edge"
    fields = {"csrf_token": caller.identity.csrf_token, "kind": "open", "mode": "live", "label": "a+2D0-z"}
    parts = "".join(
        f'--{edge}\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()
    )
    kind = f"multipart/form-data; boundary={edge}; charset=utf-7"
    answer = caller.http.post("/studies/1/invitations", content=f"{parts}--{edge}--", headers={"content-type": kind})
    assert answer.status_code == 200
    assert site.lab.participants.batches(1)[-1].label == "a+2D0-z"


@pytest.mark.parametrize("text", [HALF, "a\0z"])
def test_stored_json_can_be_written_to_a_file(text: str) -> None:
    assert read_json(written_json({"\\u0000": [text, "\N{GRINNING FACE}", "\\ud800", "\\u0000"]})) == {
        "\\u0000": [WHOLE, "\N{GRINNING FACE}", "\\ud800", "\\u0000"]
    }


@pytest.mark.parametrize("backend", DATABASES)
@pytest.mark.parametrize("name", [HALF, "a\0z"])
def test_a_name_that_no_database_keeps_is_refused_and_never_another_one(name: str, backend: str, tmp_path: Path) -> None:
    with database(backend, tmp_path) as url:
        lab, _ = make_lab(url)
        spec = TaskSpec("toy", {"within": [{name: 1}]})
        with pytest.raises(InvalidSettings, match="holds a zero or half a character"):
            lab.studies.add_task(TaskRecord(spec, "version 1", SPACE, "accuracy", "maximize", 10))
        lab.close()


@pytest.mark.parametrize(("text", "number"), [("7", 7), (" 7 ", 7), ("²", None), ("٣", None), ("9" * 5000, None), ("-1", None)])
def test_a_whole_number_is_ascii_and_short(text: str, number: int | None) -> None:
    assert whole_number(text) == number


@pytest.mark.parametrize("number", ["²", str(2**63), "9" * 5000, "٣", "-1"])
def test_no_number_breaks_a_page(number: str, site: Site) -> None:
    researcher, person = site.caller(Role.RESEARCHER), site.caller(Role.PARTICIPANT, 1)
    session = site.lab.participants.get(1).session_id
    for address in (f"/sessions/{number}", f"/studies/1/log?session={number}", f"/sessions/{session}/workbench?from={number}"):
        assert researcher.get(address).status_code < 500
    for place in (f"tune?from={number}", f"tune?since={number}", f"final?number={number}", f"trials/{number}/curve"):
        assert person.get(f"/p/1/{place}").status_code < 500
    assert researcher.post("/studies/1/invitations", {"kind": "open", "mode": "live", "cap": number}).status_code < 500
    assert person.post("/p/1/final", {"number": number}).status_code < 500


def test_reports_of_agents_are_held_in_bounds(site: Site, tmp_path: Path) -> None:
    agent = site.caller(Role.AGENT, 1)
    point: list[Any] = [0, 1, None, 0.5, None, 1.0, {}]

    def answer(rows: list[Any]) -> httpx.Response:
        return agent.http.post("/api/agent/measure", json={"reports": [[1, 1, rows]]})

    assert answer([point]).status_code == 200
    for place, wrong in ((0, -1), (0, 2**31), (1, -1), (2, -1), (2, 2**64), (5, -1.0), (6, {str(n): 1.0 for n in range(101)})):
        assert answer([[*point[:place], wrong, *point[place + 1 :]]]).status_code == 400
    many = answer([point] * (api.MOST_REPORTED_MEASUREMENTS + 1))
    assert many.status_code == 400
    assert str(api.MOST_REPORTED_MEASUREMENTS) in many.json()["message"]
    assert agent.http.post("/api/agent/hello", json={"slots": -1}).status_code == 400
    assert agent.http.post("/api/agent/hello", json={"slots": 1, "machine": "x" * 201}).status_code == 400
