"""A good request → hostile ones: each with the name of an attack, and all else as the good one has it.

Each is one that some published verifier, proxy or framework has let through; RFC 8725 and RFC 6750 §5 have most.
"""

from __future__ import annotations

import base64
import hmac
import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import quote

from ..tokens.compact import from_base64url, to_base64url
from .sending import Sent

if TYPE_CHECKING:
    from ..access.identity import Path
    from ..issuing.signing import SigningKey

__all__ = ["ATTACKS", "Attempt", "Good", "attempts"]

_HOUR = 3_600
_SPELLINGS = ("none", "None", "NONE", "nOnE", "")
_WELL_KNOWN = ("", "secret", "password", "changeme", "your-256-bit-secret", "jwt-secret", "test", "\0" * 32)
_OFTEN_OPEN = ("/health", "/static", "/public", "/docs")


@dataclass(frozen=True)
class Good:
    """The good request of one route: what the attacks are made of."""

    sent: Sent
    """The request, but for its token."""
    token: str = field(repr=False)
    now: int
    """The time of the one who looks at tokens, in seconds since the epoch."""
    stranger: SigningKey = field(repr=False)
    """The attacker's key, of the algorithm of the good one where that is no secret."""
    hosted: SigningKey = field(repr=False)
    """Another one of the attacker's."""
    url: str
    """Where that is published."""
    key: SigningKey | None = None
    """The issuer's key; None: what only the issuer can sign is not tried."""
    audience_claim: str = "aud"
    scopes: frozenset[str] = frozenset()
    """What the route asks for."""
    roles: frozenset[str] = frozenset()
    scope_paths: tuple[Path, ...] = ("scope", "scp")
    role_paths: tuple[Path, ...] = ("roles",)

    @cached_property
    def header(self) -> dict[str, Any]:
        """What the good token's header says."""
        return _read(self.token.split(".")[0])

    @cached_property
    def claims(self) -> dict[str, Any]:
        """What the good token says."""
        return _read(self.token.split(".")[1])

    def signed(
        self,
        changes: Mapping[str, Any] | None = None,
        *,
        header: Mapping[str, Any] | None = None,
        sign: Callable[[bytes], bytes] | None = None,
    ) -> str:
        """Return the good token with *changes*; None is left out.  By *sign*, or by the issuer's key."""
        said = {**self.claims, **({"jti": secrets.token_urlsafe(8)} if "jti" in self.claims else {}), **(changes or {})}
        return self.raw(_json({**self.header, **(header or {})}), _json(said), sign)

    def raw(self, header: bytes, claims: bytes, sign: Callable[[bytes], bytes] | None = None) -> str:
        """Return a token of just these octets, by *sign*, or by the issuer's key."""
        signing_input = f"{to_base64url(header)}.{to_base64url(claims)}"
        if sign is None:
            assert self.key is not None  # noqa: S101 - what needs it is not tried without
            sign = self.key.sign
        return f"{signing_input}.{to_base64url(sign(signing_input.encode('ascii')))}"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One hostile request."""

    attack: str
    how: str
    """Which of several ways to do it."""
    sent: Sent
    token: str | None = field(default=None, repr=False)
    """The token that no answer may repeat."""
    is_elsewhere: bool = False
    """The path or the method is another one, so that only an answer of the good one's content says it got through."""


Ways: TypeAlias = Iterator[tuple[str, str]]
"""How, and the token for the one ``Authorization`` header."""
_Maker: TypeAlias = Callable[[Good], "Ways | Iterator[Attempt]"]


@dataclass(frozen=True, slots=True)
class _Attack:
    why: str
    make: _Maker
    needs_key: bool = False
    for_websockets: bool = True


_CORPUS: Final[dict[str, _Attack]] = {}
ATTACKS: Final[dict[str, str]] = {}
"""The name of each attack → what whoever lets it through does wrong."""


def _attack(name: str, why: str, *, needs_key: bool = False, for_websockets: bool = True) -> Callable[[_Maker], _Maker]:
    def note(make: _Maker) -> _Maker:
        _CORPUS[name] = _Attack(why, make, needs_key, for_websockets)
        ATTACKS[name] = why
        return make

    return note


