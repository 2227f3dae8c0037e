"""Plan → a traefik.yml that asks with ``forwardAuth``: Traefik 3.7.12 or later."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import Misconfigured
from .plan import ABOUT_THE_CLIENT, ANOTHER_REQUEST, File

if TYPE_CHECKING:
    from .plan import Plan

__all__ = ["export"]

_TEXT = """\
# Traefik 3.7 in front of {upstream}: jwt-guard at {auth} is asked about every request.
# Traefik has two kinds of configuration, and takes from a file what is of either, so that this one file is both:
# name it traefik.yml, and run "traefik --configFile=traefik.yml" in its folder.  TLS for clients is yours to add.
global:
  checkNewVersion: false
  sendAnonymousUsage: false
log:
  level: WARN
entryPoints:
  web:
    address: "{listen}"
    http:
      # To some applications X_Auth_User and X.Auth.User are X-Auth-User.
      aliasHeadersStrategy: delete
      # Paths go on as they came, and as they were judged: jwt-guard refuses those that can be read in two ways.
      sanitizePath: false
      encodedCharacters:
        allowEncodedSlash: true
        allowEncodedBackSlash: true
        allowEncodedNullCharacter: true
        allowEncodedSemicolon: true
        allowEncodedPercent: true
        allowEncodedQuestionMark: true
        allowEncodedHash: true
providers:
  file:
    filename: traefik.yml
    watch: false

http:
  routers:
    everything:
      rule: "PathPrefix(`/`)"
      entryPoints: [web]
      middlewares: [{chain}]
      service: application
  middlewares:
    one-request:
      headers:
        customRequestHeaders:  # empty: dropped
{dropped}    jwt-guard:
      forwardAuth:
        address: "http://{auth}/auth"
        trustForwardHeader: false
        maxResponseBodySize: 65536
{told}{without_authorization}  services:
    application:
      loadBalancer:
        passHostHeader: true
        servers:
          - url: "{upstream}"
"""
_WITHOUT_AUTHORIZATION = """\
    without-authorization:
      headers:
        customRequestHeaders:
          Authorization: ""
"""


def export(plan: Plan) -> tuple[File, ...]:
    """Return the one file.  Raises Misconfigured."""
    plan.named_by("x-forwarded")
    if plan.auth.path:
        raise Misconfigured("--auth: Traefik asks over TCP alone; say HOST:PORT")
    chain = ["one-request", "jwt-guard", *(["without-authorization"] if plan.drops_authorization else [])]
    names = plan.identity.names
    told = ["        authResponseHeaders:\n", *(f"          - {name}\n" for name in names)] if names else []
    text = _TEXT.format(
        upstream=plan.upstream.url,
        auth=plan.auth,
        listen=plan.listen,
        chain=", ".join(chain),
        dropped="".join(f'          {name}: ""\n' for name in (*ANOTHER_REQUEST, *ABOUT_THE_CLIENT)),
        told="".join(told),
        without_authorization=_WITHOUT_AUTHORIZATION if plan.drops_authorization else "",
    )
    return (File("traefik.yml", text),)
