"""A provider → how its issuer answers: where its metadata and keys are, which can be used, and what its clock says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from ...errors import GuardError, shown
from ...flow import Flow
from ...sources.address import why_not
from ...sources.fixed import FixedKeys
from ...sources.freshness import entity_tag, freshness
from ...sources.jwks import RemoteKeys
from ...sources.salted import SaltedKeys
from ...tokens.algorithms import HMAC
from ...tokens.compact import parse, to_base64url
from ...tokens.keys import Key
from .findings import Examined, Finding
from .remedies import about_failure, about_skipped
from .witness import Witness

if TYPE_CHECKING:
    from ...access.provider import Provider
    from ...sources.key_state import KeyState
    from ...tokens.keys import KeySet
    from .witness import Exchange

__all__ = ["examine", "span"]

_OK = 200
_MOST_SHOWN = 8
_HALF_A_SECOND = 0.5  # by which a Date without fractions is wrong at most, counted from its middle
_CLOCKS = "Set both clocks by NTP: tokens count as expired, or as not valid yet, by the clock here."

# A token by a key that nobody has, so that the source goes and asks.
_NOBODYS = parse(".".join(to_base64url(part) for part in (b'{"alg":"ES256","kid":"jwt-guard doctor"}', b"{}", b"none")))


def examine(provider: Provider, clock: Callable[[], float]) -> Flow[Examined]:
    """Return how the keys of *provider* are, as its own key source finds them now; *clock* is the guard's."""
    source = provider.source
    if isinstance(source, RemoteKeys):
        witness = Witness(clock)
        yield from _ask(source, witness)
        findings, facts = _remote(provider, source, witness)
    elif isinstance(source, FixedKeys):
        findings, facts = _fixed(provider, source.keys), _of_set(source.keys)
    elif isinstance(source, SaltedKeys):
        words = "one secret for each token, from a function in this program: nobody is asked"
        findings, facts = [Finding("ok", "keys", words)], {}
    else:
        findings, facts = [Finding("ok", "keys", "from a function of yours, which only a token could try")], {}
    look: Callable[[], KeyState] | None = getattr(source, "state", None)
    return Examined(provider.name, tuple(findings), facts, None if look is None else look())


def _ask(source: RemoteKeys, witness: Witness) -> Flow[None]:
    try:
        wait = source(_NOBODYS)
        if not isinstance(wait, Key):
            yield from witness.watched(wait)
    except GuardError:
        return  # that nobody has this key was known; what the issuer answered, the source knows


# --- keys in hand ------------------------------------------------------------------------------------


def _fixed(provider: Provider, keys: KeySet) -> list[Finding]:
    if provider.allowed & HMAC.keys():
        what = "a shared secret in hand" if len(keys.keys) == 1 else f"{len(keys.keys)} shared secrets in hand"
        return [Finding("ok", "keys", f"{what}, for {_listed(provider.allowed)}: nobody is asked")]
    found = Finding("ok", "keys", f"{len(keys.keys)} in hand, nobody is asked: {_keys_listed(keys)}")
    return [found, *_skipped(keys), *_algorithms(provider, keys)]


# --- keys at an issuer -------------------------------------------------------------------------------


def _remote(provider: Provider, source: RemoteKeys, witness: Witness) -> tuple[list[Finding], dict[str, object]]:
    exchanges, keys = witness.exchanges, source.keys
    findings = list(_metadata(source, exchanges))
    answer = next((each for each in reversed(exchanges) if each.is_for_keys), None)
    facts: dict[str, object] = {"metadata_url": _metadata_url(exchanges), "keys_url": answer and answer.need.url}
    if keys is None or answer is None or answer.reply is None:
        if answer is not None:
            findings.append(_failed("keys", source))
        return [*findings, *_tls(exchanges), *_clock(provider, exchanges, facts), *_copies(source, witness)], facts
    facts |= _of_set(keys)
    words = f"{len(keys.keys)} at {shown(answer.need.url)}: {_keys_listed(keys)}"
    findings += [Finding("ok", "keys", words), *_private(answer), *_skipped(keys), *_algorithms(provider, keys)]
    findings += [*_fresh(source, answer, facts), *_slow(source, exchanges), *_tls(exchanges)]
    return [*findings, *_clock(provider, exchanges, facts), *_copies(source, witness)], facts


def _failed(about: str, source: RemoteKeys) -> Finding:
    error = source.last_error
    if error is None:  # a bug of ours, which has no advice
        return Finding("failed", about, "they cannot be had, and nobody says why")
    return Finding("failed", about, str(error), about_failure(error))


def _metadata_url(exchanges: Iterable[Exchange]) -> str | None:
    """Return where the metadata were found, None where they were not, or not asked for."""
    good = [each for each in exchanges if not each.is_for_keys and each.reply and each.reply.status == _OK]
    return good[-1].need.url if good else None


def _metadata(source: RemoteKeys, exchanges: Iterable[Exchange]) -> Iterator[Finding]:
    if all(each.is_for_keys for each in exchanges):
        if not exchanges:
            yield _failed("keys", source)
        return  # the file says where the keys are
    if any(each.is_for_keys for each in exchanges):
        yield Finding("ok", "metadata", shown(_metadata_url(exchanges)))
    else:
        yield _failed("metadata", source)


def _private(answer: Exchange) -> Iterator[Finding]:
    """Find keys that are published together with what signs."""
    document: Any = json.loads(answer.reply.body) if answer.reply and answer.reply.body else {}
    for jwk in document.get("keys", []):
        if isinstance(jwk, dict) and ("d" in jwk or "priv" in jwk):
            words = f"the private half of {shown(jwk.get('kid'))} is published: whoever reads it can make any token"
            yield Finding("failed", "keys", words, "Have the issuer take this key out of use at once.")