def attempts(good: Good) -> tuple[list[Attempt], list[str]]:
    """Return all attempts on the route of *good*, and the names of the attacks that cannot be made there."""
    made: list[Attempt] = []
    left_out: list[str] = []
    for name, attack in _CORPUS.items():
        if (attack.needs_key and good.key is None) or (good.sent.is_websocket and not attack.for_websockets):
            left_out.append(name)
            continue
        found = [_attempt(good, name, each) for each in attack.make(good)]
        made += found
        if not found:
            left_out.append(name)
    return made, left_out


def _attempt(good: Good, name: str, made: Attempt | tuple[str, str]) -> Attempt:
    if isinstance(made, Attempt):
        return replace(made, attack=name)
    how, token = made
    return Attempt(name, how, _with(good, _bearer(token)), token)


def _with(good: Good, *headers: tuple[str, bytes], **changes: Any) -> Sent:  # noqa: ANN401 - the fields of Sent
    changes.setdefault("headers", (*good.sent.headers, *headers))
    return replace(good.sent, **changes)


def _bearer(token: str, scheme: str = "Bearer ") -> tuple[str, bytes]:
    return "Authorization", f"{scheme}{token}".encode("latin-1", "replace")


def _read(segment: str) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(_octets(segment))
    return values


def _octets(segment: str) -> bytes:
    return from_base64url(segment.encode("ascii"), "segment")


def _json(values: Mapping[str, Any]) -> bytes:
    present = {name: value for name, value in values.items() if value is not None}
    return json.dumps(present, separators=(",", ":")).encode()


def _other(good: Good, how: str, *headers: tuple[str, bytes], is_elsewhere: bool = False, **changes: Any) -> Attempt:  # noqa: ANN401 - the fields of Sent
    return Attempt("", how, _with(good, *headers, **changes), is_elsewhere=is_elsewhere)


# --- without a token ---------------------------------------------------------------------------------


@_attack("no token", "the route is open")
def _(good: Good) -> Iterator[Attempt]:
    yield _other(good, "no header")


@_attack("an empty token", "an absent token counts as a good one")
def _(good: Good) -> Iterator[Attempt]:
    for value in (b"", b"Bearer", b"Bearer ", b"Bearer null", b"Bearer undefined", b"Bearer None"):
        yield _other(good, repr(value.decode()), ("Authorization", value))


@_attack("no JWT", "what is not a token is not refused")
def _(_good: Good) -> Ways:
    for text in ("x", "..", ".", "e30.e30.", "e30.e30", "e30.e30.e30.e30.e30", "{}", "a.b.c", "%00", "\xff"):
        yield repr(text), text


@_attack("Basic credentials", "another kind of credentials is taken")
def _(good: Good) -> Iterator[Attempt]:
    for pair in (b"admin:admin", b"ada:", b":"):
        yield _other(good, repr(pair.decode()), ("Authorization", b"Basic " + base64.b64encode(pair)))


@_attack("identity in headers", "a header names the user that only a proxy may set")
def _(good: Good) -> Iterator[Attempt]:
    for name in (
        "X-User", "X-User-Id", "X-Auth-User", "X-Forwarded-User", "X-Remote-User", "Remote-User", "X_User",
        "X-Authenticated-User", "X-Auth-Request-User", "X-Forwarded-Email", "X-Auth-Scopes", "X-Jwt-Payload",
        "X-Userinfo", "X-Forwarded-Client-Cert", "X-Original-User", "X-Internal", "X-Debug",
    ):  # fmt: skip
        yield _other(good, name, (name, str(good.claims.get("sub", "admin")).encode("utf-8")))
    for name, value in (("X-Forwarded-For", "127.0.0.1"), ("X-Real-IP", "127.0.0.1"), ("User-Agent", "GoogleHC/1.0")):
        yield _other(good, name, (name, value.encode()))


# --- a good token that travels in another way --------------------------------------------------------


@_attack("another scheme", "the scheme is not looked at (RFC 6750 §2.1)")
def _(good: Good) -> Iterator[Attempt]:
    for scheme in ("", "Token ", "JWT ", "Basic ", "BearerX ", "Bearer:", "Bearer,", "Digest ", "DPoP "):
        yield replace(_other(good, repr(scheme), _bearer(good.token, scheme)), token=good.token)


