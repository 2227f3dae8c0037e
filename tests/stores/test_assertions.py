"""One assertion, many processes, threads and tasks that are shown it at once, one store → exactly one takes it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import Counter

from jwt_guard.access.once import Once
from jwt_guard.issuing.client_authentication import Authenticated, Client, Clients, OAuthError
from jwt_guard.runners import awaiting, blocking
from tests.support.assertions import CLIENT, FORM, TOKEN_URL, assertion, form, jwks
from tests.support.minting import NOW
from tests.support.servers import StoreServer, until

ROUNDS = 25
PROCESSES, THREADS = 3, 4

TAKING = """
import json, sys, threading
import jwt_guard.stores.redis
from jwt_guard.access.once import Once
from jwt_guard.issuing.client_authentication import Authenticated, Client, Clients
from jwt_guard.runners import blocking

jwt_guard.stores.redis.DEADLINE = 10.0
store, client, keys, audience, now, threads = json.loads(sys.argv[1])
clients = Clients([Client(client, jwks=keys)], audience, once=Once(store), clock=lambda: now)
print("ready", flush=True)
bodies = [line.encode() for line in sys.stdin.readline().split()]
start, taken = threading.Barrier(threads), []

def ask():
    for number, body in enumerate(bodies):
        start.wait()
        found = blocking.run(clients.authenticate(body, "application/x-www-form-urlencoded"))
        if isinstance(found, Authenticated):
            taken.append(number)
        else:
            assert found.error == "invalid_client", found

workers = [threading.Thread(target=ask) for _ in range(threads)]
[worker.start() for worker in workers]
[worker.join() for worker in workers]
print(*taken)
"""


def shared(server: StoreServer) -> Clients:
    return Clients([Client(CLIENT, jwks=jwks())], TOKEN_URL, once=Once(server.url), clock=lambda: NOW)


def test_of_many_processes_and_threads_one_takes_an_assertion(server: StoreServer) -> None:
    bodies = [form(client_assertion=assertion(claims={"jti": str(number)})) for number in range(ROUNDS)]
    settings = json.dumps([server.url, CLIENT, jwks(), TOKEN_URL, NOW, THREADS])
    words = [sys.executable, "-c", TAKING, settings]
    processes = [
        subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(PROCESSES)
    ]
    for process in processes:
        assert process.stdout is not None
        assert "ready\n" == process.stdout.readline()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b" ".join(bodies).decode() + "\n")
        process.stdin.flush()
    taken = Counter(int(number) for process in processes for number in process.communicate(timeout=60)[0].split())

    assert [0] * PROCESSES == [process.returncode for process in processes]
    assert dict.fromkeys(range(ROUNDS), 1) == taken


def test_of_many_tasks_one_takes_it_and_later_ones_do_not(server: StoreServer) -> None:
    async def ask() -> list[Authenticated | OAuthError]:
        flows = [shared(server).authenticate(form(), FORM) for _ in range(40)]
        return await asyncio.gather(*map(awaiting.run, flows))

    found = asyncio.run(ask())

    assert 1 == sum(isinstance(each, Authenticated) for each in found)
    assert {"jti: was used before"} == {each.reason for each in found if isinstance(each, OAuthError)}
    assert isinstance(blocking.run(shared(server).authenticate(form(), FORM)), OAuthError)


def test_it_is_refused_while_the_store_is_down_and_can_be_shown_again_after(server: StoreServer) -> None:
    of = shared(server)
    server.kill()
    found = blocking.run(of.authenticate(form(), FORM))

    assert isinstance(found, OAuthError)
    assert ("temporarily_unavailable", 503) == (found.error, found.status)
    server.start()
    until(lambda: isinstance(blocking.run(of.authenticate(form(), FORM)), Authenticated))
