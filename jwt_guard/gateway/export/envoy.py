"""A guard → a configuration in which Envoy itself holds its policy: ``jwt_authn``, RBAC, and no call for a request.

A route of which Envoy cannot say what it asks for has the guard asked (``ext_authz``), or there is no configuration.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from ...access.denylist import Denylist
from ...access.description import DescribedRoute, Description
from ...access.policy import described
from ...errors import Misconfigured, shown
from ...flow import Flow
from ...runners.blocking import run
from .cel import all_hold
from .envoy_answers import insufficient, local_replies
from .envoy_clusters import cluster, cluster_of_url, keys_of, socket_address
from .envoy_filters import (
    ABSENT,
    ASK,
    KEYS,
    POLICY,
    SHAPE,
    TOKEN,
    allowed,
    another_request,
    ask,
    cel,
    of_route,
    policies,
    policy,
    rbac,
    rbac_filter,
    refused,
    shape,
    typed,
)
from .envoy_matchers import predicate, principal
from .envoy_paths import LONGER, also_read_as, own_paths
from .envoy_policy import refusals, said
from .envoy_policy import why_not as why_no_policy
from .envoy_tokens import claims_of, header_named, is_verified, leeway, rules
from .envoy_tokens import why_not as why_no_provider
from .envoy_usual import TIMES, lists_of_names, usual_policy, usual_times, usual_token
from .plan import File

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...access.guard import Guard
    from ...access.provider import Provider
    from .plan import Plan

__all__ = ["export", "key_urls"]

_HTTP: Final = "envoy.extensions.filters.http"
_MANAGER: Final = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_EXPRESSIONS: Final = ("re2.max_program_size.error_level", "re2.max_program_size.warn_level")
_NOBODY: Final = "anyone"  # who may come without a token
_EVERYBODY: Final = DescribedRoute("/**", (), deep=True, opaque=False, policies=())


def key_urls(guard: Guard) -> Flow[dict[str, str]]:
    """Return where the keys of each provider are that publishes them, by its name.  Raises FetchFailed."""
    urls: dict[str, str] = {}
    for provider in guard.providers:
        where = getattr(provider.source, "where", None)
        if where is not None:
            urls[provider.name] = yield from where()
    return urls


def export(plan: Plan, *, asks: bool = False) -> tuple[File, ...]:
    """Return the one file, JSON that Envoy takes for YAML, too; *asks*: where Envoy cannot tell, the guard is asked.

    Issuers are asked where their keys are.  Raises Misconfigured, naming the route and the reason, where Envoy cannot
    say what is asked for and no guard is to be asked, and FetchFailed.
    """
    if plan.identity.names:
        raise Misconfigured(
            "export envoy: gateway.identity_headers: Envoy would copy claims as they are; leave them out, and have the "
            "application read the token that Envoy has checked, or take export envoy-ext-authz"
        )
    compiled = _Compiled(plan, run(key_urls(plan.guard)), asks=asks)
    return (File("envoy.yaml", _written(compiled.bootstrap())),)


class _Compiled:
    """One guard on its way to Envoy."""

    def __init__(self, plan: Plan, urls: dict[str, str], *, asks: bool) -> None:
        self.plan = plan
        self.guard = plan.guard
        self.urls = urls
        self.may_ask = asks
        self.lacking: set[frozenset[str]] = {frozenset()}
        self.everywhere = _why_nowhere(plan.guard)
        self.judged: list[Provider] = [] if self.everywhere else list(plan.guard.providers)

    def bootstrap(self) -> dict[str, Any]:
        hosts: dict[str, Any] = {"name": "all", "domains": ["*"], "routes": list(self.routes())}
        dropped = [*TIMES.values(), *(("authorization",) if self.plan.drops_authorization else ())]
        hosts["request_headers_to_remove"] = dropped
        manager = typed(
            _MANAGER,
            stat_prefix="jwt_guard",
            use_remote_address=True,
            max_request_headers_kb=max(96, self.plan.head_kib),
            # What is judged is what is sent: a path that has no normal form is refused, and none is changed.
            normalize_path=False,
            merge_slashes=False,
            path_with_escaped_slashes_action="KEEP_UNCHANGED",
            upgrade_configs=[{"upgrade_type": "websocket"}],
            local_reply_config=local_replies(self.guard.realm, self.lacking),
            early_header_mutation_extensions=[another_request(*TIMES.values())],
            route_config={"virtual_hosts": [hosts]},
            http_filters=self.filters(),
        )
        listener = {
            "name": "jwt_guard",
            "address": socket_address(self.plan.listen),
            "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
        }
        return {
            "static_resources": {"listeners": [listener], "clusters": list(self.clusters())},
            # Every spelling of a path is more than Envoy expects of an expression, and still takes time by its length.
            "layered_runtime": {"layers": [{"name": "jwt_guard", "static_layer": dict.fromkeys(_EXPRESSIONS, 20_000)}]},
        }

    # --- the routes ---------------------------------------------------------------------------------------------------

    def routes(self) -> Iterator[dict[str, Any]]:
        """Yield the routes of the policy, the first that matches decides, and one for whatever matches none."""
        policy = described(self.guard.policy)
        if policy.kind != "by_route":
            every = DescribedRoute(_EVERYBODY.path, (), deep=True, opaque=False, policies=((None, policy),))
            # Without routes a policy is asked about any path, also one that can be read in two ways.
            yield self.route(every, None, policy, match={"prefix": "/"})
            return
        listed = policy.routes
        if self.everywhere is None:
            yield self.denying("a path that is too long", {"safe_regex": {"regex": LONGER}})
        for index, route in enumerate(listed):
            match = {"safe_regex": {"regex": own_paths(route)}}
            for methods, inner in route.policies:
                yield self.route(route, methods, inner, match=match)
            if all(methods is not None for methods, _ in route.policies):
                yield self.denying(f"{route.path}: other methods", match)
            if not route.opaque and any(later.opaque for later in listed[index + 1 :]):
                other = {"safe_regex": {"regex": also_read_as(route)}}
                yield self.denying(f"{route.path}: in another reading", other)
        yield self.denying("no route", {"prefix": "/"})

    def route(
        self, route: DescribedRoute, methods: frozenset[str] | None, policy: Description, *, match: dict[str, Any]
    ) -> dict[str, Any]:
        name = f"{route.path}{'' if methods is None else ': ' + ', '.join(sorted(methods))}"
        reason = self.everywhere or why_no_policy(policy)
        if methods is not None:
            spelt = "|".join(map(re.escape, sorted(methods)))
            match = {**match, "headers": [{"name": ":method", "string_match": {"safe_regex": {"regex": spelt}}}]}
        if reason is not None:
            return _to_upstream(name, match, self.asking(route.path, reason))
        return _to_upstream(name, match, {**self.of_policy(policy), **_not(ASK, asked=self.may_ask)})

    def denying(self, name: str, match: dict[str, Any]) -> dict[str, Any]:
        """Return a route that lets nobody in: without a good token that is 401, else 403."""
        if self.everywhere is not None:
            return _to_upstream(name, match, self.asking(name, self.everywhere))
        return _to_upstream(name, match, _not(ASK, asked=self.may_ask))

    def asking(self, path: str, reason: str) -> dict[str, Any]:
        if not self.may_ask:
            raise Misconfigured(f"export envoy: route {shown(path)}: {reason}; with --auth the guard is asked about it")
        disabled = of_route(None)
        nothing = typed(f"{_HTTP}.jwt_authn.v3.PerRouteConfig", disabled=True)
        return {SHAPE: disabled, KEYS: nothing, TOKEN: disabled, POLICY: disabled}

    def of_policy(self, asked: Description) -> dict[str, Any]:
        """Return what is asked for on a route: of the filters in common, those that are different there."""
        different: dict[str, Any] = {}
        matchers: list[dict[str, Any]] = []
        if asked.is_open:
            different[KEYS] = typed(f"{_HTTP}.jwt_authn.v3.PerRouteConfig", requirement_name=_NOBODY)
            matchers.append(allowed(ABSENT))
        for provider in self.judged:
            usual = usual_policy(asked, provider)
            if usual is not None:
                matchers.append(allowed(predicate(usual)))
        for provider in self.judged:
            claims, names = claims_of(provider), provider.claims
            matchers.append(allowed(cel(all_hold(is_verified(provider), said(asked, claims, names)))))
        for provider in self.judged:
            claims, names = claims_of(provider), provider.claims
            for each in refusals(asked, claims, names):
                if each.scopes:
                    self.lacking.add(each.scopes)
                condition = all_hold(is_verified(provider), each.condition)
                matchers.append(refused(cel(condition), insufficient(each.scopes)))
        different[POLICY] = of_route(rbac(matchers, insufficient(frozenset())))
        return different

    # --- the filters --------------------------------------------------------------------------------------------------

    def filters(self) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = []
        if self.judged:
            listed += [
                shape(self.guard.limits),
                {"name": KEYS, "typed_config": self.of_keys()},
                rbac_filter(TOKEN, policies(self.of_tokens())),
                rbac_filter(POLICY, rbac((), insufficient(frozenset()))),
            ]
        if self.may_ask:
            listed.append(ask("jwt_guard", grpc=self.plan.grpc is not None))
        router = typed(f"{_HTTP}.router.v3.Router")
        return [*listed, {"name": "envoy.filters.http.router", "typed_config": router}]

    def of_keys(self) -> dict[str, Any]:
        providers: dict[str, Any] = {}
        for provider in self.judged:
            for number, issuer in enumerate(sorted(provider.issuers)):
                providers[f"{provider.name} {number}"] = {
                    "issuer": issuer,
                    "from_headers": [{"name": "authorization", "value_prefix": " "}],
                    "forward": True,
                    "require_expiration": not provider.exp_may_be_missing,
                    "clock_skew_seconds": leeway(provider),
                    "payload_in_metadata": provider.name,
                    "header_in_metadata": header_named(provider),
                    "claim_to_headers": [{"header_name": header, "claim_name": name} for name, header in TIMES.items()],
                    **keys_of(provider, self.urls),
                }
        each = [{"provider_name": name} for name in providers]
        token = each[0] if len(each) == 1 else {"requires_any": {"requirements": each}}
        nobody = {"requires_any": {"requirements": [*each, {"allow_missing": {}}]}}
        return typed(
            f"{_HTTP}.jwt_authn.v3.JwtAuthentication",
            providers=providers,
            requirement_map={"token": token, _NOBODY: nobody},
            rules=[{"match": {"prefix": "/"}, "requirement_name": "token"}],
            strip_failure_response=True,  # which would repeat what the client sent
        )

    def of_tokens(self) -> dict[str, dict[str, Any]]:
        """Return the rules about tokens; where somebody has to come with one, other filters see to it that they do."""
        named = {"0": policy({"header": {"name": "authorization", "present_match": True, "invert_match": True}})}
        for provider in self.judged:
            lists, usual = principal(lists_of_names(provider)), usual_token(provider)
            if usual is not None:
                named[f"1 {provider.name}"] = policy(principal(usual), *usual_times(provider))
            named[f"2 {provider.name}"] = policy(lists, condition=rules(provider))
        return named

    def clusters(self) -> Iterator[dict[str, Any]]:
        yield cluster_of_url("upstream", self.plan.upstream.url)
        for provider in self.judged:
            if provider.name in self.urls:
                yield cluster_of_url(f"keys of {provider.name}", self.urls[provider.name], provider)
        if self.may_ask:
            yield cluster("jwt_guard", self.plan.grpc or self.plan.auth, http2=self.plan.grpc is not None)


def _why_nowhere(guard: Guard) -> str | None:
    """Return why Envoy can judge no token of *guard* alone, None where it can."""
    if guard.resolver is not None:
        return "providers are looked up for each issuer (resolver)"
    # One of this process alone, in which nothing is, takes nothing back.
    revoked = guard.revoked
    if revoked is not None and not (isinstance(revoked, Denylist) and revoked.is_idle):
        return "tokens can be taken back (revocation)"
    if not guard.carried.is_header_only:
        return "a token may be elsewhere than in the Authorization header"
    reasons = ((provider.name, why_no_provider(provider)) for provider in guard.providers)
    return next((f"provider {name}: {reason}" for name, reason in reasons if reason is not None), None)


def _written(config: dict[str, Any]) -> str:
    """Return *config* as JSON: each condition in one line, so that the rest can be read."""
    conditions: list[str] = []

    def shortened(value: object) -> object:
        if isinstance(value, dict):
            if "cel_expr_parsed" in value or "call_expr" in value or "principals" in value:
                conditions.append(json.dumps(value, separators=(",", ":")))
                return f"\0{len(conditions) - 1}\0"
            return {name: shortened(inner) for name, inner in value.items()}
        return [shortened(inner) for inner in value] if isinstance(value, list) else value

    text = json.dumps(shortened(config), indent=1)
    return re.sub(r'"\\u0000(\d+)\\u0000"', lambda found: conditions[int(found[1])], text) + "\n"


def _to_upstream(name: str, match: dict[str, Any], different: dict[str, Any]) -> dict[str, Any]:
    route = {"name": name, "match": match, "route": {"cluster": "upstream", "timeout": "0s"}}
    return {**route, "typed_per_filter_config": different} if different else route


def _not(filter_name: str, *, asked: bool) -> dict[str, Any]:
    """Return that a guard is not asked on a route: unless that is said, it is."""
    return {filter_name: typed(f"{_HTTP}.ext_authz.v3.ExtAuthzPerRoute", disabled=True)} if asked else {}
