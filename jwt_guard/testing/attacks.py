"""An application → what got through, out of a corpus of hostile requests that no application may let in."""

from __future__ import annotations

import json as json_module
import re
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from ..errors import shown
from .as_user import guards_of, trusting
from .corpus import ATTACKS, Attempt, Good, attempts
from .issuer import LocalIssuer
from .routes import Route, routes_of
from .sending import Answer, Ask, Sent, asking

if TYPE_CHECKING:
    from ..access.guard import Guard

__all__ = ["Finding", "Outcome", "Report", "attack"]

Outcome: TypeAlias = Literal["got through", "crashed", "leaked", "fetched"]
"""What went wrong: it was let in, the application failed (5xx), the answer repeats the token, or a URL in the token
was asked."""

_OK, _BAD, _BROKEN = 200, 400, 500
_SWITCHING = 101
_MOVED = range(300, 400)
_NO_ENTRY = (401, 403, 405)
_NOT_IMPLEMENTED = (501, 505)
_REVEALING = 16  # characters of a signature that nothing else has
_CHANGING = re.compile(rb"[0-9a-f]{8,}|[0-9]+")
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """One hostile request that was not refused."""

    route: str
    attack: str
    """A name of ``ATTACKS``."""
    how: str
    """Which of several ways to do it."""
    outcome: Outcome
    status: int

    def __repr__(self) -> str:
        return f"<{self.outcome}: {self.attack} ({self.how}) at {self.route}: {self.status}>"


@dataclass(frozen=True, slots=True)
class Report:
    """What became of an attack; its text is a table."""

    requests: int
    """How many hostile requests were sent."""
    findings: tuple[Finding, ...]
    """Those that were not refused."""
    void: tuple[tuple[str, str], ...] = ()
    """Routes that not even the good token opens, with what they answered: of those nothing is known."""
    left_out: tuple[str, ...] = ()
    """Attacks that were not tried anywhere, for lack of the issuer's key, of a scope to leave out, or of HTTP."""

    @property
    def got_through(self) -> tuple[Finding, ...]:
        """What was let in."""
        return self._of("got through")

    @property
    def crashed(self) -> tuple[Finding, ...]:
        """What was answered with 5xx, or with an exception."""
        return self._of("crashed")

    @property
    def leaked(self) -> tuple[Finding, ...]:
        """Answers that repeat the token."""
        return self._of("leaked")

    @property
    def fetched(self) -> tuple[Finding, ...]:
        """Tokens whose URLs were asked for a key."""
        return self._of("fetched")

    def assert_safe(self) -> None:
        """Raise AssertionError with the table, unless every route was attacked and every request refused."""
        __tracebackhide__ = True
        if self.findings or self.void or not self.requests:
            raise AssertionError(str(self))

    def __str__(self) -> str:
        """Return a line that sums it up, and a table of what was not refused."""
        counts = [
            f"{len(self._of(outcome))} {outcome}"
            for outcome in ("got through", "crashed", "leaked", "fetched")
            if self._of(outcome)
        ]
        lines = [f"{self.requests} hostile requests: {', '.join(counts) or 'all refused'}"]
        rows = [("route", "attack", "outcome", "status", "how", "why it matters"), *self._rows()]
        if self.findings:
            widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
            lines += [
                "  ".join((*(cell.ljust(width) for cell, width in zip(row, (*widths, 0), strict=True)),))
                for row in rows
            ]
        lines += [
            f"void: {route} answers {said} to the good token, so nothing is known of it" for route, said in self.void
        ]
        if self.left_out:
            lines.append(f"not tried: {', '.join(self.left_out)}")
        return "\n".join(line.rstrip() for line in lines)

    def _of(self, outcome: Outcome) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.outcome == outcome)

    def _rows(self) -> list[tuple[str, ...]]:
        grouped: dict[tuple[str, str, Outcome, int], list[str]] = {}
        for each in self.findings:
            grouped.setdefault((each.route, each.attack, each.outcome, each.status), []).append(each.how)
        return [
            (route, name, outcome, str(status), _some(hows), ATTACKS.get(name, ""))
            for (route, name, outcome, status), hows in grouped.items()
        ]


def _some(hows: list[str]) -> str:
    text = ", ".join(how if len(how) < 40 else f"{how[:37]}..." for how in hows[:_SHOWN])  # noqa: PLR2004 - a column
    return text if len(hows) <= _SHOWN else f"{text}, and {len(hows) - _SHOWN} more"


