"""A create, an update, a patch or a delete, under limited rights → the one write that the server is asked for.

What is there and what is to be there are both judged, and the server is told which version was: what has changed in
between is not written over.  The write that comes of it is a value, so that a transaction can have many of them.

Who may write and not read is told that it was done, and nothing else: no version, no time, nothing of what is there
now.  A resource may contain what its writer may not see; that stays in it, since nobody means to remove what is hidden.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from ..access.fhir_references import read_reference
from ..messages import Response
from .answering import ACCEPT, etag_of, failed, found, located, shown, url_of, version_of
from .documents import read, read_list, written
from .exchange import Answered, Asking, ask
from .filtering import filtered, is_nobody_elses, left_out, others_named
from .outcome import CONFLICT, FORBIDDEN, JSON, MANY, NOT_FOUND, NOT_SUPPORTED, UNREADABLE, UPSTREAM, Problem, Stopped
from .patching import checked, patched
from .searching import find

if TYPE_CHECKING:
    from .exchange import Exchange
    from .interaction import Interaction
    from .query import Parameters
    from .rights import Rights

__all__ = [
    "NOT_CURRENT",
    "NOT_JSON_PATCH",
    "Kept",
    "Write",
    "answered",
    "prepared",
    "refuse_conditional_references",
    "resource_of",
    "told_of_kept",
    "write",
]

NOT_CURRENT: Final = Problem(412, "conflict", "The version that the request names is not the current one.")
NOT_JSON_PATCH: Final = Problem(415, "not-supported", "With this token, a patch is a JSON Patch.")
_JSON_PATCH: Final = "application/json-patch+json"
_CREATED: Final = 201
_NOTHING: Final = "minimal"
_RETURN: Final = "return"


@dataclass(frozen=True, slots=True)
class Write:
    """One write, judged: nothing in it is to be looked at again."""

    method: str
    """POST, PUT or DELETE: a patch has become a PUT."""
    type: str
    id: str | None = field(default=None, repr=False)
    """None: the server gives it one."""
    resource: dict[str, Any] | None = field(default=None, repr=False)
    version: str | None = None
    """The version that was judged, and that has to be the current one."""

    @property
    def is_new(self) -> bool:
        """Whether nothing may be there, at its id."""
        return self.method == "PUT" and self.version is None

    @property
    def path(self) -> str:
        """Below the base."""
        return f"/{self.type}" if self.id is None else f"/{self.type}/{self.id}"


@dataclass(frozen=True, slots=True)
class Kept:
    """Nothing is to be written, since what a conditional create would create is there."""

    resource: dict[str, Any] = field(repr=False)


def write(interaction: Interaction, rights: Rights, body: bytes, content_type: str = "") -> Exchange[Response]:
    """Do what *interaction* asks for, with *body*, the client's.  Raises Stopped."""
    one = yield from prepared(interaction, rights, body, content_type)
    if isinstance(one, Kept):
        return told_of_kept(one, rights)
    given = yield from ask(_asking(one, rights))
    return answered(one, given, rights, interaction.preferences)


def prepared(interaction: Interaction, rights: Rights, body: bytes, content_type: str = "") -> Exchange[Write | Kept]:
    """Return what *interaction* comes to, once all is judged, and nothing is written yet.  Raises Stopped."""
    kind, type_ = interaction.kind, str(interaction.type)
    if kind == "create":
        return (yield from _created(interaction, rights, resource_of(body, type_)))
    if kind == "update":
        return (yield from _updated(interaction, rights, resource_of(body, type_)))
    if kind == "delete":
        _refuse_hopeless(type_, "d", rights)
        one = yield from _by_its_id(interaction, rights)
        return (yield from _deleted(one, rights))
    if content_type.partition(";")[0].strip(" \t").lower() != _JSON_PATCH:
        raise Stopped(NOT_JSON_PATCH, "a patch in another language")
    operations = read_list(body)
    if operations is None:
        raise Stopped(UNREADABLE, "it is no JSON Patch")
    steps = checked(operations)
    _refuse_hopeless(type_, "u", rights)
    one = yield from _by_its_id(interaction, rights)
    return (yield from _patched(one, rights, steps))


def resource_of(body: bytes, type_: str) -> dict[str, Any]:
    """Return the resource of *type_* that *body* is.  Raises Stopped."""
    resource = read(body)
    if resource is None or resource.get("resourceType") != type_:
        raise Stopped(UNREADABLE, "the body is no resource of the type, in JSON that can be read in one way only")
    return resource


# --- each of them ------------------------------------------------------------------------------------


def _created(interaction: Interaction, rights: Rights, new: dict[str, Any]) -> Exchange[Write | Kept]:
    type_ = str(interaction.type)
    new = {name: value for name, value in new.items() if name != "id"}  # the server chooses one (FHIR R4 §3.1.0.8)
    _judge(new, rights, "c")
    _refuse_more_others(new, {}, rights, "c")
    if interaction.criteria is not None:
        one = yield from _one(type_, interaction.criteria, rights)
        if one is not None:
            return Kept(one)
    return Write("POST", type_, None, new)


