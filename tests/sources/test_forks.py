"""A process that forks while it asks the issuer → a child that does not wait for what only its parent does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.bad_issuer import BadIssuer, answer, hangs, key_set
from tests.support.minting import claims, mint

if sys.platform == "win32":
    pytest.skip("nothing forks here", allow_module_level=True)

PROGRAM = """
import os, sys
from jwt_guard import Guard, KeySettings, Provider, jwks, verify
from jwt_guard.errors import GuardError
from jwt_guard.tokens.compact import parse

url, known, bogus = sys.argv[1:]
source = jwks(url, KeySettings(timeout=30, fresh_for=0, cooldown=1_000))
guard = Guard(
    [Provider(name="t", issuer="https://id.test", audience="orders", keys=source)], clock=lambda: 1_800_000_000
)
print(verify(guard, known).user, flush=True)
sys.stdin.readline()  # until the issuer hangs
print(verify(guard, known).user, flush=True)  # leaves a refresh to the background
sys.stdin.readline()  # until the issuer was asked for it
print("parent", source.state().refreshing, flush=True)
child = os.fork()
if not child:
    print("child", source.state().refreshing, flush=True)
    source._due = float("inf")  # what is due anyway would cost nothing
    for _ in range(5):
        source._allowance.spend(source._clock())
    try:
        verify(guard, bogus)
    except GuardError as error:
        print("child", error.status, flush=True)
    print("child", source.rules_out(parse(bogus).header), flush=True)
    print("child", verify(guard, known).user, flush=True)
    os._exit(0)
print("child ended with", os.waitpid(child, 0)[1], flush=True)
print("parent", source.state().refreshing, flush=True)
"""


def test_a_child_does_not_take_its_parents_fetch_for_its_own() -> None:
    tokens = [mint(claims(sub="ada")), mint(claims(sub="ada"), header={"kid": "bogus"})]
    with BadIssuer() as issuer:
        command = [sys.executable, "-W", "error", "-W", "ignore:This process:DeprecationWarning", "-c", PROGRAM]
        with subprocess.Popen(
            [*command, issuer.url, *tokens],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            cwd=Path(__file__).parents[2],
        ) as process:  # fmt: skip
            assert process.stdin is not None
            issuer.wait_for(lambda: bool(issuer.requests), 60)
            issuer.wait_for(lambda: not issuer.holding)
            issuer.way = hangs(answer(key_set("a")))
            process.stdin.write("the issuer hangs\n")
            process.stdin.flush()
            issuer.wait_for(lambda: issuer.holding == 1, 60)
            said, complained = process.communicate("it was asked\n", timeout=60)

    assert [
        "ada",
        "ada",
        "parent True",
        "child False",
        "child 401",
        "child True",
        "child ada",
        "child ended with 0",
        "parent True",
    ] == said.splitlines()
    assert "" == complained