def attack(  # noqa: PLR0913 - what there is to say about a good request
    app: Callable[..., Any],
    *routes: str,
    guard: Guard | None = None,
    issuer: LocalIssuer | None = None,
    token: str | None = None,
    user: str = "ada",
    scopes: str | Iterable[str] = (),
    roles: str | Iterable[str] = (),
    provider: str | None = None,
    claims: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    json: object = None,
    public: Iterable[str] = (),
    but: Iterable[str] = (),
) -> Report:
    """Send good requests and then hostile ones to *app*, of ASGI or WSGI, and say which of these were not refused.

    Each of *routes* is a path, or a method and a path (``POST /orders``, ``WEBSOCKET /live``); without any it is
    every route that Starlette, FastAPI, Flask, Quart or Django know, except the *public* ones.  Where it is just one
    route, a token without one of *scopes* or *roles* is hostile, too.

    The good token is *user*'s, with *scopes*, *roles* and *claims*.  The guard in *app*, or *guard*, is made to take it
    as :func:`trusting` does.  An application that verifies in another way needs the *issuer* whose tokens it takes, or
    a good *token*; then what only an issuer can sign is left out.  *headers* and *json*, a body, go with every request.
    *but* are names of ``ATTACKS`` that may get through.  Raises ValueError for what is none, and where it is said
    nowhere whose tokens are good.
    """
    unknown = sorted({*but} - ATTACKS.keys())
    if unknown:
        message = f"no such attack: {', '.join(map(shown, unknown))}; known here: {', '.join(map(repr, ATTACKS))}"
        raise ValueError(message)
    named = [Route.of(text) for text in routes]
    found = named or _not_in(routes_of(app), frozenset(public))
    if not found:
        message = "no routes found in the application: name those to attack"
        raise ValueError(message)
    asked = frozenset(_words(scopes)), frozenset(_words(roles))
    extra, body = _with_json(headers or {}, json)
    with (
        LocalIssuer(alg="ES256").serve() as hostile,
        _good(app, guard, issuer, token, user, asked, provider, claims or {}) as good,
        asking(app) as ask,
    ):
        result = _Attack(ask, lambda: sum(hostile.requests.values()), frozenset(but), is_named=bool(named))
        for route in found:
            sent = Sent(route.method, route.target, extra, body, route.is_websocket)
            one = replace(good, sent=sent, hosted=hostile.key, url=hostile.url)
            one = one if len(named) == 1 else replace(one, scopes=frozenset(), roles=frozenset())
            result.run(str(route), one)
    return result.report()


def _words(value: str | Iterable[str]) -> Iterable[str]:
    return value.split() if isinstance(value, str) else value


def _not_in(routes: list[Route], public: frozenset[str]) -> list[Route]:
    unknown = public - {name for route in routes for name in (route.pattern, f"{route.method} {route.pattern}")}
    if unknown:
        message = f"public names no route of the application: {', '.join(sorted(unknown))}"
        raise ValueError(message)
    return [each for each in routes if each.pattern not in public and f"{each.method} {each.pattern}" not in public]


def _with_json(headers: Mapping[str, str], json: object) -> tuple[tuple[tuple[str, bytes], ...], bytes]:
    said = tuple((name, value.encode("latin-1")) for name, value in headers.items())
    if json is None:
        return said, b""
    return (*said, ("Content-Type", b"application/json")), json_module.dumps(json).encode()


@contextmanager
def _good(  # noqa: PLR0913, PLR0917 - what attack() was told
    app: Callable[..., Any],
    guard: Guard | None,
    issuer: LocalIssuer | None,
    token: str | None,
    user: str,
    asked: tuple[frozenset[str], frozenset[str]],
    provider: str | None,
    claims: Mapping[str, Any],
) -> Generator[Good]:
    """Give the good token, and what is known of whose it is; route and attacker are filled in later."""
    from ..issuing.signing import make

    scopes, roles = asked
    nothing = Sent("GET", "/")
    if token is not None or issuer is not None:
        if token is None and issuer is not None:
            granted = {"scope": " ".join(sorted(scopes)) or None, "roles": sorted(roles) or None}
            said: dict[str, Any] = {"sub": user, **granted, **claims}
            token = issuer.token(**said)
        key = None if issuer is None else issuer.key
        stranger = make("ES256" if key is None else key.alg, None if key is None else key.kid)
        now = int(time.time() if issuer is None else issuer.clock())
        good = Good(nothing, token or "", now, stranger, stranger, "", key, scopes=scopes, roles=roles)
        alg = good.header.get("alg")
        yield good if key is not None or alg == "ES256" else replace(good, stranger=_another(str(alg)))
        return
    if guard is None and not guards_of(app):
        message = "no guard found in the application: say guard, or the issuer whose tokens it takes, or a good token"
        raise ValueError(message)
    with trusting(app if guard is None else guard) as as_user:
        caller = as_user(user, scopes=scopes, roles=roles, provider=provider, **claims)
        trusted = as_user.at(provider)
        yield Good(
            nothing,
            caller.token,
            int(trusted.clock()),
            make(trusted.signing.alg, trusted.signing.kid),
            trusted.signing,
            "",
            trusted.signing,
            trusted.provider.audience_claim,
            scopes,
            roles,
            trusted.provider.claims.scopes,
            trusted.provider.claims.roles,
        )