def _updated(interaction: Interaction, rights: Rights, new: dict[str, Any]) -> Exchange[Write]:
    if interaction.criteria is not None:
        return (yield from _updated_where(interaction, interaction.criteria, rights, new))
    if new.get("id") != interaction.id:
        raise Stopped(UNREADABLE, "the resource has another id than its place")
    _judge(new, rights, "u")
    old, version = yield from _stored(interaction)
    if old is None:
        if not rights.server.updates_may_create:
            raise Stopped(NOT_FOUND, "it is not there")
        if interaction.if_match is not None:
            raise Stopped(NOT_CURRENT, "it is not there, and a version of it is named")
        _refuse_more_others(new, {}, rights, "u")
        return Write("PUT", str(interaction.type), interaction.id, new)
    if not rights.sees(old, "u"):
        # Who may create by an update finds out anyhow which ids are taken.
        unseen = FORBIDDEN if rights.server.updates_may_create else NOT_FOUND
        raise Stopped(unseen, "what is there may not be changed")
    return _replaced(interaction, rights, old, new, version)


def _updated_where(
    interaction: Interaction, criteria: Parameters, rights: Rights, new: dict[str, Any]
) -> Exchange[Write]:
    type_ = str(interaction.type)
    one = yield from _one(type_, criteria, rights)
    if one is not None:
        if new.get("id", one["id"]) != one["id"]:
            raise Stopped(UNREADABLE, "the resource has another id than the one that meets the condition")
        here = replace(interaction, id=one["id"], path=f"/{type_}/{one['id']}", criteria=None)
        return (yield from _updated(here, rights, {**new, "id": one["id"]}))
    if "id" in new:
        raise Stopped(NOT_SUPPORTED, "nothing meets the condition, and what is to be created has an id")
    if not rights.server.updates_may_create or interaction.if_match is not None:
        raise Stopped(NOT_FOUND, "nothing meets the condition")
    _judge(new, rights, "u")
    _refuse_more_others(new, {}, rights, "u")
    return Write("POST", type_, None, new)


def _patched(interaction: Interaction, rights: Rights, steps: list[dict[str, Any]]) -> Exchange[Write]:
    old, version = yield from _stored(interaction)
    if old is None or not rights.sees(old, "u"):
        raise Stopped(NOT_FOUND, "it is not there, or may not be changed")
    seen = filtered(old, rights, "r")
    _compare(interaction, version)
    limit = rights.server.limits.body
    new = patched(old if seen is None else seen, steps, limit, may_look=seen is not None)
    if (new.get("resourceType"), new.get("id")) != (interaction.type, interaction.id):
        raise Stopped(UNREADABLE, "the patch makes another resource of it")
    _judge(new, rights, "u")
    return _replaced(interaction, rights, old, new, version)


def _deleted(interaction: Interaction, rights: Rights) -> Exchange[Write]:
    old, version = yield from _stored(interaction)
    if old is None or not rights.sees(old, "d"):
        raise Stopped(NOT_FOUND, "it is not there, or may not be deleted")
    return Write("DELETE", str(interaction.type), interaction.id, None, _current(interaction, version))


def _replaced(
    interaction: Interaction, rights: Rights, old: dict[str, Any], new: dict[str, Any], version: str | None
) -> Write:
    """Return the write of *new* in place of *old*, what its writer could not see remaining in it."""
    current = _current(interaction, version)
    _refuse_more_others(new, old, rights, "u")
    seen = filtered(old, rights, "r")
    hidden = [] if seen is None else left_out(old, seen)
    if hidden:
        contained = [*new.get("contained", []), *hidden]
        names = [each["id"] for each in contained if isinstance(each, dict) and isinstance(each.get("id"), str)]
        if len(set(names)) != len(names):
            raise Stopped(CONFLICT, "what is contained would have the id of what is hidden there")
        new = {**new, "contained": contained}
    return Write("PUT", str(interaction.type), interaction.id, new, current)


# --- what is judged ----------------------------------------------------------------------------------


def _judge(new: dict[str, Any], rights: Rights, letter: str) -> None:
    """Raise Stopped where *new* may not be written."""
    if not rights.sees(new, letter) or not is_nobody_elses(new, rights, letter):
        raise Stopped(FORBIDDEN, "what would be there may not be written")
    refuse_conditional_references(new)


def refuse_conditional_references(new: dict[str, Any]) -> None:
    """Raise Stopped where a reference in *new* is a search."""
    if has_conditional_reference(new):
        raise Stopped(NOT_SUPPORTED, "a reference is a search")


def _refuse_more_others(new: dict[str, Any], old: dict[str, Any], rights: Rights, letter: str) -> None:
    """Raise Stopped where *new* would be another patient's as well, and *old* is not.

    Who writes with a patient's scopes alone puts nothing into another one's record.
    """
    if rights.sees_anybodys(new, letter):
        return
    before = others_named(old, rights) if old else None
    named = others_named(new, rights)
    if named is None or not named <= (before or frozenset()):
        raise Stopped(FORBIDDEN, "what would be there is another patient's as well")