@_attack("two tokens", "one of several credentials is picked (RFC 6750 §2)")
def _(good: Good) -> Iterator[Attempt]:
    real, bad = _bearer(good.token), _bearer("x")
    for how, headers in (("good, bad", (real, bad)), ("bad, good", (bad, real)), ("good twice", (real, real))):
        yield replace(_other(good, how, *headers), token=good.token)
    for between in (" ", ",", ", Bearer "):
        both = _bearer(f"{good.token}{between}x")
        yield replace(_other(good, f"one header, {between!r}", both), token=good.token)


@_attack("a token in the query", "tokens in URLs end up in logs and histories (RFC 6750 §5.3)", for_websockets=False)
def _(good: Good) -> Iterator[Attempt]:
    joined = "&" if "?" in good.sent.target else "?"
    for name in ("access_token", "token", "jwt", "auth", "bearer", "id_token"):
        target = f"{good.sent.target}{joined}{name}={good.token}"
        yield replace(_other(good, name, target=target), token=good.token)


@_attack("a token in a form", "a form on another site can send it (RFC 6750 §2.2)", for_websockets=False)
def _(good: Good) -> Iterator[Attempt]:
    kind = ("Content-Type", b"application/x-www-form-urlencoded")
    headers = (*(each for each in good.sent.headers if each[0].lower() != "content-type"), kind)
    for name in ("access_token", "token", "jwt"):
        body = f"{name}={good.token}".encode()
        yield replace(_other(good, name, headers=headers, body=body), token=good.token)


@_attack("a token in a cookie", "a page on another site can have it sent (CSRF)")
def _(good: Good) -> Iterator[Attempt]:
    for name in ("access_token", "token", "jwt", "Authorization", "access_token_cookie", "session", "id_token"):
        yield replace(_other(good, name, ("Cookie", f"{name}={good.token}".encode())), token=good.token)


@_attack("a token in another header", "a header that no proxy or log keeps secret carries it")
def _(good: Good) -> Iterator[Attempt]:
    for name in (
        "X-Authorization", "X-Access-Token", "X-Auth-Token", "X-Forwarded-Authorization", "Proxy-Authorization",
        "X-Forwarded-Access-Token", "X-Jwt-Assertion", "X-Id-Token", "Access-Token", "X-Token",
    ):  # fmt: skip
        for scheme in ("", "Bearer "):
            value = f"{scheme}{good.token}".encode()
            yield replace(_other(good, f"{name}: {scheme}".rstrip(), (name, value)), token=good.token)


@_attack("trailing junk", "what follows the token is not looked at")
def _(good: Good) -> Ways:
    for junk in ("x", ".", ".x", "..", "=", "==", "\t", ";x", "%00", "/", "#", "\xe9"):
        yield repr(junk), good.token + junk


@_attack("another spelling", "one token has several texts, so that lists of revoked ones miss it (RFC 7515 §2)")
def _(good: Good) -> Ways:
    head, payload, signature = good.token.split(".")
    yield "padding in the payload", f"{head}.{payload}=.{signature}"
    yield "a blank in the signature", f"{head}.{payload}.{signature[:5]} {signature[5:]}"
    yield "an escape", f"{head}.{payload}.%{ord(signature[0]):02X}{signature[1:]}"
    plain = signature.replace("-", "+").replace("_", "/")
    if plain != signature:
        yield "the other alphabet", f"{head}.{payload}.{plain}"
    if len(signature) % 4:
        letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        yield "spare bits", f"{head}.{payload}.{signature[:-1]}{letters[letters.index(signature[-1]) + 1]}"


# --- signatures --------------------------------------------------------------------------------------


@_attack("unsigned", "alg none is taken (RFC 8725 §2.1)")
def _(good: Good) -> Ways:
    signature = _octets(good.token.rpartition(".")[2])
    for alg in _SPELLINGS:
        for how, octets in (("no signature", b""), ("the old signature", signature)):
            token = good.signed(header={"alg": alg}, sign=lambda _, octets=octets: octets)  # type: ignore[misc]  # as it stands there
            yield f"alg {alg!r}, {how}", token
    yield "no alg", good.signed(header={"alg": None}, sign=lambda _: b"")