def _another(alg: str) -> Any:  # noqa: ANN401 - a SigningKey, whose module is loaded late
    from ..errors import Misconfigured
    from ..issuing.signing import make

    try:
        return make(alg)
    except Misconfigured:
        return make("ES256")


@dataclass
class _Attack:
    """An attack on one application, route by route."""

    ask: Ask
    fetches: Callable[[], int]
    """Says how often the attacker's server was asked."""
    but: frozenset[str]
    is_named: bool
    requests: int = 0
    findings: list[Finding] = field(default_factory=list)
    void: list[tuple[str, str]] = field(default_factory=list)
    tried: set[str] = field(default_factory=set)

    def run(self, route: str, good: Good) -> None:
        """Send everything to *route*."""
        anonymous = self.ask(good.sent)
        authorization = ("Authorization", f"Bearer {good.token}".encode())
        control = self.ask(replace(good.sent, headers=(*good.sent.headers, authorization)))
        if not _is_in(control, anonymous, is_named=self.is_named):
            self.void.append((route, f"{control.status} {control.error}".rstrip()))
            return
        if _repeats(control, good.token):
            self._find(route, Attempt("a good token", "as it should be", good.sent), "leaked", control)
        made, _ = attempts(good)
        for attempt in made:
            if attempt.attack in self.but or (attempt.is_elsewhere and control.status >= _BAD):
                continue
            before = self.fetches()
            answer = self.ask(attempt.sent)
            self.requests += 1
            self.tried.add(attempt.attack)
            if answer.status >= _BROKEN and answer.status not in _NOT_IMPLEMENTED:
                self._find(route, attempt, "crashed", answer)
            elif _got_through(attempt, answer, control, anonymous):
                self._find(route, attempt, "got through", answer)
            if attempt.token is not None and _repeats(answer, attempt.token):
                self._find(route, attempt, "leaked", answer)
            if self.fetches() > before:
                self._find(route, attempt, "fetched", answer)

    def report(self) -> Report:
        """Return what was found."""
        left_out = tuple(name for name in ATTACKS if name not in self.tried)
        return Report(self.requests, tuple(self.findings), tuple(self.void), left_out)

    def _find(self, route: str, attempt: Attempt, outcome: Outcome, answer: Answer) -> None:
        self.findings.append(Finding(route, attempt.attack, attempt.how, outcome, answer.status))


def _is_in(control: Answer, anonymous: Answer, *, is_named: bool) -> bool:
    """Say whether the good token was let in: only then a refusal of others says something."""
    if control.status < _BAD:
        return True
    if is_named or control.status in _NO_ENTRY or control.status >= _BROKEN:
        return False
    return not _is_like(control, anonymous)  # an order that is not there, or a body that is missing


def _got_through(attempt: Attempt, answer: Answer, control: Answer, anonymous: Answer) -> bool:
    """Say whether *answer* is what the good one gets, and not what nobody gets."""
    if attempt.is_elsewhere:
        return answer.status < _BAD and answer.body != b"" and _gist(answer) == _gist(control)
    if answer.status in _MOVED or answer.status >= _BAD:
        return _is_like(answer, control) and (_is_like(anonymous, control) or not _is_like(answer, anonymous))
    if attempt.sent.method == "HEAD":
        return True
    # A page for guests is no answer to who was let in, unless it is the same.
    return not _is_like(answer, anonymous) or _is_like(anonymous, control)


def _is_like(one: Answer, other: Answer) -> bool:
    return one.status == other.status and _gist(one) == _gist(other)


def _gist(answer: Answer) -> tuple[bytes, str]:
    """Return what stays the same when the same is asked again: numbers and ids may not."""
    return _CHANGING.sub(b"#", answer.body), answer.header("location")


def _repeats(answer: Answer, token: str) -> bool:
    signature = token.rpartition(".")[2]
    if len(signature) < _REVEALING:
        return False
    said = [value for name, value in answer.headers if name.lower() != "location"]  # a redirect may keep the query
    return signature in "\n".join(said) or signature.encode("latin-1", "replace") in answer.body