def has_conditional_reference(new: dict[str, Any]) -> bool:
    """Say whether a reference in *new* is a search, which some servers make at once (FHIR R4 §3.1.0.11.2)."""
    left: list[Any] = [new]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            text = value.get("reference")
            if isinstance(text, str) and "?" in text:
                return True
            left += value.values()
        elif isinstance(value, list):
            left += value
    return False


def _refuse_hopeless(type_: str, letter: str, rights: Rights) -> None:
    """Raise Stopped where no resource of *type_* could be one that *letter* is allowed on, whatever there is."""
    if not rights.could_see(type_, letter):
        raise Stopped(FORBIDDEN, "patients' scopes do not write such resources")


def _one(
    type_: str, criteria: Parameters, rights: Rights, *, for_certain: bool = False
) -> Exchange[dict[str, Any] | None]:
    """Return the one resource that *criteria* are true of, among those that may be seen; None: there is none."""
    resources = yield from find(type_, criteria, rights, for_certain=for_certain)
    if len(resources) > 1:
        raise Stopped(MANY, "the condition is true of many")
    return resources[0] if resources else None


def _by_its_id(interaction: Interaction, rights: Rights) -> Exchange[Interaction]:
    """Return *interaction* with the id of the resource that its condition, if it has one, is true of."""
    if interaction.criteria is None:
        return interaction
    type_ = str(interaction.type)
    # A server that passes over the condition finds just anything, and what is deleted says nothing of what was meant.
    one = yield from _one(type_, interaction.criteria, rights, for_certain=interaction.kind == "delete")
    if one is None:
        raise Stopped(NOT_FOUND, "nothing meets the condition")
    return replace(interaction, id=one["id"], path=f"/{type_}/{one['id']}", criteria=None)


def _stored(interaction: Interaction) -> Exchange[tuple[dict[str, Any] | None, str | None]]:
    """Ask for what is there, and which version of it."""
    given = yield from ask(Asking("GET", interaction.path, (), (ACCEPT,)))
    old = found(given, str(interaction.type), str(interaction.id))
    return old, None if old is None else version_of(old, given)


def _compare(interaction: Interaction, version: str | None) -> None:
    if interaction.if_match is not None and interaction.if_match != version:
        raise Stopped(NOT_CURRENT, "another version is named than is there")


def _current(interaction: Interaction, version: str | None) -> str:
    _compare(interaction, version)
    if version is None:
        raise Stopped(UPSTREAM, "the server does not say which version is there, and so it may change unseen")
    return version


# --- what is asked, and what is answered -------------------------------------------------------------

_JSON_BODY: Final = ("content-type", JSON)


def _asking(one: Write, rights: Rights) -> Asking:
    headers: list[tuple[str, str]] = [ACCEPT]
    if one.resource is not None:
        prefers = "representation" if rights.may(one.type, "r") else _NOTHING
        headers += [_JSON_BODY, ("prefer", f"{_RETURN}={prefers}")]
    if one.version is not None:
        headers.append(("if-match", etag_of(one.version)))
    if one.is_new:
        headers.append(("if-none-match", "*"))
    body = b"" if one.resource is None else written(one.resource)
    return Asking(one.method, one.path, (), tuple(headers), body)


def answered(one: Write, given: Answered, rights: Rights, preferences: Parameters) -> Response:
    """Return what the client is told of *one*, to which the server said *given*.  Raises Stopped.

    The resource is in it where it may be read, and the client does not prefer otherwise.
    """
    if given.status // 100 != 2:  # noqa: PLR2004 - of the class "successful"
        raise failed(given)
    if one.method == "DELETE":
        return Response(204, (("cache-control", "no-store"),), b"")
    status = _CREATED if given.status == _CREATED else 200
    resource = read(given.body) or {}
    id_ = one.id or located(given, one.type) or _id_in(resource)
    is_it = id_ is not None and (resource.get("resourceType"), resource.get("id")) == (one.type, id_)
    seen = filtered(resource, rights, "r") if is_it else None
    if seen is None:
        return _minimal(status, one.type, id_, rights)
    response = shown(seen, given, rights, status=status, has_moved=status == _CREATED)
    if all(name != _RETURN or value == "representation" for name, value in preferences):
        return response
    return Response(status, tuple(pair for pair in response.headers if pair[0] != "content-type"), b"")


def told_of_kept(one: Kept, rights: Rights) -> Response:
    """Return what the client is told where what it would create is there: the same, but that nothing was created."""
    seen = filtered(one.resource, rights, "r")
    if seen is not None:
        return shown(seen, Answered(200), rights)
    return _minimal(200, one.resource["resourceType"], _id_in(one.resource), rights)


def _id_in(resource: dict[str, Any]) -> str | None:
    id_ = resource.get("id")
    is_one = isinstance(id_, str) and read_reference(f"Basic/{id_}") is not None
    return id_ if is_one else None


def _minimal(status: int, type_: str, id_: str | None, rights: Rights) -> Response:
    """Return that it was done, and where."""
    where = () if id_ is None else (("location", url_of(rights.server, type_, id_)),)
    return Response(status, (("cache-control", "no-store"), *where), b"")
