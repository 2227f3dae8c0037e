"""Plan → a haproxy.cfg and the Lua action that asks, with HAProxy's own HTTP client: HAProxy 2.6 or later on Linux."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .plan import ABOUT_THE_CLIENT, ANOTHER_REQUEST, File

if TYPE_CHECKING:
    from ..settings import Address
    from .plan import Plan

__all__ = ["export"]

_TEXT = """\
# HAProxy 2.6 or later in front of {upstream}: jwt-guard at {auth} is asked about every request.
# jwt_guard.lua stands beside this file.  Check both with "haproxy -c -f haproxy.cfg"; TLS for clients is yours to add.
global
    default-path config
    lua-load jwt_guard.lua
    tune.bufsize {bufsize}

defaults
    mode http
    timeout http-request 10s
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout tunnel 1h

frontend clients
    bind {listen}
    # To some applications X_Auth_User and X.Auth.User are X-Auth-User.
    http-request del-header '[^a-z0-9-]' -m reg
    # Websockets alone: whatever else an application would switch to is nothing that could be judged.
    http-request del-header upgrade unless {{ hdr(upgrade) -m str -i websocket }}
    # What would make another request of it, or one of another client:
{dropped}    http-request del-header x-forwarded- -m beg
    http-request lua.jwt_guard
    # An error in the action lets a request go on; this does not.
    http-request {unavailable} unless {{ var(txn.jwt_guard) -m str allowed }}
    http-request set-header X-Forwarded-For %[src]
    http-request set-header X-Real-IP %[src]
    http-request set-header X-Forwarded-Host %[req.hdr(host)]
    http-request set-header X-Forwarded-Proto http
    http-request set-header X-Forwarded-Proto https if {{ ssl_fc }}
{authorization}    default_backend application

backend application
    server application {application}{tls}

# The client that Lua has keeps no time and no connections; this does both.
listen jwt_guard
    bind abns@jwt-guard-{port}
    timeout connect 1s
    timeout server 2s
    timeout queue 1s
    retries 1
    retry-on conn-failure empty-response
    http-reuse always
    server jwt_guard {place}
"""
_LUA = """\
-- HAProxy's request -> what jwt-guard says of it.  See haproxy.cfg.
local ASK = "http://jwt-guard.internal/auth"
local AT = "abns@jwt-guard-{port}"
local TOLD = {{ {told} }}
local ANSWERS = {{ [400] = "Bad Request", [401] = "Unauthorized", [403] = "Forbidden", [503] = "Service Unavailable" }}
local PASSED_ON = {{ "www-authenticate", "retry-after", "cache-control", "content-type" }}
-- They are about the client's connection and body, which the question does not have.
local LEFT_OUT = {{
    ["connection"] = true, ["content-length"] = true, ["expect"] = true, ["keep-alive"] = true, ["te"] = true,
    ["proxy-connection"] = true, ["trailer"] = true, ["transfer-encoding"] = true, ["upgrade"] = true,
}}

local function every(values)
    local list, i = {{}}, 0
    while values and values[i] ~= nil do
        list[#list + 1] = values[i]
        i = i + 1
    end
    return list
end

local function ask(txn)
    local headers = {{}}
    for name, values in pairs(txn.http:req_get_headers()) do
        if not LEFT_OUT[name] then headers[name] = every(values) end
    end
    headers["{family}-method"] = {{ txn.f:method() }}
    headers["{family}-uri"] = {{ txn.f:pathq() }}
    return core.httpclient():get{{ url = ASK, dst = AT, headers = headers }}
end

core.register_action("jwt_guard", {{ "http-req" }}, function(txn)
    local is_asked, answer = pcall(ask, txn)
    if not is_asked or not answer then return end
    if answer.status == 200 then
        for _, name in ipairs(TOLD) do
            local said = every(answer.headers[string.lower(name)])
            txn.http:req_del_header(name)
            if #said == 1 and said[1] ~= "" then txn.http:req_set_header(name, said[1]) end
        end
        txn:set_var("txn.jwt_guard", "allowed")
        return
    end
    -- Without Retry-After it is HAProxy's own: there was no answer.
    if answer.status == 503 and not answer.headers["retry-after"] then return end
    if not ANSWERS[answer.status] then return end
    local reply = txn:reply{{ status = answer.status, reason = ANSWERS[answer.status] }}
    for _, name in ipairs(PASSED_ON) do
        for _, value in ipairs(every(answer.headers[name])) do reply:add_header(name, value) end
    end
    reply:set_body(answer.body or "")
    txn:done(reply)
end)
"""
_UNAVAILABLE = (
    "return status 503 content-type application/problem+json hdr Retry-After 1 hdr Cache-Control no-store "
    """string '{"type": "about:blank", "title": "Service Unavailable", "status": 503}'"""
)


def export(plan: Plan) -> tuple[File, ...]:
    """Return both files.  Raises Misconfigured."""
    family = plan.named_by("x-forwarded", "x-original")
    upstream = plan.upstream
    names = sorted(
        {name.lower() for name in (*ANOTHER_REQUEST, *ABOUT_THE_CLIENT) if not name.startswith("X-Forwarded-")}
    )
    config = _TEXT.format(
        upstream=upstream.url,
        application=upstream.place,
        tls=f" ssl verify required ca-file @system-ca sni str({upstream.host})" if upstream.tls else "",
        auth=plan.auth,
        place=_place(plan.auth),
        listen=plan.listen,
        port=plan.listen.port,
        bufsize=plan.head_kib * 1_024,
        unavailable=_UNAVAILABLE,
        dropped="".join(f"    http-request del-header {name}\n" for name in names),
        authorization="    http-request del-header authorization\n" if plan.drops_authorization else "",
    )
    told = ", ".join(f'"{name}"' for name in plan.identity.names)
    return (
        File("haproxy.cfg", config),
        File("jwt_guard.lua", _LUA.format(port=plan.listen.port, told=told, family=family)),
    )


def _place(address: Address) -> str:
    return f"unix@{address.path}" if address.path else str(address)
