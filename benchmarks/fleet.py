"""Workers that verify all day, by a simulated clock → how often their issuer is asked, with and without a store.

``python -m benchmarks.fleet`` runs the flows of real key sources, one for each worker, and answers what they ask for:
the issuer and the store take a moment, claims and values end when their time is over.  Nothing is computed that a
fleet would not do; only the time in which a worker needs nothing is skipped.
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
import random
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import GeneratorType
from typing import Any, TypeAlias
from xml.sax.saxutils import escape

from jwt_guard import KeySettings
from jwt_guard.flow import Alone, Entry, Fetch, Flow, Later, Need, Pause, Reply, Stored
from jwt_guard.sources.jwks import RemoteKeys
from jwt_guard.testing import LocalIssuer
from jwt_guard.tokens.compact import DEFAULT_LIMITS, UnverifiedToken, parse

from .drawing import table

__all__ = ["GOAL", "WORKERS", "Fleet", "drawn", "fetches_per_hour", "rows"]

WORKERS = (1, 10, 100, 1_000, 10_000)
GOAL = 24.0
"""Fetches per hour of a whole fleet that shares a store, whatever its size: two in each age of a set."""
HOUR = 3_600.0
PICTURE = Path(__file__).parent.parent / "docs" / "figures" / "fleet.svg"
PAGE = Path(__file__).parent.parent / "docs" / "explanation" / "fetches-at-the-issuer.table.md"

_STORE = "redis://store.test:6379/0"
_ISSUER_TAKES = 0.05  # seconds
_STORE_TAKES = 0.001
_BETWEEN_REQUESTS = 1.0  # seconds on average, at each worker
_STARTING = 60.0  # seconds in which all workers start
_WARMING_UP = 900.0
_SAY_AFTER = 2.0

_Process: TypeAlias = Generator[Need, Any, object]


@dataclass(slots=True)
class _Work:
    """One run of a flow, and what happens when it ends."""

    flow: _Process
    then: Callable[[], object] | None = None


class Fleet:
    """*workers* with one issuer, and one store where it is *shared*."""

    def __init__(self, workers: int, *, shared: bool, seed: int = 0) -> None:
        self.now = 0.0
        self.fetches: list[float] = []
        """When the issuer was asked."""
        self._chance = random.Random(seed)
        self._events: list[tuple[float, int, Callable[[], object]]] = []
        self._number = 0
        self._store: dict[str, tuple[bytes, float]] = {}
        self._under_way: dict[object, list[Callable[[], object]]] = {}
        issuer = LocalIssuer()
        self._token: UnverifiedToken = parse(issuer.token(lifetime=100 * HOUR), DEFAULT_LIMITS)
        self._body = json.dumps(issuer.keyring.jwks()).encode()
        settings = KeySettings(store=_STORE if shared else None)
        for _ in range(workers):
            source = RemoteKeys(_where, settings, self._clock, name="the issuer", chance=self._chance.random)
            self._at(self._chance.uniform(0, _STARTING), self._request_to(source))

    def run(self, until: float, note: Callable[[float], object] = lambda _: None) -> None:
        """Let the time pass *until* then."""
        while self._events and self._events[0][0] <= until:
            self.now, _, happen = heapq.heappop(self._events)
            happen()
            note(self.now)
        self.now = until

    def _clock(self) -> float:
        return self.now

    def _at(self, when: float, happen: Callable[[], object]) -> None:
        self._number += 1
        heapq.heappush(self._events, (when, self._number, happen))

    def _request_to(self, source: RemoteKeys) -> Callable[[], None]:
        def arrive() -> None:
            answer = source(self._token)
            if isinstance(answer, GeneratorType):
                self._begin(_Work(answer))
            # Requests come by chance, so that after any moment the next one takes as long to come as after another.
            # Until the set is due none of them needs anything: they are not simulated.
            quiet = source.state().next_refresh or 0.0
            self._at(self.now + quiet + self._chance.expovariate(1 / _BETWEEN_REQUESTS), arrive)

        return arrive

    # --- a runner ---------------------------------------------------------------------------------

    def _begin(self, work: _Work) -> None:
        self._go_on(work, work.flow.send, None)

    def _go_on(self, work: _Work, step: Callable[[Any], Need], answer: object) -> None:
        try:
            need = step(answer)
        except StopIteration:
            if work.then is not None:
                work.then()
            return
        self._answer(work, need)

    def _answer(self, work: _Work, need: Need) -> None:
        def go_on(answer: object = None) -> None:
            self._go_on(work, work.flow.send, answer)

        match need:
            case Fetch():
                self.fetches.append(self.now)
                self._at(self.now + _ISSUER_TAKES, lambda: go_on(self._reply(need.headers)))
            case Stored():
                self._at(self.now + _STORE_TAKES, lambda: go_on(self._stored(need)))
            case Pause(seconds):
                self._at(self.now + seconds, go_on)
            case Later(key, flow):
                self._alone(key, flow)
                go_on()
            case Alone(key, flow, deadline):
                waiting = [True]

                def once() -> None:
                    if waiting.pop() if waiting else False:
                        go_on()

                self._alone(key, flow).append(once)
                self._at(self.now + deadline, once)
            case _:
                raise TypeError(need)

    def _alone(self, key: object, flow: Callable[[], Flow[None]]) -> list[Callable[[], object]]:
        """Run *flow* unless one with this *key* is under way; return who is told of its end."""
        told = self._under_way.get(key)
        if told is None:
            told = self._under_way[key] = []

            def over() -> None:
                for tell in self._under_way.pop(key):
                    tell()

            # At once, but not before whoever asked has said that it waits.
            self._at(self.now, lambda: self._begin(_Work(flow(), over)))
        return told

    def _reply(self, headers: Mapping[str, str]) -> Reply:
        if headers.get("If-None-Match") == '"keys"':
            return Reply(304, {"etag": '"keys"'}, b"")
        return Reply(200, {"etag": '"keys"'}, self._body)

    def _stored(self, need: Stored) -> Entry | bool | None:
        value, end = self._store.get(need.key, (b"", -math.inf))
        is_there = end > self.now
        if need.command == "read":
            return Entry(value, end - self.now) if is_there else None
        if need.command == "claim" and is_there:
            return False
        self._store[need.key] = (need.value, self.now + need.lifetime)
        return True if need.command == "claim" else None


def _where(*_: object) -> Flow[str]:
    return "https://issuer.test/jwks"
    yield  # a flow that needs nothing


def fetches_per_hour(
    workers: int, *, shared: bool, hours: float = 1.0, note: Callable[[float], object] = lambda _: None
) -> float:
    """Return how often *workers* ask the issuer in an hour, once all of them have been running for a while."""
    fleet = Fleet(workers, shared=shared)
    fleet.run(_WARMING_UP, lambda now: note(now / (_WARMING_UP + hours * HOUR)))
    before = len(fleet.fetches)
    fleet.run(_WARMING_UP + hours * HOUR, lambda now: note(now / (_WARMING_UP + hours * HOUR)))
    return (len(fleet.fetches) - before) / hours


def rows(workers: Sequence[int] = WORKERS, *, progress: bool = False) -> list[tuple[int, float, float]]:
    """Return for each size of a fleet the fetches per hour without a store and with one."""
    found = []
    for size in workers:
        figures = [
            fetches_per_hour(size, shared=shared, note=_Progress(size, shared=shared) if progress else lambda _: None)
            for shared in (False, True)
        ]
        found.append((size, figures[0], figures[1]))
    return found


class _Progress:
    """Says now and then how far a simulation is, if it takes long."""

    def __init__(self, workers: int, *, shared: bool) -> None:
        self._what = f"{workers:,} workers {'with' if shared else 'without'} a store"
        self._next = time.monotonic() + _SAY_AFTER

    def __call__(self, share: float) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _SAY_AFTER
            print(f"{self._what}: {share:.0%}", file=sys.stderr, flush=True)


# --- the picture --------------------------------------------------------------------------------------

_LEFT, _TOP, _WIDTH, _HEIGHT = 90, 50, 460, 260
_LINES = {"without a store": "#9aa5b1", "with a store": "#1f6f5c"}


def drawn(figures: Sequence[tuple[int, float, float]]) -> str:
    """Draw both lines over the number of workers; both scales are logarithmic."""
    tens_across = max(1, math.ceil(math.log10(figures[-1][0])))
    tens_up = max(1, math.ceil(math.log10(max(max(each[1:]) for each in figures))))

    def x(workers: float) -> float:
        return _LEFT + _WIDTH * math.log10(workers) / tens_across

    def y(fetches: float) -> float:
        return _TOP + _HEIGHT * (1 - math.log10(max(1.0, fetches)) / tens_up)

    parts = []
    for ten in range(tens_across + 1):
        at = x(10**ten)
        parts.append(f'<line x1="{at:.1f}" y1="{_TOP}" x2="{at:.1f}" y2="{_TOP + _HEIGHT}" stroke="#e4e9ed"/>')
        parts.append(f'<text x="{at:.1f}" y="{_TOP + _HEIGHT + 18}" text-anchor="middle">{10**ten:,}</text>')
    for ten in range(tens_up + 1):
        at = y(10**ten)
        parts.append(f'<line x1="{_LEFT}" y1="{at:.1f}" x2="{_LEFT + _WIDTH}" y2="{at:.1f}" stroke="#e4e9ed"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{10**ten:,}</text>')
    for column, (name, colour) in enumerate(_LINES.items(), 1):
        points = [(x(each[0]), y(each[column])) for each in figures]
        path = " ".join(f"{across:.1f},{up:.1f}" for across, up in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2.5"/>')
        parts += [f'<circle cx="{across:.1f}" cy="{up:.1f}" r="4" fill="{colour}"/>' for across, up in points]
        across, up = points[-1]
        parts.append(f'<text x="{across + 12:.1f}" y="{up + 4:.1f}" fill="{colour}">{escape(name)}</text>')
    title = "Fetches per hour at the issuer"
    width, height = _LEFT + _WIDTH + 120, _TOP + _HEIGHT + 50
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="system-ui, sans-serif" font-size="12" fill="#1c2733" role="img">\n'
        f"<title>{title}</title>\n"
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>\n'
        f'<text x="8" y="20" font-size="14" font-weight="bold">{title}</text>\n'
        + "\n".join(parts)
        + f'\n<text x="{_LEFT + _WIDTH / 2}" y="{height - 12}" text-anchor="middle">workers</text>\n</svg>\n'
    )


def main() -> int:
    """Simulate, print the table, and make the picture and the table of the documentation anew."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet", description=__doc__)
    parser.add_argument("--most", type=int, default=WORKERS[-1], help="workers at most; fewer leave the docs alone")
    arguments = parser.parse_args()
    sizes = [size for size in WORKERS if size <= arguments.most]
    figures = rows(sizes, progress=True)
    text = table(
        ["workers", "fetches per hour without a store", "with a store"],
        [[f"{size:,}", f"{without:,.0f}", f"{shared:,.0f}"] for size, without, shared in figures],
    )
    print(text)
    if sizes == list(WORKERS):
        PICTURE.write_text(drawn(figures), encoding="utf-8")
        PAGE.write_text(f"{text}\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