def _skipped(keys: KeySet) -> Iterator[Finding]:
    for skipped in keys.skipped:
        advice = about_skipped(skipped.reason)
        words = f"{shown(skipped.kid)} is not used: {skipped.reason}"
        yield Finding("ok" if advice is None else "risky", "skipped", words, advice)


def _algorithms(provider: Provider, keys: KeySet) -> Iterator[Finding]:
    offered = {alg for key in keys.keys for alg in key.algorithms}
    if not offered & provider.allowed:
        words = f"its keys are for {_listed(offered)}, and allowed here is {_listed(provider.allowed)}"
        advice = "Put what the issuer signs with into algorithms, or have it make a key that fits."
        yield Finding("failed", "algorithms", words, advice)
        return
    yield Finding("ok", "algorithms", f"{_listed(offered & provider.allowed)} can be used")
    for key in keys.keys:
        if not key.algorithms & provider.allowed:
            words = f"{shown(key.kid)} is for {_listed(key.algorithms)}, which algorithms does not allow"
            yield Finding("risky", "algorithms", words, "If the issuer signs with it, put that into algorithms.")


def _fresh(source: RemoteKeys, answer: Exchange, facts: dict[str, object]) -> Iterator[Finding]:
    headers = answer.reply.headers if answer.reply else {}
    said, tag = headers.get("cache-control"), entity_tag(headers)
    seconds = freshness(headers, source.settings.fresh_for)
    facts |= {"fresh_for": seconds, "etag": tag is not None}
    by = (
        "as fresh_for says, since its Cache-Control is missing"
        if said is None
        else f"its Cache-Control is {shown(said)}"
    )
    etag = "with an ETag, so that an unchanged set need not be sent" if tag else "without an ETag"
    yield Finding("ok", "fresh", f"for {span(seconds)}: {by}; {etag}")


def _slow(source: RemoteKeys, exchanges: list[Exchange]) -> Iterator[Finding]:
    took, timeout = exchanges[-1].ended - exchanges[0].began, source.settings.timeout
    if took > timeout / 2:
        words = f"asking took {took:.1f} s of the {timeout:g} s that timeout allows"
        yield Finding("risky", "speed", words, "Find out what is slow, or raise timeout under [keys].")


def _tls(exchanges: Iterable[Exchange]) -> Iterator[Finding]:
    for url in dict.fromkeys(each.need.url for each in exchanges):
        # Loopback may always be asked: there is nobody in between.
        if url.startswith("http:") and why_not(url) is not None:
            words = f"{shown(url)} is asked without TLS: whoever is in between can give us keys"
            yield Finding("risky", "tls", words, "Have it asked by https, unless the two share a network of their own.")


def _clock(provider: Provider, exchanges: Iterable[Exchange], facts: dict[str, object]) -> Iterator[Finding]:
    measured = [found for each in exchanges if (found := _apart(each)) is not None]
    if not measured:
        return
    apart, give = min(measured, key=lambda found: found[1])
    facts["clock_ahead"] = round(apart, 1)
    least, leeway = max(0.0, abs(apart) - give), provider.leeway
    which = "ahead of" if apart > 0 else "behind"
    words = f"the issuer's clock is {span(abs(apart))} {which} the one here, and leeway is {leeway:g} s"
    if least > leeway:
        yield Finding("failed", "clock", words, _CLOCKS)
    elif least > leeway / 2:
        yield Finding("risky", "clock", words, _CLOCKS)
    else:
        yield Finding("ok", "clock", f"the two differ by {span(least)}, and leeway is {leeway:g} s")


def _apart(exchange: Exchange) -> tuple[float, float] | None:
    """Return how far the clock of who answered is ahead of ours, and by how much that may be wrong: seconds.

    RFC 9110 §6.6.1: a Date has no fractions; RFC 9111 §5.1: what a cache has had for a while is that much older.
    """
    headers: Mapping[str, str] = exchange.reply.headers if exchange.reply else {}
    age = headers.get("age", "0").strip()
    try:
        said = parsedate_to_datetime(headers.get("date", "")).timestamp() + int(age if age.isdecimal() else "0")
    except (ValueError, OverflowError):
        return None
    here = (exchange.began + exchange.ended) / 2
    return said + _HALF_A_SECOND - here, _HALF_A_SECOND + (exchange.ended - exchange.began) / 2


def _copies(source: RemoteKeys, witness: Witness) -> Iterator[Finding]:
    for url, entry in witness.copies.items():
        about = "store" if url == source.settings.store else "snapshot"
        if entry is None:
            yield Finding("ok", about, "it has no set of this issuer yet: the service puts one there when it fetches")
        else:
            yield Finding("ok", about, f"it has a set of this issuer, for another {span(entry.remaining)}")


# --- words -------------------------------------------------------------------------------------------


def _of_set(keys: KeySet) -> dict[str, object]:
    return {
        "keys": [{"kid": key.kid, "algorithms": sorted(key.algorithms)} for key in keys.keys],
        "skipped": [{"kid": skipped.kid, "reason": skipped.reason} for skipped in keys.skipped],
    }


def _keys_listed(keys: KeySet) -> str:
    listed = [f"{shown(key.kid)} ({_listed(key.algorithms)})" for key in islice(keys.keys, _MOST_SHOWN)]
    more = len(keys.keys) - len(listed)
    return ", ".join([*listed, f"and {more} more"] if more else listed)


def _listed(algorithms: Iterable[str]) -> str:
    return " ".join(sorted(algorithms))


def span(seconds: float) -> str:
    """Return *seconds* in the largest unit that they are two of."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