@_attack("without a signature", "the signature is not looked at")
def _(good: Good) -> Ways:
    signing_input, _, signature = good.token.rpartition(".")
    yield "an empty one", f"{signing_input}."
    yield "none at all", signing_input
    yield "zeros", f"{signing_input}.{to_base64url(bytes(len(_octets(signature))))}"
    yield "half of it", f"{signing_input}.{signature[: len(signature) // 2]}"
    yield "another first letter", f"{signing_input}.{'B' if signature.startswith('A') else 'A'}{signature[1:]}"


@_attack("changed claims", "the signature is not compared with what is said")
def _(good: Good) -> Ways:
    head, _, signature = good.token.split(".")
    for how, changes in (("another jti", {"jti": "x"}), ("a later exp", {"exp": good.now + 10 * _HOUR})):
        yield how, f"{head}.{to_base64url(_json({**good.claims, **changes}))}.{signature}"


@_attack("signed by another key", "the signature is not verified")
def _(good: Good) -> Ways:
    stranger = good.stranger
    yield "the right kid", good.signed(sign=stranger.sign)
    yield "a kid nobody knows", good.signed(header={"kid": stranger.kid or "x"}, sign=stranger.sign)
    yield "no kid", good.signed(header={"kid": None}, sign=stranger.sign)
    from ..issuing.signing import make

    for alg in {"ES256", "EdDSA", "HS256"} - {str(good.header.get("alg"))}:
        other = make(alg)
        yield f"an {alg} key", good.signed(header={"alg": alg}, sign=other.sign)


@_attack("the public key as a secret", "the token says which algorithm verifies it (RFC 8725 §2.1)")
def _(good: Good) -> Ways:
    if good.key is None or good.key.public is None:
        return
    pem = good.key.public_pem()
    der = base64.b64decode(b"".join(pem.splitlines()[1:-1]))
    materials = {
        "PEM": pem,
        "PEM, stripped": pem.strip(),
        "DER": der,
        "JWK": json.dumps(dict(good.key.public)).encode(),
    }
    for how, material in materials.items():
        for alg in ("HS256", "HS384", "HS512"):
            yield f"{how}, {alg}", good.signed(header={"alg": alg}, sign=_hmac(material, alg))


@_attack("a well-known secret", "the secret can be guessed")
def _(good: Good) -> Ways:
    for secret in _WELL_KNOWN:
        yield repr(secret), good.signed(header={"alg": "HS256"}, sign=_hmac(secret.encode()))


@_attack("a key in the header", "the token brings the key that verifies it (RFC 8725 §2.4)")
def _(good: Good) -> Ways:
    stranger = good.hosted
    jwk = dict(stranger.public or {})
    for how, kid in (("its own kid", stranger.kid), ("the right kid", good.header.get("kid")), ("no kid", None)):
        header = {"alg": stranger.alg, "kid": kid, "jwk": {**jwk, **({"kid": kid} if kid else {})}}
        yield f"jwk, {how}", good.signed(header=header, sign=stranger.sign)
    der = base64.b64encode(b"".join(stranger.public_pem().splitlines()[1:-1])).decode()
    yield "x5c", good.signed(header={"alg": stranger.alg, "kid": None, "x5c": [der]}, sign=stranger.sign)
    secret = {"kty": "oct", "k": to_base64url(b"x" * 32), "alg": "HS256"}
    yield "a secret", good.signed(header={"alg": "HS256", "kid": None, "jwk": secret}, sign=_hmac(b"x" * 32))


@_attack("a key by URL", "the token says where the key is that verifies it (RFC 8725 §3.10)")
def _(good: Good) -> Ways:
    stranger = good.hosted
    for name in ("jku", "x5u", "kid", "iss"):
        changes = {"iss": good.url} if name == "iss" else {}
        header = {"alg": stranger.alg, "kid": stranger.kid, **({} if changes else {name: f"{good.url}/jwks"})}
        yield name, good.signed(changes, header=header, sign=stranger.sign)


