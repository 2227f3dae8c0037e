"""Minutes of good and bad tokens, rotations, a failing issuer and a store that dies → how many verdicts were wrong.

``python -m benchmarks.soak`` runs an issuer that rotates at once every 20 seconds and fails a third of all requests,
a store that is killed twice, and processes that verify on threads and on an event loop.  A good token is one whose key
is published and which has not expired; none of them may be refused, and no other one accepted.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import random
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import jwt_guard
from jwt_guard.errors import GuardError, Unavailable
from jwt_guard.testing import FLAWS, LocalIssuer, faults

from .drawing import table
from .stores import StoreServer, programs

if TYPE_CHECKING:
    from jwt_guard.testing import Fault, ServedIssuer

__all__ = ["Outcome", "Plan", "soak"]

GOOD = "good"
SHARE = 1 / 3
"""Of the requests that the issuer fails."""
MEMORY = 1_024
"""Verdicts that each guard remembers, so that the memory is full long before the end."""
FLAT = 1.1
"""How much larger a process may be in the end than after its warm-up, as a factor …"""
FLAT_MEGABYTES = 4.0
"""… or in megabytes."""

_AUDIENCE = "orders"
_THREADS = 3
_TASKS = 8
_TURN = 10  # verifications between breaths
_BREATH = 0.01  # seconds in which others get their turn, too
_MINTED = 6  # good tokens in each batch
_BATCH = 0.1  # seconds
_KEPT = 40  # batches of which tokens are taken
_OLD = 30  # good tokens of each key that go on being used when it signs no longer
_LONGER_THAN_ANYBODY_WAITS = 8.0
_SAMPLE = 1.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is made of; times in seconds."""

    seconds: float = 600.0
    every: float = 20.0
    """Between rotations; the old key is retired after half of that."""
    kills: int = 2
    """How often the store is killed."""
    processes: int = 2

    # With 20 seconds between rotations, the usual cooldown; with fewer, as many times less of everything.

    @property
    def fresh_for(self) -> float:
        """After which a set is asked for again: often, so that the failing issuer is met often."""
        return self.every / 4

    @property
    def cooldown(self) -> float:
        """Between fetches for unknown keys, and the longest pause after failures."""
        return self.every * 1.5

    @property
    def away(self) -> float:
        """How long the store is away when it was killed."""
        return self.every / 8


class Sample(NamedTuple):
    """A token, and what is to be said about it."""

    token: str
    kind: str
    """GOOD, or what is wrong with it."""
    kid: str | None
    until: float
    """When its key is retired, by the monotonic clock that all processes share."""


class Batch(NamedTuple):
    """What the conductor tells the workers."""

    samples: Sequence[Sample]
    retired: dict[str, float]
    """When each key was retired in fact, by its name."""


@dataclass(slots=True)
class Tally:
    """What one process has seen."""

    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    longest: float = 0.0
    """Seconds until a good token that was told to come again was let in."""
    megabytes: list[float] = field(default_factory=list)

    def note(self, what: str) -> None:
        """Count one more of *what*; adding is not one step, so each thread has a tally of its own."""
        self.counts[what] += 1

    def add(self, other: Tally) -> None:
        """Add what another has seen."""
        self.counts.update(other.counts)
        self.wrong += other.wrong
        self.longest = max(self.longest, other.longest)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run."""

    counts: Counter[str]
    wrong: list[str]
    longest: float
    fetches: int
    rotations: int
    kills: int
    memory: list[tuple[float, float]]
    """Megabytes of each process, after its warm-up and in the end."""

    @property
    def is_flat(self) -> bool:
        """Whether no process has grown."""
        return all(end <= max(start * FLAT, start + FLAT_MEGABYTES) for start, end in self.memory)

    @property
    def is_well(self) -> bool:
        """Whether nothing was wrong."""
        return not (self.counts["good, refused"] or self.counts["bad, accepted"]) and self.is_flat

    def rows(self) -> list[list[str]]:
        """Return what there is to print: what, figure, goal, reached."""
        counts = self.counts
        refused, accepted = counts["good, refused"], counts["bad, accepted"]
        grown = ", ".join(f"{start:.1f} → {end:.1f}" for start, end in self.memory)
        return [
            ["verifications", f"{sum(counts.values()):,}", "", ""],
            ["good tokens accepted", f"{counts['good, accepted']:,}", "", ""],
            ["good tokens refused", f"{refused:,}", "0", _word(not refused)],
            ["good tokens told to come again (503)", f"{counts['good, later']:,}", "", ""],
            ["longest until one of those was let in", f"{self.longest:.1f} s", "", ""],
            ["bad tokens refused", f"{counts['bad, refused']:,}", "", ""],
            ["bad tokens told to come again (503)", f"{counts['bad, later']:,}", "", ""],
            ["bad tokens accepted", f"{accepted:,}", "0", _word(not accepted)],
            ["tokens whose key was just being retired", f"{counts['either']:,}", "", ""],
            ["requests to the issuer", f"{self.fetches:,}", "", ""],
            ["rotations", f"{self.rotations:,}", "", ""],
            ["times the store was killed", f"{self.kills:,}", "", ""],
            ["memory of each process, MB", grown, "flat", _word(self.is_flat)],
        ]


def _word(reached: bool) -> str:  # noqa: FBT001 - a word for it
    return "yes" if reached else "NO"


# --- the processes that verify ------------------------------------------------------------------------


class Feed:
    """The tokens that are there to be verified, as the conductor sends them."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._batches: deque[Sequence[Sample]] = deque(maxlen=_KEPT)
        self.retired: dict[str, float] = {}
        self.begun = threading.Event()
        self.over = threading.Event()

    def listen(self) -> None:
        """Take what is sent, until None is."""
        with suppress(EOFError):  # the conductor has gone
            while (batch := self._pipe.recv()) is not None:
                self.retired = batch.retired
                self._batches.append(batch.samples)
                self.begun.set()
        self.over.set()
        self.begun.set()

    def samples(self, seed: int) -> Iterator[Sample]:
        """Yield tokens at random, half of them of the latest batch, as long as there are some to come."""
        chance = random.Random(seed)
        while not self.over.is_set():
            batches = self._batches
            yield chance.choice(batches[-1] if chance.random() < 0.5 else chance.choice(batches))


