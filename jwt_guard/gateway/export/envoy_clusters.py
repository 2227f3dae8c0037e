"""Where something is → a cluster of Envoy, and a provider → where that has its keys from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from ...errors import Misconfigured
from ...issuing.jwk import members_of_pem
from ...sources.jwks import KeySettings
from ...tokens.algorithms import HMAC
from ...tokens.keys import KeyUnusable, key_from_jwk
from ..settings import Address
from .plan import CERTIFICATES, is_ip

if TYPE_CHECKING:
    from ...access.provider import Provider

__all__ = ["cluster", "cluster_of_url", "keys_of", "socket_address", "variable_of"]

_TLS: Final = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
_PROTOCOLS: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_PORTS: Final = {"http": 80, "https": 443}


def socket_address(address: Address) -> dict[str, Any]:
    """Return *address* as Envoy writes it."""
    if address.path:
        return {"pipe": {"path": address.path}}
    return {"socket_address": {"address": address.host, "port_value": address.port}}


def cluster(name: str, address: Address, *, http2: bool = False) -> dict[str, Any]:
    """Return the cluster *name* at *address*."""
    made = _cluster(name, address)
    if http2:
        options = {"@type": f"type.googleapis.com/{_PROTOCOLS}", "explicit_http_config": {"http2_protocol_options": {}}}
        made["typed_extension_protocol_options"] = {_PROTOCOLS: options}
    return made


def cluster_of_url(name: str, url: str, provider: Provider | None = None) -> dict[str, Any]:
    """Return the cluster *name* for *url*; with TLS where it says https, by the authorities that *provider* trusts."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    made = _cluster(name, Address(host, parts.port or _PORTS[parts.scheme]))
    if parts.scheme == "https":
        settings = getattr(None if provider is None else provider.source, "settings", KeySettings())
        validation = {
            "trusted_ca": {"filename": settings.trust.ca_file or CERTIFICATES},
            "match_typed_subject_alt_names": [
                {"san_type": "IP_ADDRESS" if is_ip(host) else "DNS", "matcher": {"exact": host}}
            ],
        }
        tls: dict[str, Any] = {"@type": _TLS, "common_tls_context": {"validation_context": validation}}
        if not is_ip(host):
            tls["sni"] = host
        made["transport_socket"] = {"name": "envoy.transport_sockets.tls", "typed_config": tls}
    return made


def keys_of(provider: Provider, urls: Mapping[str, str]) -> dict[str, Any]:
    """Return where Envoy has the keys of *provider* from.  Secrets are in no configuration, but in the environment."""
    source: Any = provider.source
    url = urls.get(provider.name)
    if url is not None:
        settings: KeySettings = source.settings
        return {
            "remote_jwks": {
                "http_uri": {"uri": url, "cluster": f"keys of {provider.name}", "timeout": f"{settings.timeout:g}s"},
                "cache_duration": f"{max(1.0, settings.fresh_for):g}s",
                "async_fetch": {"failed_refetch_duration": "1s"},
            }
        }
    if provider.allowed & HMAC.keys():
        return {"local_jwks": {"environment_variable": variable_of(provider)}}
    return {"local_jwks": {"inline_string": json.dumps({"keys": list(_published(provider))})}}


def variable_of(provider: Provider) -> str:
    """Return the name of the environment variable that has the JWK Set with the secrets of *provider*."""
    return f"JWT_GUARD_JWKS_{''.join(char if char.isalnum() else '_' for char in provider.name).upper()}"


def _published(provider: Provider) -> list[dict[str, Any]]:
    """Return the keys that are used here, and no others that may be in the same set: Envoy would use those, too."""
    published: Sequence[Mapping[str, Any]] | bytes | None = getattr(provider.source, "published", None)
    if isinstance(published, bytes):
        return [members_of_pem(published)]
    usable = [dict(jwk) for jwk in published or () if _is_usable(dict(jwk))]
    if not usable:
        raise Misconfigured(f"export envoy: provider {provider.name}: its keys cannot be written down")
    return usable


def _is_usable(jwk: dict[str, Any]) -> bool:
    try:
        key_from_jwk(jwk, symmetric=False)
    except KeyUnusable:
        return False
    return True


def _cluster(name: str, address: Address) -> dict[str, Any]:
    kind = "STATIC" if address.path or is_ip(address.host) else "STRICT_DNS"
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": socket_address(address)}}]}]
    return {
        "name": name,
        "type": kind,
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": name, "endpoints": endpoints},
    }
