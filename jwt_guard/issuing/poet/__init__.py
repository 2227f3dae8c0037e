"""POET, Pre-OAuth Entity Trust: an endorsing body vouches for an application, anybody checks it by the body's host.

An endorsement is made to be handed on, so it proves nothing about whoever brings it: it is no bearer token.
"""

from .checking import averify_url, endorsements, verified_by_url, verify, verify_url
from .endorsing import LIFETIME, endorsing_key, key_pair, public_half, sign
from .payload import PayloadRejected, Problem, problems
from .published import WellKnownKey

__all__ = [
    "LIFETIME",
    "PayloadRejected",
    "Problem",
    "WellKnownKey",
    "averify_url",
    "endorsements",
    "endorsing_key",
    "key_pair",
    "problems",
    "public_half",
    "sign",
    "verified_by_url",
    "verify",
    "verify_url",
]
