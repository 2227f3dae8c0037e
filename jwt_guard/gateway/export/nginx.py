"""Plan → a whole nginx.conf that asks with ``auth_request``: nginx 1.22 or later."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .plan import ABOUT_THE_CLIENT, ANOTHER_REQUEST, CERTIFICATES, File

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .plan import Plan

__all__ = ["export"]

_TEXT = """\
# nginx 1.22 or later in front of {upstream}: jwt-guard at {auth} is asked about every request.
# Check it with "nginx -t -c FILE"; TLS for clients is yours to add to the server below.
worker_processes auto;

events {{
    worker_connections 1024;
}}

http {{
    server_tokens off;

    upstream jwt_guard {{
        server {auth};
        keepalive 32;
    }}
    upstream application {{
        server {application};
        keepalive 32;
    }}

    # Websockets alone: whatever else an application would switch to is nothing that could be judged.
    map $http_upgrade $jwt_guard_upgrade {{
        default "";
        "~*^websocket$" websocket;
    }}
    map $http_upgrade $jwt_guard_connection {{
        default "";
        "~*^websocket$" upgrade;
    }}
    map $jwt_guard_retry_after $jwt_guard_retry {{
        default $jwt_guard_retry_after;
        "" 1;
    }}

    server {{
        listen {listen} default_server;
        server_name _;

        # Header names with other characters than letters, digits and dashes are dropped: to some applications
        # X_Auth_User and X.Auth.User are X-Auth-User.
        underscores_in_headers off;
        ignore_invalid_headers on;
        large_client_header_buffers 4 {head_kib}k;
        # Paths go on as they came, and as they were judged; how much may be sent is for the application to say.
        merge_slashes off;
        client_max_body_size 0;

        location = /_jwt_guard {{
            internal;
            proxy_pass http://jwt_guard/auth;
            # Every one of these is needed: a location with a proxy_set_header of its own inherits none, and without
            # the empty Connection each question would cost a connection.
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
            proxy_set_header Host $http_host;
            proxy_set_header {method_header} $request_method;
            proxy_set_header {target_header} $request_uri;
            proxy_set_header {other_method_header} "";
            proxy_set_header {other_target_header} "";
            proxy_connect_timeout 1s;
            proxy_send_timeout 2s;
            proxy_read_timeout 2s;
            proxy_buffer_size {head_kib}k;
            proxy_buffers 4 {head_kib}k;
            proxy_busy_buffers_size {head_kib}k;
        }}

        location / {{
            auth_request /_jwt_guard;
            auth_request_set $jwt_guard_status $upstream_status;
            auth_request_set $jwt_guard_challenge $upstream_http_www_authenticate;
            auth_request_set $jwt_guard_retry_after $upstream_http_retry_after;
{learnt}            error_page 401 = @jwt_guard_401;
            error_page 403 = @jwt_guard_403;
            error_page 500 = @jwt_guard_other;

            proxy_pass {scheme}://application;
            proxy_http_version 1.1;
            proxy_set_header Connection $jwt_guard_connection;
            proxy_set_header Upgrade $jwt_guard_upgrade;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Host $http_host;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Real-IP $remote_addr;
{told}            # What would make another request of it, or one of another client:
{dropped}            proxy_request_buffering off;
            proxy_buffering off;
{tls}        }}

        # nginx keeps the status of the answer, and loses its body.
        location @jwt_guard_401 {{
            internal;
            default_type application/problem+json;
            add_header Cache-Control no-store always;
            return 401 '{{"type": "about:blank", "title": "Unauthorized", "status": 401}}';
        }}
        location @jwt_guard_403 {{
            internal;
            default_type application/problem+json;
            add_header Cache-Control no-store always;
            add_header WWW-Authenticate $jwt_guard_challenge always;
            return 403 '{{"type": "about:blank", "title": "Forbidden", "status": 403}}';
        }}
        # Every answer but 2xx, 401 and 403 is a 500 to auth_request, and so is none.
        location @jwt_guard_other {{
            internal;
            default_type application/problem+json;
            add_header Cache-Control no-store always;
            if ($jwt_guard_status ~ "(400|431)$") {{
                add_header Cache-Control no-store always;
                add_header WWW-Authenticate $jwt_guard_challenge always;
                return 400 '{{"type": "about:blank", "title": "Bad Request", "status": 400}}';
            }}
            if ($jwt_guard_status ~ "200$") {{
                return 500 '{{"type": "about:blank", "title": "Internal Server Error", "status": 500}}';
            }}
            add_header Retry-After $jwt_guard_retry always;
            return 503 '{{"type": "about:blank", "title": "Service Unavailable", "status": 503}}';
        }}
    }}
}}
"""
_TLS = """\
            proxy_ssl_server_name on;
            proxy_ssl_name {host};
            proxy_ssl_verify on;
            proxy_ssl_verify_depth 4;
            proxy_ssl_trusted_certificate {certificates};
"""


def export(plan: Plan) -> tuple[File, ...]:
    """Return the one file.  Raises Misconfigured."""
    family = plan.named_by("x-original", "x-forwarded")
    other = "x-forwarded" if family == "x-original" else "x-original"
    names = plan.identity.names
    learnt = [f"auth_request_set $jwt_guard_{_variable(name)} $upstream_http_{_variable(name)};" for name in names]
    told = [f"proxy_set_header {name} $jwt_guard_{_variable(name)};" for name in names]
    if plan.drops_authorization:
        told.append('proxy_set_header Authorization "";')
    text = _TEXT.format(
        upstream=plan.upstream.url,
        application=plan.upstream.place,
        scheme="https" if plan.upstream.tls else "http",
        auth=plan.auth,
        listen=plan.listen,
        head_kib=plan.head_kib,
        method_header=f"{family}-method",
        target_header=f"{family}-uri",
        other_method_header=f"{other}-method",
        other_target_header=f"{other}-uri",
        learnt=_lines(learnt),
        told=_lines(told),
        dropped=_lines(f'proxy_set_header {name} "";' for name in (*ANOTHER_REQUEST, *ABOUT_THE_CLIENT)),
        tls=_TLS.format(host=plan.upstream.host, certificates=CERTIFICATES) if plan.upstream.tls else "",
    )
    return (File("nginx.conf", text),)


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"            {line}\n" for line in lines)


def _variable(name: str) -> str:
    return name.lower().replace("-", "_")
