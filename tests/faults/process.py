"""Requests, one a line → what a guard in this process, or in one that was forked from it, says of each.

``process.py ISSUER AUDIENCE SETTINGS JWKS_URL``; a request is a JSON list: a way and a token, or "fork" and a number.
Who is forked answers what comes to it through ``["child", number, way, token]``.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import IO, Any

import jwt_guard
from jwt_guard.errors import GuardError
from jwt_guard.stores import redis


def serve(guard: jwt_guard.Guard, requests: IO[str], answers: IO[str]) -> None:
    children: list[tuple[IO[str], IO[str]]] = []
    for line in requests:
        way, *arguments = json.loads(line)
        answer: str | None
        if way == "fork":
            for _ in range(arguments[0]):
                children.append(forked(guard, children))
            answer = "forked"
        elif way == "child":
            there, back = children[arguments.pop(0)]
            print(json.dumps(arguments), file=there, flush=True)
            answer = json.loads(back.readline())
        else:
            answer = said(guard, way, *arguments)
        print(json.dumps(answer), file=answers, flush=True)
    for there, back in children:
        there.close()
        back.read()


def forked(guard: jwt_guard.Guard, others: list[tuple[IO[str], IO[str]]]) -> tuple[IO[str], IO[str]]:
    (requests, there), (back, answers) = os.pipe(), os.pipe()
    if os.fork() == 0:
        for end in (there, back, *(file.fileno() for pair in others for file in pair)):
            os.close(end)
        serve(guard, os.fdopen(requests), os.fdopen(answers, "w"))
        os._exit(0)
    os.close(requests)
    os.close(answers)
    return os.fdopen(there, "w"), os.fdopen(back)


def said(guard: jwt_guard.Guard, way: str, token: str) -> str | None:
    try:
        if way == "threads":
            return jwt_guard.verify(guard, token).user
        if way == "asyncio":
            return asyncio.run(jwt_guard.averify(guard, token)).user
        import trio

        return trio.run(jwt_guard.averify, guard, token).user
    except GuardError as error:
        return type(error).__name__


def main(issuer: str, audience: str, settings: str, jwks_url: str) -> None:
    setattr(redis, "DEADLINE", 10.0)  # noqa: B010 - it is Final, and a crowded machine is slow
    values: dict[str, Any] = json.loads(settings)
    if "snapshot" in values:
        values["snapshot"] = Path(values["snapshot"])
    how = jwt_guard.KeySettings(**values)
    keys = jwt_guard.jwks(jwks_url, how) if jwks_url else jwt_guard.discovered(issuer, settings=how)
    serve(jwt_guard.Guard([jwt_guard.Provider("test", issuer, audience, keys)]), sys.stdin, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
