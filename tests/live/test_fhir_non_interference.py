"""Two servers of other people that differ in what a token may not know → the same answers, whatever it asks of both."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from random import Random
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from jwt_guard.fhir.exchange import Answered, Asking
from jwt_guard.fhir.server import Server
from jwt_guard.messages import Response
from jwt_guard.tokens.sealing import Sealer
from tests.fhir.non_interference import SERVER, Case, Played, compared, play, resources_of, told
from tests.support.fhir_requests import Requests, Step
from tests.support.fhir_store import Habits
from tests.support.fhir_worlds import a_scope_list, a_world, another_world

from .conftest import missing
from .fhir_servers import RealServer, is_installed, medplum, sekmet

SEALER = Sealer()
WORLDS = {"sekmet": 3, "medplum": 2}
SEQUENCES = 72
"""In each pair of worlds: more than 200 for the server that has all that is tried."""

_UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIME = re.compile(rb"20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:.]+(?:Z|[+-][0-9:]{5})")
_TIMELESS = ("last-modified", "date")


class Upstream:
    """A server at a URL, as the guard's flows ask it."""

    def __init__(self, server: RealServer) -> None:
        self.base = server.base
        self.client = server.client

    def __call__(self, asking: Asking) -> Answered:
        query = urlencode(asking.query)
        url = f"{self.base}{'' if asking.path == '/' else asking.path}{'?' if query else ''}{query}"
        request = httpx.Request(asking.method, url, headers=list(asking.headers), content=asking.body)
        answer = self.client.send(request)
        headers = tuple((name.lower(), value) for name, value in answer.headers.items())
        return Answered(answer.status_code, headers, answer.content)


@pytest.fixture(params=[(kind, number) for kind, count in WORLDS.items() for number in range(count)], ids=str)
def worlds(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Give a case without steps, the two servers with its worlds, and what else chance has in store."""
    kind, number = request.param
    chance = Random(f"{kind} {number}")
    one, other_id = a_world(chance, size=10)
    scopes = next(found for found in iter(lambda: a_scope_list(chance), None) if len(found) < 3)
    case = Case(scopes, Habits(), one, another_world(chance, one, other_id, scopes), ())
    with ExitStack() as stack:
        running: list[RealServer] = []
        for world in (case.one, case.other):
            if kind == "medplum":
                running.append(stack.enter_context(medplum(request.getfixturevalue("usable_node"))))
            elif not is_installed():
                missing("sekmet-fhir cannot be had: there is no package registry here")
            else:
                running.append(stack.enter_context(sekmet(tmp_path_factory.mktemp("sekmet"))))
            running[-1].put(resources_of(world))
        yield case, running, chance, other_id


def test_no_answer_tells_of_what_a_token_may_not_know(worlds: Any) -> None:
    case, servers, chance, other_id = worlds
    statuses: list[int] = []
    for _ in range(SEQUENCES):
        requests = Requests(chance, case.one, other_id, case.scopes)
        steps = tuple(step for step in (requests.one() for _ in range(chance.randint(2, 6))) if is_comparable(step))
        plays: list[list[Played]] = []
        for server in servers:
            known = replace(SERVER, also_known_as=(*SERVER.also_known_as, server.base))
            plays.append([stripped(each) for each in played(replace(case, steps=steps), server, known)])
        found = compared(case, plays[0], plays[1])
        statuses += [each.answer.status for each in plays[0]]

        assert found is None, told(replace(case, steps=steps), found)
        assert not any(server.base.encode() in each.answer.body for server in servers for each in plays[0])
    assert statuses.count(200) > len(statuses) / 5


def played(case: Case, server: RealServer, known: Server) -> list[Played]:
    return play(case, Upstream(server), SEALER, known)


def is_comparable(step: Step) -> bool:
    """Say whether what *step* gets does not hang on ids and times, of which each server makes its own."""
    is_sorted = any("_id" in value or "_lastUpdated" in value for name, value in step.query if name == "_sort")
    return step.path != "/metadata" and not is_sorted  # what that says is of the server, and of nobody


def stripped(one: Played) -> Played:
    """Return *one* without the ids and times that a server makes, and its entries in an order that hangs on neither."""
    body = _TIME.sub(b"<time>", _UUID.sub(b"<id>", one.answer.body))
    if body.startswith(b"{"):
        document = json.loads(body)
        if isinstance(document.get("entry"), list) and "response" not in document.get("type", ""):
            document["entry"].sort(key=lambda entry: json.dumps(entry, sort_keys=True))
        body = json.dumps(document).encode()
    headers = tuple(
        (name, _UUID.sub(b"<id>", value.encode()).decode())
        for name, value in one.answer.headers
        if name not in _TIMELESS
    )
    return Played(one.sent, Response(one.answer.status, headers, body))
