"""Plan → a whole configuration of Envoy that asks with ``ext_authz``: over gRPC where that is served, else HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..original import EXT_AUTHZ
from .plan import ABOUT_THE_CLIENT, ANOTHER_REQUEST, CERTIFICATES, File, is_ip

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .plan import Plan

__all__ = ["export"]

_ASKED_WITH = (
    "authorization", "cookie", "dpop", "origin", "content-type", "sec-fetch-site", "sec-websocket-protocol",
    "sec-websocket-version", "access-control-request-method", "user-agent",
)  # fmt: skip
_ANSWERED_WITH = ("www-authenticate", "retry-after", "content-type", "cache-control")
_TYPES = "type.googleapis.com/envoy.extensions"
_TEXT = """\
# Envoy 1.40 in front of {upstream}: jwt-guard at {auth} is asked about every request, over {how}.
# Check it with "envoy --mode validate -c FILE"; TLS for clients is yours to add.
static_resources:
  listeners:
    - name: clients
      address: {listen}
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": {manager}
                stat_prefix: clients
                use_remote_address: true
                max_request_headers_kb: 96
                # Paths go on as they came, and as they were judged: jwt-guard refuses what can be read in two ways.
                normalize_path: false
                merge_slashes: false
                path_with_escaped_slashes_action: KEEP_UNCHANGED
                upgrade_configs:
                  - upgrade_type: websocket
                early_header_mutation_extensions:
                  - name: envoy.http.early_header_mutation.header_mutation
                    typed_config:
                      "@type": {mutation}
                      mutations:
                        # To some applications X_Auth_User and X.Auth.User are X-Auth-User.
                        - remove_on_match: {{key_matcher: {{safe_regex: {{regex: "[^:].*[^A-Za-z0-9-].*"}}}}}}
{removed}                        # What would make another request of it, or one of another client:
                        - remove: x-forwarded-for
                        - remove: x-forwarded-host
                        - remove: x-real-ip
{dropped}                route_config:
                  virtual_hosts:
                    - name: everything
                      domains: ["*"]
                      routes:
                        - match: {{prefix: "/"}}
                          route: {{cluster: application, timeout: 0s}}
{authorization}                # Envoy makes an error of an answer of 503, and drops what it says.
                local_reply_config:
                  mappers:
                    - filter:
                        and_filter:
                          filters:
                            - response_flag_filter: {{flags: [UAEX]}}
                            - status_code_filter:
                                comparison: {{op: EQ, value: {{default_value: 503, runtime_key: jwt_guard_503}}}}
                      headers_to_add:
                        - {{header: {{key: retry-after, value: "1"}}, append_action: ADD_IF_ABSENT}}
                        - {{header: {{key: cache-control, value: no-store}}, append_action: ADD_IF_ABSENT}}
                http_filters:
                  - name: envoy.filters.http.ext_authz
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz
                      transport_api_version: V3
                      failure_mode_allow: false
                      status_on_error: {{code: ServiceUnavailable}}
{service}                  - name: envoy.filters.http.router
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  clusters:
    - name: application
{application}    - name: jwt_guard
{guard}"""
_HTTP = """\
                      allowed_headers:
                        patterns:
{asked_with}                      http_service:
                        server_uri: {{uri: "http://jwt_guard", cluster: jwt_guard, timeout: 2s}}
                        path_prefix: {prefix}
                        authorization_response:
{told}                          allowed_client_headers:
                            patterns:
{answered_with}"""
_GRPC = """\
                      grpc_service:
                        envoy_grpc: {cluster_name: jwt_guard}
                        timeout: 2s
"""
_TLS = """\
      transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
{sni}          common_tls_context:
            validation_context:
              trusted_ca: {{filename: {certificates}}}
              match_typed_subject_alt_names:
                - {{san_type: {kind}, matcher: {{exact: "{host}"}}}}
"""
_HTTP2 = """\
      typed_extension_protocol_options:
        envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
          "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
          explicit_http_config: {http2_protocol_options: {}}
"""


def export(plan: Plan) -> tuple[File, ...]:
    """Return the one file."""
    names = [name.lower() for name in plan.identity.names]
    asked = plan.auth if plan.grpc is None else plan.grpc
    drops = "                  request_headers_to_remove: [authorization]\n" if plan.drops_authorization else ""
    text = _TEXT.format(
        upstream=plan.upstream.url,
        auth=asked,
        how="HTTP" if plan.grpc is None else "gRPC",
        manager=f"{_TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        mutation=f"{_TYPES}.http.early_header_mutation.header_mutation.v3.HeaderMutation",
        listen=_address(plan.listen.host, plan.listen.port),
        removed=_mutations(name for name in names if name != "authorization"),
        dropped=_mutations(name.lower() for name in (*ANOTHER_REQUEST, *ABOUT_THE_CLIENT)),
        authorization=drops,
        service=_GRPC if plan.grpc is not None else _over_http(names),
        application=_cluster(plan.upstream.host, plan.upstream.port, "application") + _tls(plan),
        guard=(_cluster(asked.host, asked.port, "jwt_guard", asked.path) + ("" if plan.grpc is None else _HTTP2)),
    )
    return (File("envoy.yaml", text),)


def _over_http(names: list[str]) -> str:
    exact = ", ".join(f"{{exact: {name}, ignore_case: true}}" for name in names)
    return _HTTP.format(
        prefix=EXT_AUTHZ,
        asked_with=_patterns(_ASKED_WITH, 26),
        told=f"                          allowed_upstream_headers: {{patterns: [{exact}]}}\n" if names else "",
        answered_with=_patterns(_ANSWERED_WITH, 30),
    )


def _mutations(names: Iterable[str]) -> str:
    return "".join(f"                        - remove: {name}\n" for name in names)


def _patterns(names: Iterable[str], indent: int) -> str:
    return "".join(f"{' ' * indent}- {{exact: {name}, ignore_case: true}}\n" for name in names)


def _address(host: str, port: int) -> str:
    return f'{{socket_address: {{address: "{host}", port_value: {port}}}}}'


def _cluster(host: str, port: int, name: str, path: str = "") -> str:
    place = f'{{pipe: {{path: "{path}"}}}}' if path else _address(host, port)
    kind = "STATIC" if path or is_ip(host) else "STRICT_DNS"
    return (
        f"      type: {kind}\n"
        "      connect_timeout: 1s\n"
        "      load_assignment:\n"
        f"        cluster_name: {name}\n"
        "        endpoints:\n"
        f"          - lb_endpoints: [{{endpoint: {{address: {place}}}}}]\n"
    )


def _tls(plan: Plan) -> str:
    upstream = plan.upstream
    if not upstream.tls:
        return ""
    by_address = is_ip(upstream.host)
    return _TLS.format(
        sni="" if by_address else f'          sni: "{upstream.host}"\n',
        kind="IP_ADDRESS" if by_address else "DNS",
        host=upstream.host,
        certificates=CERTIFICATES,
    )