@_attack("a kid that leads elsewhere", "kid is used as a path or in a query")
def _(good: Good) -> Ways:
    for kid in ("../../../../../../dev/null", "/dev/null", "file:///dev/null", "nul"):
        yield repr(kid), good.signed(header={"alg": "HS256", "kid": kid}, sign=_hmac(b""))
    for kid in ("' UNION SELECT 'x", "x' OR '1'='1", "1;SELECT pg_sleep(0)--", "$(id)", "|id", "\0", "\r\nX: y"):
        yield repr(kid), good.signed(header={"alg": "HS256", "kid": kid}, sign=_hmac(b"x"))


@_attack("a header of another shape", "a broken header is not expected, and somebody else's error is ours")
def _(good: Good) -> Ways:
    for name, value in (
        ("alg", ["none"]), ("alg", 1), ("alg", {}), ("kid", 1), ("kid", [1]), ("kid", {}), ("kid", True),
        ("typ", 1), ("typ", []), ("cty", "JWT"), ("crit", "x"), ("enc", "A256GCM"),
    ):  # fmt: skip
        yield f"{name} is {value!r}", good.signed(header={name: value}, sign=lambda _: b"x" * 64)
    payload = _json(good.claims)
    for how, head in (
        ("a list", b"[]"), ("null", b"null"), ("a text", b'"x"'), ("no JSON", b"{"), ("no UTF-8", b'{"alg":"\xff"}'),
        ("deep", b'{"alg":' + b"[" * 2_000 + b"]" * 2_000 + b"}"), ("a number", b"1" * 5_000),
    ):  # fmt: skip
        yield f"it is {how}", good.raw(head, payload, lambda _: b"x" * 64)


@_attack("huge", "there is no limit to what is read")
def _(good: Good) -> Ways:
    yield "signature", good.token + "A" * 200_000
    yield "header", good.signed(header={"kid": "x" * 200_000}, sign=lambda _: b"x" * 64)
    yield "dots", "." * 100_000
    deep = b"[" * 50_000 + b"]" * 50_000
    yield "nesting", good.raw(_json(good.header), b'{"a":' + deep + b"}", lambda _: b"x" * 64)


# --- well signed, and wrong --------------------------------------------------------------------------


@_attack("expired", "exp is not looked at (RFC 7519 §4.1.4)", needs_key=True)
def _(good: Good) -> Ways:
    yield "an hour ago", good.signed({"iat": good.now - 2 * _HOUR, "nbf": None, "exp": good.now - _HOUR})
    yield "in 1970", good.signed({"iat": None, "nbf": None, "exp": 1})


@_attack("not yet valid", "nbf is not looked at (RFC 7519 §4.1.5)", needs_key=True)
def _(good: Good) -> Ways:
    yield "in an hour", good.signed({"nbf": good.now + _HOUR, "exp": good.now + 2 * _HOUR})


@_attack("issued in the future", "iat is not looked at", needs_key=True)
def _(good: Good) -> Ways:
    yield "in an hour", good.signed({"iat": good.now + _HOUR, "nbf": None, "exp": good.now + 2 * _HOUR})


@_attack("without expiry", "a token for ever is taken (RFC 9068 §2.2)", needs_key=True)
def _(good: Good) -> Ways:
    yield "no exp", good.signed({"exp": None})


@_attack("an expiry that is no date", "exp is taken for what it is not", needs_key=True)
def _(good: Good) -> Ways:
    later = good.now + _HOUR
    for how, value in (
        ("true", "true"), ("a text", f'"{later}"'), ("a list", f"[{later}]"), ("infinite", "1e999"), ("NaN", "NaN"),
        ("null", "null"), ("an object", "{}"), ("many digits", "9" * 400),
    ):  # fmt: skip
        rest = _json({name: value for name, value in good.claims.items() if name != "exp"})
        yield how, good.raw(_json(good.header), rest[:-1] + f',"exp":{value}}}'.encode())


@_attack("for another audience", "a token for another service is taken (RFC 8725 §3.9)", needs_key=True)
def _(good: Good) -> Ways:
    name = good.audience_claim
    own = good.claims.get(name)
    first = own if isinstance(own, str) else str(own[0]) if isinstance(own, list) and own else "api"
    others: tuple[Any, ...] = (
        f"not-{first}",
        f"{first}x",
        first[:-1] or "x",
        f"{first} x",
        "*",
        "",
        None,
        [],
        [f"x{first}"],
    )
    for other in (*others, [first, 1], {first: 1}):
        yield f"{name} is {other!r}".replace(first, "ours"), good.signed({name: other})


