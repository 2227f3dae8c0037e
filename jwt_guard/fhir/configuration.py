"""What there is to know of the authorization server → what clients are told: SMART's document, and a word in FHIR's.

The document is SMART App Launch 2.2.0, "Using Well-Known": for everybody, from any page of any origin, and JSON
whatever is asked for.  The other one is the server's own CapabilityStatement, with what it cannot know added.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

from ..errors import Misconfigured, shown
from ..messages import Response
from ..sources.address import why_not
from .links import ours

if TYPE_CHECKING:
    from ..messages import Request
    from .server import Server

__all__ = ["WELL_KNOWN", "SmartConfiguration", "answer_smart", "as_clients_see_it"]

WELL_KNOWN: Final = "/.well-known/smart-configuration"
"""Where the document is, below the base URL."""
_LIFETIME: Final = 3_600
_SERVICE: Final = {
    "coding": [
        {
            "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
            "code": "SMART-on-FHIR",
            "display": "SMART-on-FHIR",
        }
    ],
    "text": "OAuth2 with the scopes of SMART App Launch",
}
_OAUTH_URIS: Final = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"
_URIS: Final = {
    "token": "token_endpoint",
    "authorize": "authorization_endpoint",
    "introspect": "introspection_endpoint",
    "revoke": "revocation_endpoint",
    "manage": "management_endpoint",
    "register": "registration_endpoint",
}
_LAUNCHES: Final = frozenset({"launch-ehr", "launch-standalone"})


@dataclass(frozen=True, slots=True)
class SmartConfiguration:
    """Where tokens for the server come from (SMART App Launch 2.2.0, "Using Well-Known").  Raises Misconfigured."""

    token_endpoint: str
    issuer: str | None = None
    jwks_uri: str | None = None
    authorization_endpoint: str | None = None
    introspection_endpoint: str | None = None
    revocation_endpoint: str | None = None
    management_endpoint: str | None = None
    registration_endpoint: str | None = None
    grant_types_supported: Sequence[str] = ("authorization_code", "client_credentials")
    token_endpoint_auth_methods_supported: Sequence[str] = ("private_key_jwt",)
    token_endpoint_auth_signing_alg_values_supported: Sequence[str] = ("RS384", "ES384")
    response_types_supported: Sequence[str] = ("code",)
    code_challenge_methods_supported: Sequence[str] = ("S256",)
    scopes_supported: Sequence[str] = ()
    capabilities: Sequence[str] = ("client-confidential-asymmetric", "permission-v1", "permission-v2")
    plain_http_hosts: Collection[str] = ()
    """Hosts of the above that may be named without TLS, beside loopback."""

    def __post_init__(self) -> None:
        """Check everything, as the guide has it."""
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name.endswith(("_endpoint", "_uri")) or field.name == "issuer":
                reason = None if value is None and field.name != "token_endpoint" else self._why_not(value)
                if reason is not None:
                    raise Misconfigured(f"{field.name}: {reason}")
            elif field.name != "plain_http_hosts":
                texts = () if isinstance(value, str) else tuple(value)
                if not all(isinstance(text, str) and text for text in texts):
                    raise Misconfigured(f"{field.name}: a list of texts is expected")
                object.__setattr__(self, field.name, texts)
        self._check_completeness()

    def _why_not(self, value: object) -> str | None:
        return why_not(value, self.plain_http_hosts)

    def _check_completeness(self) -> None:
        capabilities = set(self.capabilities)
        for name in ("grant_types_supported", "capabilities"):
            if not getattr(self, name):
                raise Misconfigured(f"{name}: SMART asks for at least one")
        if capabilities & _LAUNCHES and self.authorization_endpoint is None:
            launch = min(capabilities & _LAUNCHES)
            raise Misconfigured(f"authorization_endpoint: the capability {launch} needs one")
        if "sso-openid-connect" in capabilities and (self.issuer is None or self.jwks_uri is None):
            raise Misconfigured("issuer: the capability sso-openid-connect needs it, and jwks_uri")
        methods = self.code_challenge_methods_supported
        if "S256" not in methods or "plain" in methods:  # SMART App Launch 2.2.0 has both as SHALL
            raise Misconfigured(f"code_challenge_methods_supported: S256, and never plain, not {shown(list(methods))}")

    def document(self) -> dict[str, object]:
        """Return what clients are given; what there is nothing to say about is left out."""
        names = (field.name for field in fields(self) if field.name != "plain_http_hosts")
        values = ((name, getattr(self, name)) for name in names)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values if value}


def answer_smart(configuration: SmartConfiguration, request: Request) -> Response:
    """Return the answer to *request* for the document: in JSON whatever ``Accept`` says, to pages of any origin."""
    anyone = ("access-control-allow-origin", "*")
    if request.method not in ("GET", "HEAD"):
        return Response(405, (anyone, ("allow", "GET, HEAD"), ("content-length", "0")), b"")
    body = json.dumps(configuration.document()).encode()
    headers = (anyone, ("content-type", "application/json"), ("cache-control", f"public, max-age={_LIFETIME}"))
    return Response(200, headers, body)


def as_clients_see_it(
    statement: Mapping[str, Any], server: Server, configuration: SmartConfiguration | None, *, cors: bool
) -> dict[str, Any]:
    """Return *statement*, the CapabilityStatement of *server*, as it is for those who ask the guard.

    Its URLs are ours, and it says how clients are known (``rest.security``): what the server says of that itself is
    not so, since it is asked by us, and not by them.
    """
    said = {name: _renamed(value, server) for name, value in statement.items()}
    implementation = said.get("implementation")
    if isinstance(implementation, dict):
        said["implementation"] = {**implementation, "url": server.base}
    return _with_security(said, configuration, cors=cors)


def _renamed(value: object, server: Server) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, str):
        return ours(value, server)
    if isinstance(value, list):
        return [_renamed(each, server) for each in value]
    if isinstance(value, dict):
        return {name: _renamed(each, server) for name, each in value.items()}
    return value


def _with_security(
    statement: Mapping[str, Any], configuration: SmartConfiguration | None, *, cors: bool
) -> dict[str, Any]:
    security: dict[str, Any] = {"cors": cors, "service": [_SERVICE]}
    uris = [] if configuration is None else _uris(configuration)
    if uris:
        security["extension"] = [{"url": _OAUTH_URIS, "extension": uris}]
    rest = statement.get("rest")
    sides = rest if isinstance(rest, list) else []
    told = [{**side, "security": security} if _is_of_server(side) else side for side in sides]
    return {**statement, "rest": told or [{"mode": "server", "security": security}]}


def _is_of_server(side: object) -> bool:
    return isinstance(side, dict) and side.get("mode") == "server"


def _uris(configuration: SmartConfiguration) -> list[dict[str, str]]:
    values = ((name, getattr(configuration, field)) for name, field in _URIS.items())
    return [{"url": name, "valueUri": value} for name, value in values if value is not None]
