"""The parts of a compiled configuration → filters of Envoy, each with its type and its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .cel import Cel
from .envoy_answers import INVALID, MALFORMED, MISSING
from .envoy_matchers import lua
from .plan import ANOTHER_REQUEST

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ...tokens.compact import Limits

__all__ = [
    "ABSENT",
    "ASK",
    "KEYS",
    "POLICY",
    "SHAPE",
    "TOKEN",
    "allowed",
    "another_request",
    "ask",
    "cel",
    "decided",
    "of_header",
    "of_route",
    "policies",
    "policy",
    "rbac",
    "rbac_filter",
    "refused",
    "shape",
    "typed",
]

SHAPE: Final = "jwt_guard.shape"
KEYS: Final = "jwt_guard.keys"
TOKEN: Final = "jwt_guard.token"
POLICY: Final = "jwt_guard.policy"
ASK: Final = "jwt_guard.ask"

_PATIENCE: Final = "2s"  # for what is answered within answer_within
_HTTP: Final = "envoy.extensions.filters.http"
_ACTION: Final = "envoy.config.rbac.v3.Action"
# RFC 6750 §2.1, and RFC 7515 §7.1 of what a guard goes on with: two dots.
_JWT: Final = "(?i:bearer) +[A-Za-z0-9_-]*\\.[A-Za-z0-9_-]*\\.[A-Za-z0-9_-]* *"
_TOKEN_OF_A_KIND: Final = "(?i:bearer) +[A-Za-z0-9._~+/-]+=* *"
_NO_TOKEN: Final = (
    "(?i:bearer) *|(?i:bearer)[^ ].*|(?:[^Bb].*)?|[Bb](?:[^Ee].*)?|[Bb][Ee](?:[^Aa].*)?"
    "|[Bb][Ee][Aa](?:[^Rr].*)?|[Bb][Ee][Aa][Rr](?:[^Ee].*)?|[Bb][Ee][Aa][Rr][Ee](?:[^Rr].*)?"
)


def typed(kind: str, **fields: object) -> dict[str, Any]:
    """Return a message of the type *kind*, which Envoy must be told."""
    return {"@type": f"type.googleapis.com/{kind}", **fields}


def decided(name: str, *, allows: bool) -> dict[str, Any]:
    """Return what is done where a condition holds: the request is let in, or refused under *name*."""
    action = typed(_ACTION, name=name, **({"action": "ALLOW"} if allows else {"action": "DENY"}))
    return {"action": {"name": name, "typed_config": action}}


def allowed(predicate: dict[str, Any]) -> dict[str, Any]:
    """Return that a request for which *predicate* holds is let in."""
    return {"predicate": predicate, "on_match": decided("allowed", allows=True)}


def refused(predicate: dict[str, Any], name: str) -> dict[str, Any]:
    """Return that one for which it holds is refused under *name*."""
    return {"predicate": predicate, "on_match": decided(name, allows=False)}


def rbac(matchers: Iterable[dict[str, Any]], otherwise: str) -> dict[str, Any]:
    """Return the rules that the first of *matchers* decides; what none does is refused, under the name *otherwise*."""
    listed = list(matchers)
    no_match = decided(otherwise, allows=False)
    matcher = {"matcher_list": {"matchers": listed}, "on_no_match": no_match} if listed else {"on_no_match": no_match}
    return {"matcher": matcher}


def policy(*principals: dict[str, Any], condition: Cel | None = None) -> dict[str, Any]:
    """Return that who is all of *principals* is let in, if *condition* holds, too."""
    who = principals[0] if len(principals) == 1 else {"and_ids": {"ids": list(principals)}}
    more = {} if condition is None else {"condition": condition}
    return {"permissions": [{"any": True}], "principals": [who], **more}


def policies(named: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the rules that let in whom one of the policies does; they are asked in the order of their names.

    These cost less than :func:`rbac`; but a refusal of theirs has no name.
    """
    return {"rules": {"action": "ALLOW", "policies": dict(named)}}


def of_header(name: str, code: str) -> dict[str, Any]:
    """Return the principal of whom the Lua in *code* takes the header *name*."""
    return {"header": {"name": name, "string_match": lua(code)}}


