"""Plan → a whole Caddyfile that asks with ``forward_auth``: Caddy 2.11 or later."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .plan import ABOUT_THE_CLIENT, ANOTHER_REQUEST, File

if TYPE_CHECKING:
    from ..settings import Address
    from .plan import Plan

__all__ = ["export"]

_NO_LETTERS = "!#$%&'*+.^_`|~"
"""Every character but letters, digits and dashes that the name of a header may have (RFC 9110 §5.6.2)."""
_TEXT = """\
# Caddy 2.11 or later in front of {upstream}: jwt-guard at {auth} is asked about every request.
# Check it with "caddy validate --adapter caddyfile --config FILE"; TLS for clients is yours to add.
{{
	admin off
	auto_https off
	persist_config off
}}

# No host: a site of one host answers requests for another one with an empty 200.
http://:{port} {{
	bind {host}

	@websocket {{
		header_regexp Connection (?i)upgrade
		header_regexp Upgrade (?i)^websocket$
	}}
	@otherwise {{
		not {{
			header_regexp Connection (?i)upgrade
			header_regexp Upgrade (?i)^websocket$
		}}
	}}

	# In a route the order is the one that is written; outside of one Caddy has its own.
	route {{
		# To some applications X_Auth_User and X.Auth.User are X-Auth-User.
{odd}
		# What would make another request of it, or one of another client:
{dropped}		request_header X-Real-IP {{http.request.remote.host}}

		# Headers that Connection names are dropped on the way, ours too.
		request_header @otherwise -Upgrade
		request_header @otherwise -Connection
		request_header @websocket Connection Upgrade
		request_header @websocket Upgrade websocket

		forward_auth {dial} {{
			uri /auth
{copied}			header_up -Connection
			header_up -Upgrade
			transport http {{
				compression off
				dial_timeout 1s
				response_header_timeout 2s
				keepalive 60s
				keepalive_idle_conns_per_host 32
			}}
		}}
		vars jwt_guard_answered yes

		reverse_proxy {upstream}{authorization}
	}}

	# No answer is no yes, and nothing that is the application's to explain.
	handle_errors {{
		@unanswered not vars jwt_guard_answered yes
		handle @unanswered {{
			header Cache-Control no-store
			header Retry-After 1
			header Content-Type application/problem+json
			respond `{{"type": "about:blank", "title": "Service Unavailable", "status": 503}}` 503
		}}
		handle {{
			respond {{err.status_code}}
		}}
	}}
}}
"""


def export(plan: Plan) -> tuple[File, ...]:
    """Return the one file.  Raises Misconfigured."""
    plan.named_by("x-forwarded")
    names = " ".join(plan.identity.names)
    text = _TEXT.format(
        upstream=plan.upstream.url,
        auth=plan.auth,
        dial=_dial(plan.auth),
        host=plan.listen.host,
        port=plan.listen.port,
        odd="".join(f"\t\trequest_header -*{character}*\n" for character in _NO_LETTERS),
        dropped="".join(f"\t\trequest_header -{name}\n" for name in (*ANOTHER_REQUEST, *ABOUT_THE_CLIENT)),
        copied=f"\t\t\tcopy_headers {names}\n" if names else "",
        authorization=" {\n\t\t\theader_up -Authorization\n\t\t}" if plan.drops_authorization else "",
    )
    return (File("Caddyfile", text),)


def _dial(address: Address) -> str:
    return f"unix/{address.path}" if address.path else str(address)
