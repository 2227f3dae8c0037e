"""[[routes]] → one policy: the first route whose path matches decides, and what none matches is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..access.policy import all_of, any_of, anyone, authenticated, claim, none_of, roles, scopes
from ..access.routes import by_route
from ..errors import Misconfigured, shown
from .openapi import read_openapi
from .values import WrongConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..access.policy import Policy
    from .values import Table

__all__ = ["read_routes"]

_CONDITIONS = ("scopes", "roles", "claims", "any_of", "all_of", "none_of")
_ALLOW: dict[str, Callable[[], Policy]] = {"anyone": anyone, "authenticated": authenticated}
_COMBINED: dict[str, Callable[..., Policy]] = {"any_of": any_of, "all_of": all_of, "none_of": none_of}


def read_routes(root: Table) -> Policy:
    """Return the policy of the file; without routes, any good token will do.  Raises WrongConfig."""
    tables = root.tables("routes")
    if tables is None:
        return authenticated()
    rows: list[tuple[Sequence[str] | None, str, Policy]] = []
    encoded: list[str] = []
    for table in tables:
        if table.has("openapi"):
            rows += read_openapi(table)
            continue
        row = _row(table)
        try:
            by_route([row])  # so that what is wrong is said of this table
        except Misconfigured as error:
            raise table.wrong("", str(error).removeprefix(f"route {shown(row[1])}: ")) from None
        rows.append(row)
        if _is_opaque(table):
            encoded.append(row[1])
    return by_route(rows, encoded=encoded)


def _row(table: Table) -> tuple[Sequence[str] | None, str, Policy]:
    table.only(("path", "methods", "allow", "encoded", "openapi", *_CONDITIONS), ("shadow", "audit"))
    path = table.text("path")
    if path is None:
        raise table.wrong("path", "it is required")
    return table.list_of_texts("methods"), path, _policy(table)


def _is_opaque(table: Table) -> bool:
    encoded = table.text("encoded")
    if encoded not in (None, "opaque"):
        raise table.wrong("encoded", '"opaque" is expected')
    return encoded is not None


def _policy(table: Table) -> Policy:
    allow = table.text("allow")
    asked = [key for key in _CONDITIONS if table.has(key)]
    if allow is None:
        if not asked:
            raise table.wrong("", f"it says neither allow nor what it asks for ({', '.join(_CONDITIONS)})")
        return _conditions(table)
    if asked:
        raise table.wrong("allow", f"that and {' and '.join(asked)} contradict each other")
    if allow not in _ALLOW:
        raise table.wrong("allow", '"anyone" or "authenticated" is expected')
    return _ALLOW[allow]()


def _conditions(table: Table) -> Policy:
    """Return the policy that all conditions of *table* hold."""
    policies: list[Policy] = []
    try:
        if (names := table.texts("scopes")) is not None:
            policies.append(scopes(*names))
        if (names := table.texts("roles")) is not None:
            policies.append(roles(*names))
    except WrongConfig:
        raise
    except Misconfigured as error:
        raise table.wrong("", str(error)) from None
    if (claims := table.table("claims")) is not None:
        policies += _claims(claims)
    for key, combine in _COMBINED.items():
        if (tables := table.tables(key)) is not None:
            policies.append(combine(*map(_condition, tables)))
    return policies[0] if len(policies) == 1 else all_of(*policies)


def _condition(table: Table) -> Policy:
    table.only(_CONDITIONS)
    if not table.values:
        raise table.wrong("", f"a condition is expected ({', '.join(_CONDITIONS)})")
    return _conditions(table)


def _claims(table: Table, path: tuple[str, ...] = ()) -> list[Policy]:
    """Return one policy for each claim: the value is it or is among it; a table within leads to claims within."""
    if not table.values:
        raise table.wrong("", "a claim is expected")
    policies: list[Policy] = []
    for name, value in table.values.items():
        here = (*path, name)
        try:
            if isinstance(value, dict):
                policies += _claims(table.inner(name), here)
            elif isinstance(value, bool | int | float):
                policies.append(claim(*here, equals=value))
            else:
                policies += [claim(*here, contains=text) for text in table.texts(name) or ()]
        except WrongConfig:
            raise
        except Misconfigured as error:
            raise table.wrong(name, str(error)) from None
    return policies