@_attack("by another issuer", "iss is not looked at (RFC 8725 §3.8)", needs_key=True)
def _(good: Good) -> Ways:
    own = str(good.claims.get("iss", "https://id.test"))
    others: dict[str, Any] = {
        "longer": f"{own}x", "with a path": f"{own}/another", "shorter": own[:-1], "capitals": own.upper(),
        "a stranger": "https://id.example.net", "empty": "", "absent": None, "a list": [own], "a number": 1,
    }  # fmt: skip
    for how, other in others.items():
        yield how, good.signed({"iss": other})


@_attack("an ID token", "what tells a client who logged in opens an API (RFC 9068 §5)", needs_key=True)
def _(good: Good) -> Ways:
    said = {"nonce": "n-0S6_WzA2Mj", "at_hash": "MTIzNDU2Nzg5MGFiY2RlZg"}  # OIDC Core §3.1.3.6
    yield "nonce and at_hash", good.signed(said, header={"typ": "JWT"})


@_attack("another kind of token", "typ is not looked at (RFC 8725 §3.11)", needs_key=True)
def _(good: Good) -> Ways:
    for typ in ("logout+jwt", "dpop+jwt", "secevent+jwt", "oauth-authz-req+jwt", "token-introspection+jwt"):
        yield typ, good.signed(header={"typ": typ})


@_attack("critical extensions", "what must be understood is ignored (RFC 7515 §4.1.11)", needs_key=True)
def _(good: Good) -> Ways:
    for how, header in (
        ("an unknown one", {"crit": ["http://example.com/x"], "http://example.com/x": True}),
        ("b64", {"crit": ["b64"], "b64": False}),
        ("an empty list", {"crit": []}),
        ("a text", {"crit": "exp"}),
        ("exp", {"crit": ["exp"], "exp": 1}),
    ):
        yield how, good.signed(header=header)


@_attack("a member twice", "two readers of one token see two things (RFC 8725 §2.6)", needs_key=True)
def _(good: Good) -> Ways:
    head, said = _json(good.header), _json(good.claims)
    for name in ("sub", good.audience_claim, "exp"):
        yield f"{name}, the good one last", good.raw(head, b'{"' + name.encode() + b'":"x",' + said[1:])
    yield "alg, the good one last", good.raw(b'{"alg":"none",' + head[1:], said)


@_attack("a claim of another shape", "claims are taken for what they are not", needs_key=True)
def _(good: Good) -> Ways:
    for name in ("sub", *(path for path in good.scope_paths if isinstance(path, str) and path in good.claims)):
        shapes: tuple[Any, ...] = (1, {"a": 1}, [[]], True, "a\r\nX-User: b")
        for value in shapes:
            yield f"{name} is {value!r}", good.signed({name: value})
    for how, payload in (("a list", b"[]"), ("a text", b'"x"'), ("no JSON", b"x"), ("no UTF-8", b'{"sub":"\xff"}')):
        yield f"they are {how}", good.raw(_json(good.header), payload)


@_attack("a missing scope", "the route does not ask for the scope", needs_key=True)
def _(good: Good) -> Ways:
    yield from _lacking(good, good.scopes, good.scope_paths)
    for scope in sorted(good.scopes):
        for how, near in (("longer", f"{scope}x"), ("shorter", scope[:-1]), ("capitals", scope.upper())):
            changes = _without(good, scope, good.scope_paths, near)
            if near and near not in good.scopes and changes is not None:
                yield f"{scope}, {how}", good.signed(changes)


@_attack("a missing role", "the route does not ask for the role", needs_key=True)
def _(good: Good) -> Ways:
    yield from _lacking(good, good.roles, good.role_paths)


def _lacking(good: Good, names: frozenset[str], paths: tuple[Path, ...]) -> Ways:
    for name in sorted(names):
        changes = _without(good, name, paths)
        if changes is not None:
            yield name, good.signed(changes)