class Worker:
    """One thread or loop: it verifies, and judges the verdicts."""

    def __init__(self, guard: jwt_guard.Guard, feed: Feed, seed: int) -> None:
        self.tally = Tally()
        self._guard = guard
        self._feed = feed
        self._seed = seed
        self._again: deque[tuple[float, float, Sample]] = deque()

    def run(self) -> None:
        """Verify on this thread."""
        for number, (sample, since) in enumerate(self._turns()):
            known = self._fetched()
            try:
                jwt_guard.verify(self._guard, sample.token)
            except GuardError as error:
                self._judge(sample, error, since, known)
            else:
                self._judge(sample, None, since, known)
            if number % _TURN == 0:
                time.sleep(_BREATH)

    async def arun(self) -> None:
        """Verify in a task."""
        for sample, since in self._turns():
            known = self._fetched()
            try:
                await jwt_guard.averify(self._guard, sample.token)
            except GuardError as error:
                self._judge(sample, error, since, known)
            else:
                self._judge(sample, None, since, known)
            await asyncio.sleep(_BREATH)

    def _turns(self) -> Iterator[tuple[Sample, float]]:
        """Yield tokens, and since when each has been waiting: those come again that were told to."""
        for sample in self._feed.samples(self._seed):
            while self._again and self._again[0][0] <= time.monotonic():
                _, since, waiting = self._again.popleft()
                yield waiting, since
            yield sample, time.monotonic()

    def _fetched(self) -> float:
        """Return when the set was fetched that this guard has now."""
        (state,) = self._guard.key_states().values()
        return -1.0 if state.age is None else time.monotonic() - state.age

    def _judge(self, sample: Sample, error: GuardError | None, since: float, fetched: float) -> None:
        now = time.monotonic()
        is_good, is_bad = sample.kind == GOOD and now < sample.until, sample.kind != GOOD
        retired = self._feed.retired.get(sample.kid or "")
        if not is_good and not is_bad and retired is not None and fetched > retired:
            is_bad = True
        word = "accepted" if error is None else "later" if isinstance(error, Unavailable) else "refused"
        if not is_good and not is_bad:
            self.tally.note("either")
            return
        self.tally.note(f"{'good' if is_good else 'bad'}, {word}")
        if (is_good and word == "refused") or (is_bad and word == "accepted"):
            at = f"{sample.until - now:.1f} s before its key is retired" if is_good else sample.kind
            self.tally.wrong.append(f"{word} ({at}): {error!r}")
        if is_good and isinstance(error, Unavailable):
            self._again.append((now + error.retry_after, since, sample))
        elif is_good and error is None:
            self.tally.longest = max(self.tally.longest, now - since)