def of_route(rules: dict[str, Any] | None) -> dict[str, Any]:
    """Return *rules* in place of those of the filter, for one route; None: the filter does nothing there."""
    return typed(f"{_HTTP}.rbac.v3.RBACPerRoute", **({} if rules is None else {"rbac": rules}))


def shape(limits: Limits) -> dict[str, Any]:
    """Return the filter that looks at whether there is one token, before anything looks at the token.

    Envoy joins several headers of one name with commas, and finds a token within whatever stands around it.
    """
    is_short = {"single_predicate": {"input": _AUTHORIZATION, "value_match": lua(_short(limits))}}
    rules = rbac(
        (
            allowed({"and_matcher": {"predicate": [_header(_JWT), is_short]}}),
            allowed(ABSENT),
            refused(_header(_TOKEN_OF_A_KIND), INVALID),
            refused(_header(_NO_TOKEN), MISSING),
        ),
        MALFORMED,
    )
    return {"name": SHAPE, "typed_config": typed(f"{_HTTP}.rbac.v3.RBAC", **rules)}


def _short(limits: Limits) -> str:
    """Return Lua that says of ``Bearer TOKEN`` whether the token is within *limits*."""
    return (
        "function envoy_match(value)\n"
        '  local _, before = value:find("^%a+ +")\n'
        '  local dot = value:find(".", before, true)\n'
        '  local after = value:find(" ", before + 1, true) or #value + 1\n'
        f"  return dot - before - 1 <= {limits.header} and after - before - 1 <= {limits.token}\n"
        "end"
    )


def another_request(*more: str) -> dict[str, Any]:
    """Return what drops the headers by which some application takes a request for another one than was judged.

    *more* are those that only Envoy may set.
    """
    kind = "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation"
    mutations = [{"remove": name.lower()} for name in (*ANOTHER_REQUEST, *more)]
    return {
        "name": "envoy.http.early_header_mutation.header_mutation",
        "typed_config": typed(kind, mutations=mutations),
    }


def rbac_filter(name: str, rules: dict[str, Any]) -> dict[str, Any]:
    """Return the filter *name* with *rules*."""
    return {"name": name, "typed_config": typed(f"{_HTTP}.rbac.v3.RBAC", **rules)}


def ask(cluster: str, *, grpc: bool) -> dict[str, Any]:
    """Return the filter that asks a guard; where there is no answer the client is told to come again."""
    fields: dict[str, Any] = {
        "transport_api_version": "V3",
        "failure_mode_allow": False,
        "status_on_error": {"code": "ServiceUnavailable"},
    }
    if grpc:
        fields["grpc_service"] = {"envoy_grpc": {"cluster_name": cluster}, "timeout": _PATIENCE}
    else:
        told = ("www-authenticate", "retry-after", "content-type", "cache-control")
        fields["allowed_headers"] = _exactly("authorization")
        fields["http_service"] = {
            "server_uri": {"uri": "http://jwt-guard", "cluster": cluster, "timeout": _PATIENCE},
            "path_prefix": "/ext_authz",
            "authorization_response": {"allowed_client_headers": _exactly(*told)},
        }
    return {"name": ASK, "typed_config": typed(f"{_HTTP}.ext_authz.v3.ExtAuthz", **fields)}


def _exactly(*names: str) -> dict[str, Any]:
    return {"patterns": [{"exact": name, "ignore_case": True} for name in names]}


def cel(condition: Cel) -> dict[str, Any]:
    """Return the predicate that *condition* holds."""
    matcher = typed("xds.type.matcher.v3.CelMatcher", expr_match={"cel_expr_parsed": {"expr": condition}})
    given = {"name": "request", "typed_config": typed("xds.type.matcher.v3.HttpAttributesCelMatchInput")}
    return {"single_predicate": {"input": given, "custom_match": {"name": "cel", "typed_config": matcher}}}


_AUTHORIZATION: Final = {
    "name": "authorization",
    "typed_config": typed("envoy.type.matcher.v3.HttpRequestHeaderMatchInput", header_name="authorization"),
}


def _header(expression: str) -> dict[str, Any]:
    held = {"safe_regex": {"google_re2": {}, "regex": expression}}
    return {"single_predicate": {"input": _AUTHORIZATION, "value_match": held}}


ABSENT: Final = {"not_matcher": _header("\\C*")}
"""The predicate that there is no ``Authorization``, not even of octets that are no text."""