def _without(good: Good, name: str, paths: tuple[Path, ...], instead: str | None = None) -> dict[str, Any] | None:
    """Return the claims that differ once *name* is taken out, and *instead* put in; None where none says it."""
    for path in paths:
        steps = (path,) if isinstance(path, str) else path
        top = json.loads(json.dumps({steps[0]: good.claims.get(steps[0])}))
        place: Any = top
        for step in steps[:-1]:
            place = place.get(step) if isinstance(place, dict) else None
        last = steps[-1]
        if last == "*" and isinstance(place, dict) and name in place:
            del place[name]
            return {**top}
        if not isinstance(place, dict) or not place.get(last):
            continue
        value = place[last]
        words = value.split(" ") if isinstance(value, str) else list(value)
        left = [*(word for word in words if word != name), *([instead] if instead else [])]
        place[last] = " ".join(left) if isinstance(value, str) else left
        return {**top}
    return None


# --- another way to the route ------------------------------------------------------------------------


@_attack("another spelling of the path", "who guards and who routes read paths differently", for_websockets=False)
def _(good: Good) -> Iterator[Attempt]:
    path, mark, query = good.sent.target.partition("?")
    rest = path[1:]
    first = rest[:1]
    spellings = [
        f"/{path}", f"{path}/", f"/.{path}", f"/x/..{path}", f"{path}/.", f"{path}/x/..", f"{path}//", f"{path};x",
        f"{path};/", f"{path}%00", f"{path}%20", f"{path}%2f", f"/%2e{path}", f"/%2F{rest}", f"{path}.json", f"{path}#",
        f"{path}%23", f"{path}%3f", f"{path}~", f"/\\{rest}", f"{path}%0a", path.upper(), f"{path}%c0%af",
        f"http://testserver{path}", *([f"/%{ord(first):02x}{rest[1:]}"] if first else []),
        f"/{quote(quote(rest, safe=''), safe='')}",
    ]  # fmt: skip
    for spelling in dict.fromkeys(spellings):
        if spelling != path:
            yield _other(good, spelling, target=f"{spelling}{mark}{query}", is_elsewhere=True)


@_attack("dots out of an open path", "an open prefix opens all that dots lead to", for_websockets=False)
def _(good: Good) -> Iterator[Attempt]:
    for prefix in _OFTEN_OPEN:
        for dots in ("/..", "/%2e%2e", "/..;", "/.%2e", "/x/../..", "/..%2f", "/..%5c", "/%252e%252e"):
            how = f"{prefix}{dots}{good.sent.target}"
            yield _other(good, how, target=how, is_elsewhere=True)


@_attack("a path in a header", "a header says which route is meant", for_websockets=False)
def _(good: Good) -> Iterator[Attempt]:
    octets = good.sent.target.encode("latin-1", "replace")
    for name in ("X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Uri", "X-Original-URI", "X-Forwarded-Prefix"):
        yield _other(good, name, (name, octets), target="/", is_elsewhere=True)
        yield _other(good, f"{name}: /health", (name, b"/health"))


@_attack("another method", "methods that do the same are not guarded", for_websockets=False)
def _(good: Good) -> Iterator[Attempt]:
    method = good.sent.method
    if method == "GET":
        yield _other(good, "HEAD", method="HEAD")
    yield _other(good, method.lower(), method=method.lower(), is_elsewhere=True)
    preflight = (("Origin", b"https://shop.example"), ("Access-Control-Request-Method", method.encode()))
    for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
        override = (name, method.encode())
        yield _other(good, f"POST, {name}", override, method="POST", is_elsewhere=True)
        yield _other(good, f"OPTIONS, {name}", override, *preflight, method="OPTIONS", is_elsewhere=True)
        yield _other(good, name, (name, b"OPTIONS"))
    yield _other(good, "a preflight", *preflight, method="OPTIONS", is_elsewhere=True)
    yield _other(good, "OPTIONS", method="OPTIONS", is_elsewhere=True)
    yield _other(good, "half a preflight", *preflight)
    for other in ("TRACE", "CONNECT", "FOO"):
        yield _other(good, other, method=other, is_elsewhere=True)


# --- keys --------------------------------------------------------------------------------------------


def _hmac(secret: bytes, alg: str = "HS256") -> Callable[[bytes], bytes]:
    """Return what signs with *secret*, however bad a secret it is: no key of ours can be made to."""
    return lambda octets: hmac.digest(secret, octets, f"sha{alg[2:]}")
