"""What a client sends → what every door must answer: the one truth about status, challenge and credentials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from tests.support.minting import ABSENT, HOUR, NOW, claims, mint

from .apps import DEAD, REALM

__all__ = ["READER", "ROWS", "WEBSOCKET_ROWS", "Row", "tokens"]

# ── the challenges ───────────────────────────────────────────────────────────────────────────────────────────────

PLAIN = f'Bearer realm="{REALM}"'
INVALID_REQUEST = (
    f'{PLAIN}, error="invalid_request", '
    'error_description="The request does not carry its access token as RFC 6750 says"'
)
INVALID_TOKEN = f'{PLAIN}, error="invalid_token", error_description="The access token is not valid here"'
INSUFFICIENT = f'{PLAIN}, error="insufficient_scope", error_description="The access token does not allow this"'


def needs(scopes: str) -> str:
    return f'{INSUFFICIENT}, scope="{scopes}"'


# ── the tokens ───────────────────────────────────────────────────────────────────────────────────────────────────


def _who(user: str | None, scopes: str, *roles: str) -> dict[str, Any]:
    named = {"user": user, "client": "shop", "scopes": sorted(scopes.split()), "roles": sorted(roles)}
    return {**named, "provider": "shop"}


READER = _who("ada", "orders:read")
WRITER = _who("ada", "orders:read orders:write")
OPS = _who("ada", "", "ops")
ADMIN = _who("ada", "admin")
MACHINE = _who(None, "orders:read")


def good(**changes: Any) -> dict[str, Any]:
    return claims(**{"sub": "ada", "client_id": "shop", "scope": "orders:read orders:write", **changes})


@cache
def tokens() -> Mapping[str, str]:
    """Return the tokens that the rows name, each with one thing that is said of it."""
    reader = mint(good(scope="orders:read"), alg="HS256")
    head, body, signature = reader.split(".")
    expired = good(scope="orders:read", exp=NOW - HOUR, iat=NOW - 2 * HOUR)
    return {
        "reader": reader,
        "writer": mint(good(), alg="HS256"),
        "ops": mint(good(scope=ABSENT, roles=["ops"]), alg="HS256"),
        "admin": mint(good(scope="admin"), alg="HS256"),
        "machine": mint(good(scope="orders:read", sub="shop"), alg="HS256"),
        "expired": mint(expired, alg="HS256"),
        "early": mint(good(nbf=NOW + HOUR), alg="HS256"),
        "for_others": mint(good(aud="billing"), alg="HS256"),
        "from_others": mint(good(iss="https://id.example"), alg="HS256"),
        "unknown_kid": mint(good(), {"kid": "never-seen"}, alg="HS256"),
        "other_key": mint(good(), {"kid": "a"}, alg="HS256", which="b"),
        "unsigned": mint(good(), {"alg": "none"}, alg="HS256").rpartition(".")[0] + ".",
        "edited": f"{head}.{body[:-4]}AAAA.{signature}",
        "dead": mint(good(iss=DEAD), alg="ES256"),
        "dead_and_expired": mint(good(iss=DEAD, exp=NOW - HOUR, iat=NOW - 2 * HOUR), alg="ES256"),
        "long": "e" * 20_000,
    }


# ── the rows ─────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Row:
    """One request, and what comes back."""

    claim: str
    status: int
    challenge: str | None
    who: Mapping[str, Any] | None
    """What the application sees; None: nobody, or it is not asked."""
    method: str
    target: str
    """As it goes over the wire."""
    headers: tuple[tuple[str, bytes], ...]
    more: Mapping[str, str]
    """Other headers of the answer."""
    not_at: Mapping[str, str] = field(default_factory=dict)
    """Doors that cannot say this, and why."""

    def __str__(self) -> str:
        return self.claim.replace(" ", "-")


def row(  # noqa: PLR0913, PLR0917 - a table has columns
    claim: str,
    request: str,
    authorization: str | bytes | tuple[str | bytes, ...] | None,
    status: int,
    challenge: str | None = None,
    who: Mapping[str, Any] | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    more: Mapping[str, str] | None = None,
    not_at: Mapping[str, str] | None = None,
) -> Row:
    """Return a row; ``{reader}`` in *authorization* stands for the token of that name."""
    method, target = request.split(" ")
    given = () if authorization is None else authorization if isinstance(authorization, tuple) else (authorization,)
    sent = [("authorization", _filled(value)) for value in given]
    sent += [(name, value.encode()) for name, value in (headers or {}).items()]
    return Row(claim, status, challenge, who, method, target, tuple(sent), more or {}, not_at or {})


def _filled(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.format_map(tokens()).encode("latin-1")


PREFLIGHT = {"origin": "https://shop.example", "access-control-request-method": "POST"}
# What a server does to a request before an application sees it.
DROPS = {"granian/wsgi": "drops a header that is not ASCII, so that nothing was sent"}
SHORTER: dict[str, str] = dict.fromkeys(("gunicorn", "gunicorn/flask", "sanic"), "takes no header of that length")
CAPITALS = {
    "hypercorn": "writes each method in capitals",
    **dict.fromkeys(
        ("uvicorn/httptools", "waitress", "waitress/flask", "gunicorn", "gunicorn/flask", "aiohttp"),
        "takes no method in small letters",
    ),
}
DECODED = {"granian/wsgi": "hands over the decoded path alone, and the application routes on that"}
ONE_SLASH = {"werkzeug/flask": "makes one slash of two in front, in what it says was sent, too"}

ROWS = (
    # Nothing, and what counts as nothing (RFC 6750 §3.1: no error code).
    row("no token", "GET /whoami", None, 401, PLAIN),
    row("another scheme", "GET /whoami", "Basic YWRhOmFkYQ==", 401, PLAIN),
    row("a scheme that starts alike", "GET /whoami", "BearerX {reader}", 401, PLAIN),
    row("the bare word", "GET /whoami", "Bearer", 401, PLAIN),
    row("an empty token", "GET /whoami", "Bearer ", 401, PLAIN),
    row("an empty header", "GET /whoami", "", 401, PLAIN),
    row("a token without its scheme", "GET /whoami", "{reader}", 401, PLAIN),
    # Good ones.
    row("a good token", "GET /whoami", "Bearer {reader}", 200, None, READER),
    row("a scheme in small letters", "GET /whoami", "bearer {reader}", 200, None, READER),
    row("a scheme in capitals", "GET /whoami", "BEARER {reader}", 200, None, READER),
    row("a machine", "GET /whoami", "Bearer {machine}", 200, None, MACHINE),
    row("roles are no scopes", "GET /whoami", "Bearer {ops}", 200, None, OPS),
    # Malformed.
    row("two tokens in one header", "GET /whoami", "Bearer {reader} {writer}", 400, INVALID_REQUEST),
    row("two tokens and a comma", "GET /whoami", "Bearer {reader},{writer}", 400, INVALID_REQUEST),
    row("a list of credentials", "GET /whoami", "Bearer {reader}, Bearer {writer}", 400, INVALID_REQUEST),
    row("two headers", "GET /whoami", ("Bearer {reader}", "Bearer {reader}"), 400, INVALID_REQUEST),
    row("two headers, the second bad", "GET /whoami", ("Bearer {reader}", "Bearer x"), 400, INVALID_REQUEST),
    row("two headers, the first bad", "GET /whoami", ("Bearer x", "Bearer {reader}"), 400, INVALID_REQUEST),
    row("letters that no token has", "GET /whoami", "Bearer {reader}é", 400, INVALID_REQUEST, not_at=DROPS),
    row("unicode", "GET /whoami", "Bearer ☃".encode(), 400, INVALID_REQUEST, not_at=DROPS),
    row("quotes", "GET /whoami", 'Bearer "{reader}"', 400, INVALID_REQUEST),
    # Not good.
    row("no JWT", "GET /whoami", "Bearer x", 401, INVALID_TOKEN),
    row("what a SMART HTI launch gives for an access token", "GET /whoami", "Bearer NOOP", 401, INVALID_TOKEN),
    row("two dots and nothing else", "GET /whoami", "Bearer ..", 401, INVALID_TOKEN),
    row("an expired token", "GET /whoami", "Bearer {expired}", 401, INVALID_TOKEN),
    row("a token from the future", "GET /whoami", "Bearer {early}", 401, INVALID_TOKEN),
    row("a token for somebody else", "GET /whoami", "Bearer {for_others}", 401, INVALID_TOKEN),
    row("a token of a stranger", "GET /whoami", "Bearer {from_others}", 401, INVALID_TOKEN),
    row("an unknown kid", "GET /whoami", "Bearer {unknown_kid}", 401, INVALID_TOKEN),
    row("a forged signature", "GET /whoami", "Bearer {other_key}", 401, INVALID_TOKEN),
    row("no signature", "GET /whoami", "Bearer {unsigned}", 401, INVALID_TOKEN),
    row("an edited token", "GET /whoami", "Bearer {edited}", 401, INVALID_TOKEN),
    row("a token that is too long", "GET /whoami", "Bearer {long}", 401, INVALID_TOKEN, not_at=SHORTER),
    # Good, but not enough.
    row("a scope that is there", "GET /orders", "Bearer {reader}", 200, None, READER),
    row("a scope that is missing", "POST /orders", "Bearer {reader}", 403, needs("orders:write")),
    row("the scope of another method", "POST /orders", "Bearer {writer}", 200, None, WRITER),
    row("one scope of two", "DELETE /orders/1", "Bearer {writer}", 403, needs("orders:delete orders:write")),
    row("a role that is there", "GET /ops", "Bearer {ops}", 200, None, OPS),
    row("a role that is missing", "GET /ops", "Bearer {admin}", 403, INSUFFICIENT),
    row("one of two ways: scope", "GET /admin/users", "Bearer {admin}", 200, None, ADMIN),
    row("one of two ways: role", "GET /admin", "Bearer {ops}", 200, None, OPS),
    row("neither of two ways", "GET /admin", "Bearer {reader}", 403, needs("admin")),
    row("a bad token is 401 before 403", "POST /orders", "Bearer {expired}", 401, INVALID_TOKEN),
    # Asked for in the application itself.
    row("requires: there", "GET /code/read", "Bearer {reader}", 200, None, READER),
    row("requires: missing", "GET /code/both", "Bearer {reader}", 403, needs("orders:read orders:write")),
    row("requires: both", "GET /code/both", "Bearer {writer}", 200, None, WRITER),
    row("requires: no token", "GET /code/read", None, 401, PLAIN),
    row("requires on an open route: no token", "GET /public/code", None, 401, PLAIN),
    row("requires on an open route: too little", "GET /public/code", "Bearer {ops}", 403, needs("orders:read")),
    row("requires on an open route: enough", "GET /public/code", "Bearer {reader}", 200, None, READER),
    row("requires: HEAD", "HEAD /code/both", "Bearer {reader}", 403, needs("orders:read orders:write")),
    # Open routes: absent is the only anonymous.
    row("open: nobody", "GET /public/x", None, 200),
    row("open: somebody", "GET /public/x", "Bearer {reader}", 200, None, READER),
    row("open: a bad token", "GET /public/x", "Bearer {expired}", 401, INVALID_TOKEN),
    row("open: no JWT", "GET /public/x", "Bearer x", 401, INVALID_TOKEN),
    row("open: another scheme", "GET /public/x", "Basic YWRhOmFkYQ==", 401, PLAIN),
    row("open: an empty token", "GET /public/x", "Bearer ", 401, PLAIN),
    row("open: an empty header", "GET /public/x", "", 401, PLAIN),
    row("open: two headers", "GET /public/x", ("Bearer {reader}", "Bearer {reader}"), 400, INVALID_REQUEST),
    row("open: its own root", "GET /public", None, 200),
    # Methods.
    row("HEAD is a GET", "HEAD /orders", "Bearer {reader}", 200),
    row("HEAD without a token", "HEAD /orders", None, 401, PLAIN),
    row("HEAD of an open route", "HEAD /public/x", None, 200),
    row("a method that is not there", "PUT /orders", "Bearer {reader}", 405, more={"allow": "GET, HEAD, POST"}),
    row("a method that is not there, no token", "PUT /orders", None, 401, PLAIN),
    row("a method that is not there, bad token", "PUT /orders", "Bearer x", 401, INVALID_TOKEN),
    row(
        "a method in small letters", "get /whoami", "Bearer {reader}", 405, more={"allow": "GET, HEAD"}, not_at=CAPITALS
    ),
    row("an open route has its methods, too", "POST /public/x", None, 401, PLAIN),
    row(
        "a method in a header changes nothing",
        "GET /orders",
        "Bearer {reader}",
        200,
        None,
        READER,
        headers={"x-http-method-override": "POST"},
    ),
    # CORS.
    row("a preflight", "OPTIONS /orders", None, 200, headers=PREFLIGHT),
    row("a preflight where no route is", "OPTIONS /nowhere", None, 200, headers=PREFLIGHT),
    row("a preflight into requires", "OPTIONS /code/read", None, 401, PLAIN, headers=PREFLIGHT),
    row("OPTIONS alone", "OPTIONS /orders", None, 401, PLAIN),
    row("half a preflight", "OPTIONS /orders", None, 401, PLAIN, headers={"origin": "https://shop.example"}),
    row("no preflight", "GET /orders", None, 401, PLAIN, headers=PREFLIGHT),
    row(
        "a preflight that wants to be more",
        "OPTIONS /orders",
        None,
        401,
        PLAIN,
        headers={**PREFLIGHT, "x-http-method-override": "DELETE"},
    ),
    row("a preflight with a bad token", "OPTIONS /orders", "Bearer {expired}", 401, INVALID_TOKEN, headers=PREFLIGHT),
    row(
        "a preflight for no method",
        "OPTIONS /orders",
        None,
        401,
        PLAIN,
        headers={**PREFLIGHT, "access-control-request-method": "GET, POST"},
    ),
    # Paths: one normal form, and what has none is let in nowhere.
    row("no such route", "GET /nowhere", "Bearer {writer}", 403, INSUFFICIENT),
    row("no such route, no token", "GET /nowhere", None, 401, PLAIN),
    row("the root", "GET /", "Bearer {writer}", 403, INSUFFICIENT),
    row("a trailing slash", "GET /whoami/", "Bearer {reader}", 200, None, READER),
    row("a letter written as an escape", "GET /%77hoami", "Bearer {reader}", 200, None, READER),
    row("capitals make another path", "GET /Whoami", "Bearer {reader}", 403, INSUFFICIENT),
    row("a query is no path", "GET /whoami?x=/public/x", None, 401, PLAIN),
    row("a query after an open path", "GET /public/x?y=1", None, 200),
    row("dots out of the open", "GET /public/../orders", None, 401, PLAIN),
    row("dots out of the open, with a token", "GET /public/../orders", "Bearer {ops}", 403, INSUFFICIENT),
    row("escaped dots", "GET /public/%2e%2e/orders", None, 401, PLAIN),
    row("dots and an escaped slash", "GET /public/..%2Forders", None, 401, PLAIN),
    row("a dot for nothing", "GET /public/./x", None, 401, PLAIN),
    row("an escaped slash", "GET /public%2Fx", None, 401, PLAIN, not_at=DECODED),
    row("an escaped slash in an order", "GET /orders/1%2F2", "Bearer {reader}", 403, INSUFFICIENT),
    row("an escaped slash where it may be", "GET /files/a%2Fb", "Bearer {reader}", 200, None, READER, not_at=DECODED),
    row("a slash where an escaped one may be", "GET /files/a/b", "Bearer {reader}", 403, INSUFFICIENT),
    row("an escaped escape", "GET /public/%252e%252e/orders", None, 200),
    row("a double slash", "GET /public//x", None, 401, PLAIN),
    row("a double slash in front", "GET //public/x", None, 401, PLAIN, not_at=ONE_SLASH),
    row(
        "a double slash in front, with a token", "GET //whoami", "Bearer {reader}", 403, INSUFFICIENT, not_at=ONE_SLASH
    ),
    row("a semicolon", "GET /public;x/orders", None, 401, PLAIN),
    row("a semicolon in an order", "GET /orders/1;x", "Bearer {reader}", 403, INSUFFICIENT),
    row("a backslash", "GET /public\\..\\orders", None, 401, PLAIN),
    row("an escaped backslash", "GET /public/..%5Corders", None, 401, PLAIN),
    row("an escaped NUL", "GET /public/x%00", None, 401, PLAIN),
    row("what is not UTF-8", "GET /public/%FF", None, 401, PLAIN),
    row("what is UTF-8", "GET /public/caf%C3%A9", None, 200),
    row("half an escape", "GET /public/%zz", None, 401, PLAIN, not_at=DECODED),
    # Ours to mend.
    row("keys out of reach", "GET /whoami", "Bearer {dead}", 503, more={"retry-after": "1"}),
    row("keys out of reach, open route", "GET /public/x", "Bearer {dead}", 503, more={"retry-after": "1"}),
    row("bad anyway", "GET /whoami", "Bearer {dead_and_expired}", 401, INVALID_TOKEN),
    row("others are served meanwhile", "GET /whoami", "Bearer {reader}", 200, None, READER),
)

WEBSOCKET_ROWS = tuple(row for row in ROWS if row.method == "GET")
"""A handshake is a GET (RFC 6455 §4.1)."""
