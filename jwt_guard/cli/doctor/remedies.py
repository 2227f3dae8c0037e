"""Why keys could not be fetched → what to do about it, in a sentence for the people who run the issuer or the guard."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...errors import FetchFailed

__all__ = ["about_failure", "about_skipped"]

_SLOW = (
    "See whether a firewall or a proxy in between drops what is sent there, or whether the issuer is that slow: "
    "then raise timeout under [keys]."
)
_UNTRUSTED = (
    "Its certificate is none that this machine trusts: name its authority in ca_file under [keys], or have the issuer "
    "send the whole chain."
)
_NO_TLS = "The two do not agree on TLS: see whether the port is one for https."
_NO_HOST = "Nobody knows this host: see how it is written, and the DNS of this machine."
_NO_DNS = "The DNS of this machine does not answer: see to that first."
_NOBODY = (
    "Nothing listens there, as seen from this machine: see the host, the port, and whether the issuer runs. "
    "In a container, localhost is the container itself: say in discovery_url where to ask."
)
_PROXY = "The proxy does not help: see proxy under [keys]."
_BROKEN = "Something in between breaks the connection off, or the issuer does: see its log."
_REDIRECT = (
    "Redirects are not followed, since anybody could be at their end: configure the address that it leads to "
    "(issuer, discovery_url or jwks_url)."
)
_ISSUER = (
    "The two are compared exactly, as they are in tokens: configure issuer as the metadata have it, and say in "
    "discovery_url where to ask, if that is elsewhere; or set the issuer's own public address."
)
_JWKS_URI = (
    "Have the issuer publish an https address; if it is to be plain http between the two, name the host in "
    "plain_http_hosts under [keys]."
)
_NO_DOCUMENT = (
    "There is no such document: see the path of issuer (or discovery_url, jwks_url); an issuer without discovery "
    "needs jwks_url."
)
_NOT_PUBLIC = (
    "Keys are public, and asked for without credentials: have the issuer, or what stands before it, let everybody "
    "read them."
)
_TOO_OFTEN = "The issuer is asked too often: share key sets through [store]."
_THEIRS = "The issuer, or what stands before it, has a fault of its own: see its log."
_NO_KEY = "Have the issuer publish the public half of a key pair for signatures, of a kind that is known here."
_TOO_LONG = "That is no plain key set or metadata: see the address."
_COMPRESSED = "Something in between compresses unasked: switch that off for this address."
_SOMETHING_ELSE = (
    "Something else answers in its place, a login page or a proxy perhaps: open the address from this machine, and see."
)

_REMEDIES = {
    "no answer within": _SLOW,
    "CERTIFICATE_VERIFY_FAILED": _UNTRUSTED,
    "SSL": _NO_TLS,
    "Name or service not known": _NO_HOST,
    "nodename nor servname": _NO_HOST,
    "No address associated": _NO_HOST,
    "name resolution": _NO_DNS,
    "connection attempts failed": _NOBODY,
    "ProxyError": _PROXY,
    "no answer (": _BROKEN,
    "a redirect": _REDIRECT,
    "names the issuer": _ISSUER,
    "jwks_uri cannot be asked": _JWKS_URI,
    "answered with 404": _NO_DOCUMENT,
    "answered with 401": _NOT_PUBLIC,
    "answered with 403": _NOT_PUBLIC,
    "answered with 429": _TOO_OFTEN,
    "answered with 5": _THEIRS,
    "no key that can be used": _NO_KEY,
    "longer than": _TOO_LONG,
    "compressed": _COMPRESSED,
}
"""By words of the reason; the first that are in it count."""
_NOT_FOR_SIGNATURES = ("its use is not sig", "its key_ops have no verify")


def about_failure(error: FetchFailed) -> str:
    """Say what to do about *error*."""
    reason = str(error)
    return next((remedy for words, remedy in _REMEDIES.items() if words in reason), _SOMETHING_ELSE)


def about_skipped(reason: str) -> str | None:
    """Say what to do about a published key that is not used for *reason*; None: that is how it should be."""
    if reason in _NOT_FOR_SIGNATURES:
        return None
    if "secret" in reason:
        return "Have the issuer take it out, and sign with it no more: everybody can read it."
    return "Tokens that this key signs are refused: have the issuer sign with another kind of key."
