"""Calls that the server's own description (OpenAPI) allows, and ones that it does not: each is answered, and none is its failure.

schemathesis makes them, from a fixed seed; the time that they take together is bounded.
"""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis.generation import GenerationMode
from schemathesis.schemas import APIOperation

from evenhand.web import api
from evenhand.web.access import PERMISSIONS, Role
from tests.test_access import STREAMS
from tests.web import Caller, Site, evaluated, toy_site, tuned_study

MOST_SECONDS = 20.0  # of all calls together
EXAMPLES = 8  # of each call, in each mode
SEED = 13


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with toy_site(tmp_path_factory.mktemp("schema")) as made:
        _, session, agent = tuned_study(made)
        evaluated(made, session.id, agent, 0.5, 0.6)
        yield made


@pytest.mark.slow
def test_calls_made_from_the_servers_description_are_answered(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "LONGEST_WAIT_SECONDS", 0.01)
    document = site.app.openapi()
    document["paths"] = {path: calls for path, calls in document["paths"].items() if not path.endswith(STREAMS)}
    callers = {role: site.caller(role, 0 if role is Role.PUBLIC else 1) for role in Role}
    until, answers = time.monotonic() + MOST_SECONDS, Counter[int]()
    for described in schemathesis.openapi.from_dict(document).get_all_operations():
        operation: APIOperation[Any, Any, Any, Any] = described.ok()  # type: ignore[union-attr]
        method, path = operation.method.upper(), operation.path
        if not path.startswith("/api/") and method != "GET":
            continue  # forms are not described: `test_fuzz_web` has them
        for mode in GenerationMode:
            if time.monotonic() < until:
                answer_all(operation, mode, callers[PERMISSIONS[method, path]], answers)
    assert {200, 400} <= answers.keys()
    assert max(answers) < 500


def answer_all(operation: APIOperation[Any, Any, Any, Any], mode: GenerationMode, caller: Caller, answers: Counter[int]) -> None:
    """Some calls of one mode: those that are allowed, or those that are not."""

    @hypothesis.seed(SEED)
    @hypothesis.settings(max_examples=EXAMPLES, database=None, deadline=None, suppress_health_check=list(hypothesis.HealthCheck))
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    def answered(case: Any) -> None:
        headers = {name: value for name, value in caller.http.headers.items() if name == "authorization"}
        answer = case.call(base_url=caller.site.address, headers=headers, cookies=dict(caller.http.cookies))
        assert answer.status_code < 500, (case.method, case.path, answer.text)
        answers[answer.status_code] += 1

    with suppress(hypothesis.errors.Unsatisfiable):  # of a call without a parameter there is nothing that is not allowed
        answered()
