"""A key rotation while requests run → how many were sent with the old key and the new one, and how many refused."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import TypeAlias

    from ...issuing.signing import SigningKey
    from .tokens import Cast

    Sender: TypeAlias = Callable[[str, str, threading.Event], None]

__all__ = ["Tally", "rotated_under_load"]

_LEAST = 20  # requests of each kind at each door
_BEFORE = 0.4
_AFTER = 0.8
_AT_MOST = 10.0
_OK = 200


class Tally:
    """How many requests with one key one door has let in, and how many not."""

    __slots__ = ("passed", "refused")

    def __init__(self) -> None:
        self.passed = 0
        self.refused = 0

    @property
    def sent(self) -> int:
        """How many there were."""
        return self.passed + self.refused

    def add(self, status: int) -> None:
        """Count one answer; 0 stands for none."""
        if status == _OK:
            self.passed += 1
        else:
            self.refused += 1


def rotated_under_load(
    cast: Cast, following: SigningKey, urls: dict[str, str]
) -> tuple[dict[str, Tally], dict[str, Tally]]:
    """Rotate the issuer's key to *following* while a thread for each door sends good tokens.

    Returns the tallies of the old key and of the new one, by door.
    Before the rotation all tokens are by the old key, after it every other one.
    """
    old, new = {name: Tally() for name in urls}, {name: Tally() for name in urls}

    def send(name: str, url: str, stop: threading.Event) -> None:
        with httpx.Client(base_url=url, trust_env=False, timeout=10) as client:
            while not stop.is_set():
                old[name].add(_status(client, cast.old()))
                if cast.issuer.keyring.current is not cast.first:
                    new[name].add(_status(client, cast.good()))

    with _running(send, urls):
        _wait(old, _BEFORE)
        cast.issuer.keyring.rotate(following)
        _wait(new, _AFTER)
    return old, new


def _wait(tallies: dict[str, Tally], seconds: float) -> None:
    """Wait *seconds*, and longer on a slow machine, until there is something to count."""
    began = time.monotonic()
    while (waited := time.monotonic() - began) < _AT_MOST:
        if waited >= seconds and all(tally.sent >= _LEAST for tally in tallies.values()):
            return
        time.sleep(0.02)


@contextmanager
def _running(send: Sender, urls: dict[str, str]) -> Generator[None]:
    stop = threading.Event()
    threads = [threading.Thread(target=send, args=(name, url, stop), daemon=True) for name, url in urls.items()]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _status(client: httpx.Client, token: str) -> int:
    try:
        return client.get("/orders", headers={"Authorization": f"Bearer {token}"}).status_code
    except httpx.HTTPError:
        return 0
