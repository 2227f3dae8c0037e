"""A way for an issuer to fail → what it does with each request, as long as it is its *fault*.

A fault is any function of an :class:`Exchange`; these are the usual ones, and ways to combine them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from ..issuing.signing import SigningKey

__all__ = [
    "Answer",
    "Exchange",
    "Fault",
    "body",
    "cut_short",
    "drip",
    "empty",
    "garbage",
    "gzip_bomb",
    "hang",
    "html",
    "huge",
    "in_turn",
    "no_keys",
    "on_keys",
    "on_metadata",
    "private_keys",
    "redirect",
    "reset",
    "secret_keys",
    "slow",
    "sometimes",
    "status",
    "wrong_issuer",
    "wrong_keys",
]

_JSON = "application/json"
_MORE_THAN_TAKEN = 300_000  # octets, where a guard takes 262,144
_OF_THE_BOMB = 10_000_000
_BETWEEN_DROPS = 0.01  # seconds


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; its length, its date and the end of the connection are added."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)


class Exchange(Protocol):
    """One request, and the ways to answer it; when the fault returns, the connection is closed."""

    @property
    def is_for_keys(self) -> bool:
        """Whether the key set is asked for, and not the metadata."""
        ...

    @property
    def keys(self) -> tuple[SigningKey, ...]:
        """The keys of the issuer, the one that signs among them."""
        ...

    @property
    def document(self) -> dict[str, Any]:
        """What is published here."""
        ...

    def published(self, document: Mapping[str, Any]) -> Answer:
        """Return the answer with *document* and the headers of what is published here (``ETag``, ``Cache-Control``)."""
        ...

    def answer(self, answer: Answer) -> None:
        """Send *answer*, or 304 to somebody who has it."""
        ...

    def send(self, octets: bytes) -> None:
        """Send *octets*, HTTP or not."""
        ...

    def wait(self, seconds: float | None) -> bool:
        """Let *seconds* pass (None: any number); return True, at once, where the issuer is released or closed."""
        ...

    def reset(self) -> None:
        """Have the connection dropped with a TCP reset when the fault returns."""
        ...


Fault: TypeAlias = Callable[[Exchange], None]
"""Deals with one request."""


def _do(fault: Fault | None, exchange: Exchange) -> None:
    if fault is None:
        exchange.answer(exchange.published(exchange.document))
    else:
        fault(exchange)


# --- no answer, or none of HTTP -----------------------------------------------------------------------


def hang(then: Fault | None = None) -> Fault:
    """Say nothing until the issuer is released, then do *then*; None: answer well."""

    def fault(exchange: Exchange) -> None:
        exchange.wait(None)
        _do(then, exchange)

    return fault


def slow(seconds: float, then: Fault | None = None) -> Fault:
    """Say nothing for *seconds*, then do *then*; None: answer well."""

    def fault(exchange: Exchange) -> None:
        exchange.wait(seconds)
        _do(then, exchange)

    return fault


def reset() -> Fault:
    """Drop the connection with a TCP reset."""
    return lambda exchange: exchange.reset()


def cut_short() -> Fault:
    """Close the connection in the midst of the document."""

    def fault(exchange: Exchange) -> None:
        octets = exchange.published(exchange.document).body
        exchange.send(_head(len(octets)) + octets[: len(octets) // 2])

    return fault


def drip() -> Fault:
    """Send spaces one at a time, a hundred a second, for as long as somebody listens."""

    def fault(exchange: Exchange) -> None:
        exchange.send(_head(_OF_THE_BOMB))
        while not exchange.wait(_BETWEEN_DROPS):
            exchange.send(b" ")

    return fault


def _head(length: int) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Type: {_JSON}\r\nContent-Length: {length}\r\n\r\n".encode("ascii")


# --- an answer that is of no use ----------------------------------------------------------------------


def status(code: int, headers: Mapping[str, str] | None = None) -> Fault:
    """Answer with the status *code* and *headers*, and nothing else."""
    return lambda exchange: exchange.answer(Answer(code, headers or {}))


def body(octets: bytes, content_type: str = _JSON) -> Fault:
    """Answer 200 with *octets*."""
    return lambda exchange: exchange.answer(Answer(200, {"Content-Type": content_type}, octets))


def garbage() -> Fault:
    """Answer 200 with octets that are no text, said to be JSON."""
    return body(b"\xff\x00{garbage")


def html() -> Fault:
    """Answer 200 with a page for people, as a proxy does that wants a login."""
    return body(b"<!doctype html><title>Sign in</title><h1>Sign in</h1>\n", "text/html")


def empty() -> Fault:
    """Answer 200 with nothing in it."""
    return body(b"")


def redirect(to: str) -> Fault:
    """Answer 302 and point to *to*."""
    return status(302, {"Location": to})


def huge(octets: int = _MORE_THAN_TAKEN) -> Fault:
    """Answer with the right document, followed by spaces until it has *octets*: by default more than a guard reads."""

    def fault(exchange: Exchange) -> None:
        well = exchange.published(exchange.document)
        headers = {name: value for name, value in well.headers.items() if name != "ETag"}  # that is of another body
        exchange.answer(replace(well, headers=headers, body=well.body.ljust(octets)))

    return fault


def gzip_bomb() -> Fault:
    """Answer with ten kilobytes that unpack to ten megabytes, though nobody asked for compression."""
    import gzip

    octets = gzip.compress(b" " * _OF_THE_BOMB)
    return lambda exchange: exchange.answer(
        Answer(200, {"Content-Type": _JSON, "Content-Encoding": "gzip"}, octets),
    )


# --- a document that is wrong; the other one stays well -----------------------------------------------


def no_keys() -> Fault:
    """Publish a set without keys."""
    return _publishing(lambda _keys: [])


def wrong_keys() -> Fault:
    """Publish other keys under the same names: nothing was ever signed with them."""
    from functools import cache

    from ..issuing.signing import make

    @cache
    def twin(alg: str, kid: str | None) -> Mapping[str, str]:
        return make(alg, kid).public or {}

    return _publishing(lambda keys: [dict(twin(key.alg, key.kid)) for key in keys])


def private_keys() -> Fault:
    """Publish the keys with their private halves."""
    return _publishing(lambda keys: [key.private_jwk() for key in keys])


def secret_keys() -> Fault:
    """Publish secrets for HS256 under the names of the keys."""
    secret = {"kty": "oct", "alg": "HS256", "use": "sig", "k": "c2VjcmV0" * 8}
    return _publishing(lambda keys: [{**secret, "kid": key.kid} for key in keys])


def wrong_issuer(issuer: str = "https://another.test") -> Fault:
    """Say in the metadata that they are those of *issuer*."""

    def fault(exchange: Exchange) -> None:
        exchange.answer(exchange.published({**exchange.document, "issuer": issuer}))

    return on_metadata(fault)


def _publishing(jwks: Callable[[tuple[SigningKey, ...]], list[Any]]) -> Fault:
    return on_keys(lambda exchange: exchange.answer(exchange.published({"keys": jwks(exchange.keys)})))


# --- combinations -------------------------------------------------------------------------------------


def on_keys(fault: Fault) -> Fault:
    """Do *fault* to those who ask for the key set, and answer others well."""
    return lambda exchange: _do(fault if exchange.is_for_keys else None, exchange)


def on_metadata(fault: Fault) -> Fault:
    """Do *fault* to those who ask for the metadata, and answer others well."""
    return lambda exchange: _do(None if exchange.is_for_keys else fault, exchange)


def in_turn(*faults: Fault | None) -> Fault:
    """Do one of *faults* to each request, in this order (None: answer well), and answer well after the last."""
    left = list(reversed(faults))

    def fault(exchange: Exchange) -> None:
        try:
            present = left.pop()  # which the interpreter does at once, so that no two requests get the same
        except IndexError:
            present = None
        _do(present, exchange)

    return fault


def sometimes(share: float, *faults: Fault, seed: int = 0) -> Fault:
    """Do one of *faults* to a *share* of the requests, from 0 to 1, and answer the others well.

    Chance decides which and when; the same *seed* decides the same.  ValueError for no faults, and for no share.
    """
    from random import Random

    if not faults or not 0 <= share <= 1:
        message = "sometimes() takes a share from 0 to 1, and faults"
        raise ValueError(message)
    chance = Random(seed)  # noqa: S311 - chance, not secrecy

    def fault(exchange: Exchange) -> None:
        lot = chance.random()  # one call for both, which the interpreter does at once
        _do(faults[int(lot / share * len(faults))] if lot < share else None, exchange)

    return fault
