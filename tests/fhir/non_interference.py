"""A seed → two worlds, one token and a sequence of its requests, played in both: any difference in an answer is a leak.

``python -m tests.fhir.non_interference --minutes 60`` plays for an hour, and says how far it is; ``--seed N`` plays
one, and ``--from N`` starts there.  What it finds, it cuts down to what still shows it, and prints as a transcript.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from random import Random

from jwt_guard.fhir.server import Limits, Server
from jwt_guard.messages import Response
from jwt_guard.tokens.sealing import Sealer
from tests.support.fhir_double import FhirDouble, Habits
from tests.support.fhir_driver import BASE, Client, Upstream, rights_of
from tests.support.fhir_parameters import Resource
from tests.support.fhir_requests import CREATED, ETAG, NEXT, Requests, Step
from tests.support.fhir_store import UPSTREAM
from tests.support.fhir_worlds import Scope, World, a_scope_list, a_world, another_world, some_habits

__all__ = [
    "SERVER",
    "Case",
    "Difference",
    "Played",
    "a_case",
    "compared",
    "difference",
    "play",
    "resources_of",
    "shrunk",
    "told",
]

SERVER = Server(
    BASE, also_known_as=(UPSTREAM,), updates_may_create=False, limits=Limits(page=4, largest_page=10, pages=200)
)
_SEALED = re.compile(rb"_getpages=([A-Za-z0-9_%-]+)")
_LINK = re.compile(rb'"url":\s*"' + re.escape(BASE.encode()) + rb'/?\?([^"]*_getpages=[^"]*)"')
_MARK = re.compile(rb"mark-[^-\"]+-[0-9a-f]+-mark")
_ID = re.compile(r"/([A-Za-z0-9.-]+)(?:/_history/[A-Za-z0-9.-]+)?$")


@dataclass(frozen=True)
class Case:
    """Two worlds that a token with *scopes* should not be able to tell apart by *steps*."""

    scopes: tuple[Scope, ...]
    habits: Habits
    one: World
    other: World
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Played:
    """A request as it was sent, and its answer without what differs each time."""

    sent: Step
    answer: Response


@dataclass(frozen=True)
class Difference:
    """Where two plays of a case part, or where one shows what the token may not read."""

    place: int
    what: str
    one: Sequence[Played]
    other: Sequence[Played]


def a_case(seed: int) -> Case:
    """Make the case of *seed*."""
    # Worlds are many times dearer than requests, and one world is good for more than one sequence.
    scenery = Random(seed // 4)
    one, other = a_world(scenery, size=scenery.choice([4, 9, 16, 24]))
    chance = Random(f"{seed}")
    scopes = a_scope_list(chance)
    requests = Requests(chance, one, other, scopes)
    steps = tuple(requests.one() for _ in range(chance.randint(4, 9)))
    return Case(scopes, some_habits(chance, scopes), one, another_world(chance, one, other, scopes), steps)


# --- playing -----------------------------------------------------------------------------------------


def double_of(world: World, habits: Habits) -> FhirDouble:
    """Return a server with *world*."""
    return FhirDouble(resources_of(world), habits)


def resources_of(world: World) -> Iterator[Resource]:
    """Yield each version of each resource, in order."""
    for (kind, id_), held in world.items():
        for made in held:
            yield made.resource or {"resourceType": kind, "id": id_, "_deleted": True}


def play(case: Case, upstream: Upstream, sealer: Sealer, server: Server = SERVER) -> list[Played]:
    """Send the steps of *case* to *upstream*."""
    is_koppeltaal = any(map(Scope.is_koppeltaal, case.scopes))
    rights = rights_of(" ".join(map(str, case.scopes)), "A", replace(server, koppeltaal=is_koppeltaal))
    client = Client(rights, upstream, sealer)
    played: list[Played] = []
    link, made, etag = "", "ghost", 'W/"1"'
    for step in case.steps:
        sent = _filled(step, link, made, etag)
        # The link is another each time, so that of what is sent it is the place that is compared.
        query = link if step.path == NEXT else sent.asked
        try:
            answer = client(sent.method, sent.path, query, sent.headers, sent.body)
        except Exception as error:  # noqa: BLE001 -- a guard that breaks is a find as well, and is cut down like one
            played.append(Played(sent, Response(0, (), f"raised {error!r}".encode())))
            break
        if sent.method not in ("GET", "HEAD") and not sent.path.endswith("_search"):
            # Servers count what they have given, others' too where they narrow nothing: once something is gone, or is
            # new, the next page begins elsewhere, and where depends on all that there is.
            link = ""
        found = _LINK.search(answer.body)
        link = found[1].decode() if found else link
        said = {name.lower(): value for name, value in answer.headers}
        located = _ID.search(said.get("location", ""))
        made, etag = located[1] if located else made, said.get("etag", etag)
        body = _SEALED.sub(lambda sealed: b"_getpages=%d" % len(sealed[1]), answer.body)
        played.append(Played(sent, replace(answer, body=body)))
    return played


def _filled(step: Step, link: str, made: str, etag: str) -> Step:
    if step.path == NEXT:
        return replace(step, path="/", query=(("_getpages", "of the last link" if link else "none"),))
    headers = tuple((name, etag if value == ETAG else value) for name, value in step.headers)
    body = step.body.replace(CREATED.encode(), made.encode())
    return replace(step, path=step.path.replace(CREATED, made), headers=headers, body=body)


def difference(case: Case, sealer: Sealer) -> Difference | None:
    """Play *case* in both worlds, and say where the answers part; None: nowhere."""
    one = play(case, double_of(case.one, case.habits), sealer)
    return compared(case, one, play(case, double_of(case.other, case.habits), sealer))


def compared(case: Case, one: Sequence[Played], other: Sequence[Played]) -> Difference | None:
    """Say where two plays of *case* part."""
    readable = _readable(case)
    for place, (here, there) in enumerate(zip(one, other, strict=False)):
        if here.answer.status == 0:
            return Difference(place, "the guard broke", one[: place + 1], other[: place + 1])
        if here.answer != there.answer:
            return Difference(place, "the answers differ", one[: place + 1], other[: place + 1])
        shown = next((mark[0] for mark in _MARK.finditer(here.answer.body) if mark[0] not in readable), None)
        if shown is not None:
            return Difference(
                place, f"{shown.decode()} is of what may not be read", one[: place + 1], other[: place + 1]
            )
    return None


def _readable(case: Case) -> set[bytes]:
    """Return the marks of all that the token may read or find."""
    hidden = {} if any(map(Scope.is_koppeltaal, case.scopes)) else {"contained": None}
    return {
        mark[0]
        for (kind, _), held in case.one.items()
        for made in held
        if any(scope.knows_of(kind, made, "rs") for scope in case.scopes)
        for mark in _MARK.finditer(str({**(made.resource or {}), **hidden}).encode())
    }


# --- cutting down ------------------------------------------------------------------------------------


def shrunk(case: Case, fails: Callable[[Case], bool], tries: int = 3_000) -> Case:
    """Return the smallest case found that *fails* as *case* does."""
    left = [tries]

    def still(candidate: Case) -> bool:
        left[0] -= 1
        return left[0] > 0 and fails(candidate)

    smaller = True
    while smaller and left[0] > 0:
        smaller = False
        for candidate in _smaller(case):
            if still(candidate):
                case, smaller = candidate, True
                break
    return case


def _smaller(case: Case) -> Iterator[Case]:
    """Yield what is a little less than *case*, the greater steps first."""
    for place in range(len(case.steps)):
        yield replace(case, steps=case.steps[:place] + case.steps[place + 1 :])
    keys = [*dict.fromkeys([*case.one, *case.other])]
    size = len(keys) // 2
    while size:
        for start in range(0, len(keys), size):
            gone = set(keys[start : start + size])
            yield replace(
                case,
                one={key: held for key, held in case.one.items() if key not in gone},
                other={key: held for key, held in case.other.items() if key not in gone},
            )
        size //= 2
    plain = Habits()
    for each in fields(Habits):
        if getattr(case.habits, each.name) != getattr(plain, each.name):
            yield replace(case, habits=replace(case.habits, **{each.name: getattr(plain, each.name)}))
    for place in range(len(case.scopes)):
        if len(case.scopes) > 1:
            yield replace(case, scopes=case.scopes[:place] + case.scopes[place + 1 :])
    for place, step in enumerate(case.steps):
        for name in ("query", "headers"):
            pairs = getattr(step, name)
            for left_out in range(len(pairs)):
                less = replace(step, **{name: pairs[:left_out] + pairs[left_out + 1 :]})
                yield replace(case, steps=(*case.steps[:place], less, *case.steps[place + 1 :]))


def told(case: Case, found: Difference) -> str:
    """Return a transcript of *found*."""
    lines = [f"scopes: {' '.join(map(str, case.scopes))}    patient: A", f"habits: {_habits(case.habits)}"]
    for key in dict.fromkeys([*case.one, *case.other]):
        here, there = case.one.get(key, ()), case.other.get(key, ())
        lines.append(
            f"{'/'.join(key)}: {_versions(here)}" + ("" if here == there else f"\n   or else {_versions(there)}")
        )
    for place, (one, other) in enumerate(zip(found.one, found.other, strict=True)):
        lines += ["", f"{place + 1}. {one.sent}", f"  → {_shown(one.answer)}"]
        if one.answer != other.answer:
            texts = _shown(one.answer), _shown(other.answer)
            same = next((at for at, (a, b) in enumerate(zip(*texts, strict=False)) if a != b), min(map(len, texts)))
            lines += [f"  → {texts[1]}", "", "they part at"]
            lines += [f"  …{text[max(0, same - 60) : same + 120]}…" for text in texts]
    return "\n".join([*lines, "", found.what])


def _habits(habits: Habits) -> str:
    plain = Habits()
    unlike = [each.name for each in fields(Habits) if getattr(habits, each.name) != getattr(plain, each.name)]
    return ", ".join(f"{name}={getattr(habits, name)}" for name in unlike) or "none"


def _versions(held: Sequence[object]) -> str:
    return " then ".join(str(getattr(each, "resource", each)) for each in held) or "nothing"


def _shown(answer: Response) -> str:
    return f"{answer.status} {dict(answer.headers)}\n    {answer.body.decode(errors='replace')}"


# --- for as long as one likes ------------------------------------------------------------------------


def run(seeds: Iterator[int], until: float, every: float = 10.0) -> int:
    """Play seeds until the clock says *until*; print what is found, and return how many leaks that were."""
    sealer, leaks, count, begun = Sealer(), 0, 0, time.monotonic()
    said = begun
    for seed in seeds:
        case = a_case(seed)
        found = difference(case, sealer)
        count += 1
        if found is not None:
            leaks += 1
            small = shrunk(case, lambda each: difference(each, sealer) is not None)
            again = difference(small, sealer)
            print(f"\n── seed {seed}\n{told(small, again or found)}\n", flush=True)
        now = time.monotonic()
        if now - said > every:
            said = now
            print(
                f"{count} sequences, {leaks} leaks, {count / (now - begun):.0f} a second", file=sys.stderr, flush=True
            )
        if now > until:
            break
    print(f"{count} sequences in two worlds each, {leaks} leaks")
    return leaks


def main() -> int:
    words = argparse.ArgumentParser(prog="python -m tests.fhir.non_interference", description=__doc__)
    words.add_argument("--minutes", type=float, default=1.0, help="how long to play (1)")
    words.add_argument("--from", dest="first", type=int, default=None, help="the first seed; else one by the clock")
    words.add_argument("--seed", type=int, help="play this one, and no other")
    asked = words.parse_args()
    if asked.seed is not None:
        return min(1, run(iter([asked.seed]), float("inf")))
    first = asked.first if asked.first is not None else int(time.time()) * 1_000
    print(f"from seed {first}", file=sys.stderr)
    return min(1, run(iter(range(first, first + 10**9)), time.monotonic() + 60 * asked.minutes))


if __name__ == "__main__":
    sys.exit(main())