def work(pipe: Connection, issuer: str, keys: jwt_guard.KeySettings, seed: int) -> None:
    """Verify in this process what comes through *pipe*, until it says that it is over; answer with a Tally."""
    provider = jwt_guard.Provider("soak", issuer, _AUDIENCE, jwt_guard.discovered(issuer, settings=keys))
    guard = jwt_guard.Guard([provider], memory=jwt_guard.Memory(tokens=MEMORY))
    feed = Feed(pipe)
    listener = threading.Thread(target=feed.listen)
    listener.start()
    feed.begun.wait()
    workers = [Worker(guard, feed, seed + number) for number in range(_THREADS + _TASKS)]
    threads = [threading.Thread(target=worker.run) for worker in workers[:_THREADS]]
    threads.append(threading.Thread(target=asyncio.run, args=(_on_a_loop(workers[_THREADS:]),)))
    for thread in threads:
        thread.start()
    own = Tally()
    while not feed.over.wait(_SAMPLE):
        own.megabytes.append(_megabytes())
        pipe.send(_sum(own, workers))
    for thread in (*threads, listener):
        thread.join()
    pipe.send(_sum(own, workers))
    pipe.send(None)


async def _on_a_loop(workers: Sequence[Worker]) -> None:
    async with asyncio.TaskGroup() as group:
        for worker in workers:
            group.create_task(worker.arun())


def _sum(own: Tally, workers: Sequence[Worker]) -> Tally:
    whole = Tally(megabytes=own.megabytes)
    for worker in workers:
        whole.add(worker.tally)
    return whole


