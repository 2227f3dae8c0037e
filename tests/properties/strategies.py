"""Chance → JSON, claims, edits, paths and headers of every kind that hypothesis can think of."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from tests.support.keys import ALGORITHMS
from tests.support.minting import AUDIENCE, HOUR, ISSUER, NOW

EACH = 40
"""Examples for each algorithm, where a property is looked at for all of them."""
FAMILIES = ("HS256", "RS256", "PS256", "ES256", "ES384", "ES512", "ES256K", "EdDSA", "Ed25519", "ML-DSA-44")
algorithms = st.sampled_from(ALGORITHMS)
families = st.sampled_from(FAMILIES)

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
characters = st.one_of(st.sampled_from(ALPHABET + '.=+/ \n\t\0%,"é'), st.characters())

# Whole characters: half of a surrogate pair is no text that JSON could carry to us.
texts = st.text(st.characters(codec="utf-8"), max_size=12)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63), st.floats(allow_nan=False, allow_infinity=False), texts
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=12,
)
objects = st.dictionaries(texts, values, max_size=6)

MEANINGFUL = [
    "iss",
    "aud",
    "exp",
    "nbf",
    "iat",
    "sub",
    "jti",
    "azp",
    "client_id",
    "cid",
    "sid",
    "acr",
    "auth_time",
    "scope",
    "scp",
    "roles",
    "cnf",
    "typ",
    "token_use",
    "at_hash",
    "c_hash",
    "events",
    "htm",
    "htu",
    "nonce",
]
names = st.sampled_from(MEANINGFUL)
times = st.one_of(
    st.integers(NOW - 2 * HOUR, NOW + 2 * HOUR),
    st.floats(NOW - 2 * HOUR, NOW + 2 * HOUR),
    st.sampled_from([0, -1, 2**40]),
)
odd_claims = st.dictionaries(
    names,
    st.one_of(values, times, st.sampled_from([ISSUER, [ISSUER], AUDIENCE, [AUDIENCE], [AUDIENCE, 5], str(NOW + HOUR)])),
    max_size=4,
)
"""Changes to the claims of a good token: most make it a bad one, and some do not."""

harmless_claims = objects.map(lambda claims: {name: value for name, value in claims.items() if name not in MEANINGFUL})

odd_header = st.dictionaries(
    st.sampled_from(
        ["kid", "typ", "cty", "crit", "b64", "zip", "jwk", "jku", "x5u", "x5c", "x5t", "enc", "p2c", "url"]
    ),
    st.one_of(values, st.sampled_from(["a", "b", "JWT", "at+jwt", "jose", ["b64"], [], {"kty": "oct", "k": ""}])),
    max_size=3,
)


@st.composite
def edits(draw: st.DrawFn, text: str) -> str:
    """Draw a text that differs from *text* by one substitution, insertion, deletion or swap."""
    at = draw(st.integers(0, len(text) - 1))
    match draw(st.sampled_from(["substitute", "insert", "delete", "swap", "double"])):
        case "substitute":
            return text[:at] + draw(characters) + text[at + 1 :]
        case "insert":
            return text[:at] + draw(characters) + text[at:]
        case "delete":
            return text[:at] + text[at + 1 :]
        case "double":
            return text[: at + 1] + text[at:]
        case _:
            other = draw(st.integers(0, len(text) - 1))
            swapped = list(text)
            swapped[at], swapped[other] = swapped[other], swapped[at]
            return "".join(swapped)


@st.composite
def almost_json(draw: st.DrawFn) -> bytes:
    """Draw octets that are JSON, or nearly."""
    text = json.dumps(draw(objects), ensure_ascii=draw(st.booleans()))
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(text)))
        odd = draw(
            st.sampled_from(
                ['"', "\\", "{", "}", "[", "]", ",", ":", "\\ud800", "NaN", "1e999", "0", "-", " ", "\n", "\ufeff"]
            )
        )
        text = text[:at] + odd + text[at + draw(st.integers(0, 1)) :]
    return text.encode("utf-8", "surrogatepass")


pieces = st.sampled_from(
    [
        "a",
        "b",
        "admin",
        "public",
        "orders",
        ".",
        "..",
        "...",
        "%2e",
        "%2E%2e",
        "%2f",
        "%5c",
        "%00",
        "%0a",
        "%25",
        "%252e",
        "%3b",
        ";",
        ";x",
        "%c3%a9",
        "%c0%ae",
        "%ff",
        "%",
        "%zz",
        "\\",
        "#",
        "?",
        "é",
        "~",
        "@",
        ":",
        "*",
        "{x}",
        "%20",
        "+",
    ]
)
paths = st.lists(st.one_of(pieces, st.sampled_from(["/", "//", ""])), max_size=9).map(
    lambda parts: "/" + "".join(parts)
)
wild_paths = st.one_of(
    paths, st.text(max_size=20), st.lists(pieces, max_size=5).map(lambda parts: "/" + "/".join(parts))
)


def same(one: Any, other: Any) -> bool:
    """Say whether two JSON values are the same, types included: 1 is neither 1.0 nor True."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)
