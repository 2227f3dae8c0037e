"""Attacks on our time and memory: what is refused is refused quickly, and with one kind of error."""

from __future__ import annotations

import sys
import time
import zlib
from collections.abc import Callable

import pytest

from jwt_guard import Limits, salted
from jwt_guard.errors import InvalidToken, MalformedRequest, MissingToken
from jwt_guard.tokens.bearer import bearer_token
from jwt_guard.tokens.compact import parse, read_jws
from tests.support.keys import encode
from tests.support.minting import claims, guard, mint, minted, refused, verdict

MANY = 5_000_000


def seconds(work: Callable[[], object]) -> float:
    """Return the least of three times, since a crowded machine is slow now and then."""
    times = []
    for _ in range(3):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


@pytest.mark.parametrize(
    "text",
    ["." * MANY, "a." * (MANY // 2), "a" * MANY, "{" * MANY, "=" * MANY, "é" * MANY, "\0" * MANY, "Bearer " * 700_000],
    ids=["dots", "parts", "letters", "braces", "padding", "letters beyond", "nul", "schemes"],
)
def test_a_token_of_megabytes_is_not_read(text: str) -> None:
    """CVE-2025-30204, CVE-2025-27144, CVE-2025-22868: splitting at every dot took memory for each."""
    of = guard()
    token = minted(text)

    assert InvalidToken is type(refused(of, token))
    assert seconds(lambda: [verdict(of, token) for _ in range(100)]) < 0.1


@pytest.mark.parametrize(
    "text", ["." * 16_384, "a" * 16_384, "a.a." * 4_096, "a.." + "." * 16_381], ids=["dots", "letters", "parts", "tail"]
)
def test_a_token_at_the_limit_costs_little(text: str) -> None:
    """CVE-2025-30204: the same below the limit."""
    assert InvalidToken is type(refused(guard(), minted(text)))
    assert seconds(lambda: [verdict(guard(), text) for _ in range(20)]) < 0.5


def test_a_long_header_is_not_decoded() -> None:
    """CVE-2025-61920, CVE-2025-65015: sizes are looked at before base64 and JSON."""
    token = mint(header={"x": "long-header-content" * 300})

    assert InvalidToken is type(refused(guard(), token))
    assert "ES256" == parse(token, Limits(header=16_000)).alg


def test_a_reason_never_holds_what_was_sent() -> None:
    """CVE-2025-65015: an error that quotes a megabyte is a megabyte in the log."""
    for text in (
        "x" * 1_000_000,
        mint(header={"kid": "k" * 1_000}),
        mint(header={"alg": "x" * 2_000}),
        mint(claims(iss="i" * 9_000)),
    ):
        assert len(str(refused(guard(), text))) < 400


@pytest.mark.parametrize("nesting", ['{"a":', "["])
@pytest.mark.parametrize("where", ["header", "payload"])
@pytest.mark.parametrize("depth", [40, 900, 1_400])
def test_nesting_is_bounded(nesting: str, where: str, depth: int) -> None:
    """CVE-2025-53864, CVE-2023-1370: recursion that ends the process; measured: two libraries answer 500."""
    close = "}" if nesting != "[" else "]"
    text = f'{{"alg":"ES256","kid":"a","iss":"https://id.test","x":{nesting * depth}1{close * depth}}}'.encode()
    token = mint(header=text) if where == "header" else mint(text)

    assert InvalidToken is type(refused(guard(), token))
    for cut in (len(text) // 2, len(text) - depth // 2):
        spoilt = text[:cut]
        token = mint(header=spoilt) if where == "header" else mint(spoilt)

        assert InvalidToken is type(refused(guard(), token))


def test_nesting_is_bounded_also_where_the_stack_is_nearly_full() -> None:
    """RecursionError is no GuardError: nobody may cause it from outside, however deep the server stands."""
    token, of = mint(b'{"iss":"https://id.test","x":' + b"[" * 30 + b"]" * 30 + b"}"), guard()

    def deeper(levels: int) -> object:
        return verdict(of, token) if not levels else deeper(levels - 1)

    used = 0
    frame = sys._getframe()
    while frame.f_back is not None:
        used, frame = used + 1, frame.f_back

    assert isinstance(deeper(sys.getrecursionlimit() - used - 120), InvalidToken)


@pytest.mark.parametrize("zipped", ["DEF", "GZIP", None, "", 5], ids=repr)
def test_nothing_is_inflated(zipped: object) -> None:
    """CVE-2024-28176, CVE-2025-62706: a few octets that become gigabytes."""
    bomb = zlib.compress(b"0" * 10_000_000, 9)[2:-4]

    assert InvalidToken is type(refused(guard(), mint(bomb[:9_000], {"zip": zipped})))
    assert InvalidToken is type(refused(guard(), mint(header={"zip": zipped})))


def test_a_password_is_not_stretched_for_a_stranger() -> None:
    """CVE-2022-36083, CVE-2023-52428: p2c said how many million rounds to compute."""
    header = {"alg": "PBES2-HS512+A256KW", "p2c": 2_000_000_000, "p2s": "AAAA", "enc": "A128GCM"}
    token = mint(header=header)

    assert isinstance(refused(guard("HS256"), token), InvalidToken)
    assert seconds(lambda: verdict(guard("HS256"), token)) < 0.1


def test_an_integer_of_thousands_of_digits_is_not_computed() -> None:
    """CVE-2020-10735: reading one took quadratic time."""
    token = mint(b'{"iss":"https://id.test","x":[' + b",".join([b"9" * 2_000] * 5) + b"]}")

    assert InvalidToken is type(refused(guard(), token))


@pytest.mark.parametrize(
    "value",
    [
        "Bearer " + " " * MANY,
        " " * MANY,
        "Bearer" + "\t" * MANY,
        "Bearer " + "a," * MANY,
        "B" * MANY,
        "bearer " * 700_000,
        "Bearer " + "é" * MANY,
    ],
    ids=["blanks", "only blanks", "tabs", "commas", "B", "schemes", "beyond"],
)
def test_a_header_of_megabytes_takes_no_time(value: str) -> None:
    """CWE-1333: a pattern that backtracks over an Authorization header."""

    def ask() -> None:
        for _ in range(50):
            with pytest.raises((InvalidToken, MissingToken, MalformedRequest)):
                bearer_token(value, 16_384)

    assert seconds(ask) < 0.5


def test_many_different_headers_fill_no_memory() -> None:
    """What is remembered of headers is bounded, and a flood of new ones evicts without growing."""
    from jwt_guard.tokens import compact

    payload, signature = encode(b"{}"), encode(b"x")
    for number in range(600):
        header = encode(b'{"alg":"ES256","kid":"%d"}' % number)
        read_jws(f"{header}.{payload}.{signature}")

    assert compact._header.cache_info().currsize <= 256


def test_a_salt_generator_that_fails_is_no_error_of_the_server() -> None:
    """A user's function that raises whatever it likes: the token is refused, and its words stay in it."""

    class Odd(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    for failure in (
        KeyError("ada-lovelace"),
        Odd(),
        RecursionError(),
        StopIteration("ada-lovelace"),
        MemoryError(),
        LookupError,
    ):

        def generate(_claims: object, failure: BaseException | type[BaseException] = failure) -> bytes:
            raise failure

        assert "SaltFailed" == type(refused(guard(keys=salted(generate)), mint(alg="HS256"))).__name__