def _megabytes() -> float:
    """Return how much memory this process has in use (Linux)."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


# --- the conductor ------------------------------------------------------------------------------------


class _Conductor:
    """Mints, rotates, retires and kills, and tells the workers."""

    def __init__(self, issuer: ServedIssuer, store: StoreServer, plan: Plan, pipes: Sequence[Connection]) -> None:
        self.rotations = self.kills = 0
        self._issuer = issuer
        self._store = store
        self._plan = plan
        self._pipes = pipes
        self._start = time.monotonic()
        self._retired: dict[str, float] = {}
        self._to_retire: deque[tuple[float, str]] = deque()
        self._old: deque[Sample] = deque(maxlen=3 * _OLD)
        self._stranger = issuer.bad_token("signed by an unknown key", exp=int(time.time() + plan.seconds + 60))
        self._killing: threading.Thread | None = None

    @property
    def passed(self) -> float:
        return time.monotonic() - self._start

    def warm_up(self) -> None:
        """Send a batch, and let no time pass."""
        self._start = time.monotonic()
        self._send()

    def begin(self) -> None:
        """Let the time begin."""
        self._start = time.monotonic()

    def step(self) -> None:
        """Do what is due, and send a batch."""
        plan = self._plan
        if self.passed >= (self.rotations + 1) * plan.every:
            old = self._issuer.key.kid
            self._to_retire.append((self._until(), str(old)))
            self._old.extend(self._good(_OLD))
            self.rotations += 1
            self._issuer.rotate()
        while self._to_retire and self._to_retire[0][0] <= time.monotonic():
            _, kid = self._to_retire.popleft()
            self._issuer.retire(kid)
            self._retired[kid] = time.monotonic()
            self._old = deque((sample for sample in self._old if sample.kid != kid), maxlen=3 * _OLD)
        if self.kills < plan.kills and self.passed >= plan.seconds * (self.kills + 1) / (plan.kills + 1):
            self.kills += 1
            self._killing = threading.Thread(target=self._kill)
            self._killing.start()
        self._send()

    def _send(self) -> None:
        batch = Batch(self._samples(), dict(self._retired))
        for pipe in self._pipes:
            pipe.send(batch)

    def end(self) -> None:
        """Say that it is over."""
        if self._killing is not None:
            self._killing.join()
        for pipe in self._pipes:
            pipe.send(None)

    def _kill(self) -> None:
        with self._store.away():
            time.sleep(self._plan.away)

    def _until(self) -> float:
        """Return when the key that signs now is retired: half a turn after the next rotation."""
        return self._start + (self.rotations + 1.5) * self._plan.every

    def _good(self, count: int) -> list[Sample]:
        """Return new tokens by the key that signs now, good until that is retired."""
        until, kid = self._until(), self._issuer.key.kid
        return [Sample(self._issuer.token(lifetime=3 * self._plan.every + 60), GOOD, kid, until) for _ in range(count)]

    def _samples(self) -> list[Sample]:
        issuer = self._issuer
        samples = [*self._good(_MINTED), *random.sample(self._old, min(len(self._old), _MINTED // 2))]
        for flaw in FLAWS:
            if flaw == "signed by an unknown key":
                # Nobody can tell its name from a true one without asking, so this one is seldom tried: a stream of
                # them costs a rotation its fetch, which comes one cooldown later then.
                if self.passed < _BATCH:
                    samples.append(Sample(self._stranger, flaw, None, 0.0))
                continue
            samples.append(Sample(issuer.bad_token(flaw), flaw, None, 0.0))
        bogus = f"bogus-{random.getrandbits(32)}"
        samples.append(Sample(issuer.token(header={"kid": bogus}), "bogus kid", None, 0.0))
        return samples


def failing() -> Fault:
    """Return what the issuer does: it fails a third of the requests, in one of four ways."""
    hang = faults.slow(_LONGER_THAN_ANYBODY_WAITS)
    return faults.sometimes(
        SHARE, faults.status(500), hang, faults.garbage(), faults.reset(), seed=random.getrandbits(32)
    )


def soak(plan: Plan, *, progress: bool = True) -> Outcome:
    """Run *plan*; print a line now and then where *progress* is wanted."""
    context = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="soak")))
        store = stack.enter_context(StoreServer(folder, programs()[0]))
        issuer = stack.enter_context(LocalIssuer(audience=_AUDIENCE).serve(max_age=int(plan.fresh_for)))
        keys = jwt_guard.KeySettings(fresh_for=plan.fresh_for, cooldown=plan.cooldown, store=store.url)
        pipes, processes = [], []
        for number in range(plan.processes):
            ours, theirs = context.Pipe()
            process = context.Process(target=work, args=(theirs, issuer.url, keys, 100 * number), daemon=True)
            process.start()
            theirs.close()
            pipes.append(ours)
            processes.append(process)
        conductor = _Conductor(issuer, store, plan, pipes)
        tallies = [Tally() for _ in pipes]
        while not all(tally.counts["good, accepted"] for tally in tallies):  # a start without keys is no part of this
            conductor.warm_up()
            _hear(pipes, tallies)
            time.sleep(_BATCH)
        conductor.begin()
        issuer.fault = failing()
        shown = 0.0
        while conductor.passed < plan.seconds:
            conductor.step()
            _hear(pipes, tallies)
            if progress and conductor.passed - shown >= min(10.0, plan.seconds / 10):
                shown = conductor.passed
                _say(shown, tallies, issuer)
            time.sleep(_BATCH)
        conductor.end()
        for number, pipe in enumerate(pipes):
            while (tally := pipe.recv()) is not None:
                tallies[number] = tally
        for process in processes:
            process.join(10)
        return _outcome(tallies, issuer, conductor)


def _hear(pipes: Sequence[Connection], tallies: list[Tally]) -> None:
    """Take what the processes have to tell."""
    for number, pipe in enumerate(pipes):
        while pipe.poll():
            tallies[number] = pipe.recv()


def _outcome(tallies: Sequence[Tally], issuer: ServedIssuer, conductor: _Conductor) -> Outcome:
    whole = Tally()
    for tally in tallies:
        whole.add(tally)
    memory = []
    for tally in tallies:
        tenth = max(1, len(tally.megabytes) // 10)
        warm = tally.megabytes[3 * tenth : 4 * tenth] or [0.0]
        last = tally.megabytes[-tenth:] or [0.0]
        memory.append((sum(warm) / len(warm), sum(last) / len(last)))
    fetches = sum(issuer.requests.values())
    return Outcome(whole.counts, whole.wrong, whole.longest, fetches, conductor.rotations, conductor.kills, memory)


def _say(passed: float, tallies: Sequence[Tally], issuer: ServedIssuer) -> None:
    whole = Tally()
    for tally in tallies:
        whole.add(tally)
    counts = whole.counts
    memory = ", ".join(f"{tally.megabytes[-1]:.1f}" for tally in tallies if tally.megabytes)
    print(
        f"{passed:5.0f} s: {sum(counts.values()):,} verified, {counts['good, refused']} good refused, "
        f"{counts['good, later']} good told to come again, {counts['bad, accepted']} bad accepted, "
        f"{sum(issuer.requests.values())} requests to the issuer, {memory} MB",
        flush=True,
    )


def main() -> int:
    """Run it; exit 1 where a good token was refused, a bad one accepted, or memory grew."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=Plan().seconds, help="default 600")
    parser.add_argument("--every", type=float, default=Plan().every, help="seconds between rotations (default 20)")
    arguments = parser.parse_args()
    outcome = soak(Plan(seconds=arguments.seconds, every=arguments.every))
    print(table(["what", "figure", "goal", "reached"], outcome.rows()))
    for line in outcome.wrong[:20]:
        print(f"wrong: {line}", file=sys.stderr)
    return 0 if outcome.is_well else 1


if __name__ == "__main__":
    sys.exit(main())
