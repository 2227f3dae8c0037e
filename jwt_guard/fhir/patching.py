"""A resource + a JSON Patch → what the resource would be, within bounds (RFC 6902, RFC 6901).

It is done here, and not by the server, so that what would be stored can be judged before it is.  What is kept within
bounds is how many operations there are, how much they copy and move, and how deep the result is: a patch of a few lines
could double a resource with each of them.
"""

from __future__ import annotations

import re
from copy import deepcopy
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, NoReturn

from .documents import DEEPEST, written
from .outcome import NOT_SUPPORTED, TOO_LONG, UNREADABLE, Problem, Stopped

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["MOST", "UNFIT", "checked", "patched"]

MOST: Final = 200
"""Operations in one patch."""
UNFIT: Final = Problem(422, "processing", "The patch does not fit the resource as it is.")
_LOOKING: Final = frozenset({"copy", "move", "test"})
"""The operations whose outcome says what is there, or makes something else of it."""
_ESCAPE = re.compile(r"~(?![01])")
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")

_Pointer = tuple[str, ...]


def checked(operations: Iterable[object]) -> list[dict[str, Any]]:
    """Return *operations*, each of them being one of RFC 6902.  Raises Stopped where one is not, or there are too many.

    None is about the resource as a whole: that would be an update.
    """
    found = [each for each in operations if isinstance(each, dict) and _is_operation(each)]
    if len(found) != len([*operations]) or not found:
        raise Stopped(UNREADABLE, "it is no JSON Patch")
    if len(found) > MOST:
        raise Stopped(TOO_LONG, "the patch has more operations than are done")
    return found


def patched(resource: dict[str, Any], operations: list[dict[str, Any]], room: int, *, may_look: bool) -> dict[str, Any]:
    """Return what *operations*, which are checked, make of *resource*, which is left as it is.

    They copy and move *room* octets at most.  Without *may_look* none of them asks what is there.  Raises Stopped.
    """
    if not may_look and any(each["op"] in _LOOKING for each in operations):
        raise Stopped(NOT_SUPPORTED, "the patch asks what is in a resource that may not be read")
    work = _Work(deepcopy(resource), room)
    for each in operations:
        work.do(each)
    return work.resource


def _is_operation(each: dict[str, Any]) -> bool:
    match each.get("op"):
        case "add" | "replace" | "test":
            return "value" in each and bool(_pointer(each.get("path")))
        case "remove":
            return bool(_pointer(each.get("path")))
        case "copy" | "move":
            return bool(_pointer(each.get("path"))) and bool(_pointer(each.get("from")))
        case _:
            return False


def _pointer(text: object) -> _Pointer:
    """Return the names on the way that *text* is; none: it is no way, or one that leads nowhere else."""
    if not isinstance(text, str) or not text.startswith("/") or _ESCAPE.search(text):
        return ()
    return tuple(name.replace("~1", "/").replace("~0", "~") for name in text[1:].split("/"))


class _Work:
    """A resource while it is being changed."""

    def __init__(self, resource: dict[str, Any], room: int) -> None:
        self.resource = resource
        self._room = room

    def do(self, operation: dict[str, Any]) -> None:
        path, origin = _pointer(operation["path"]), _pointer(operation.get("from"))
        match operation["op"]:
            case "add":
                self._add(path, operation["value"])
            case "remove":
                self._remove(path)
            case "replace":
                self._remove(path)
                self._add(path, operation["value"])
            case "copy":
                self._add(path, self._carried(origin))
            case "move":
                if path[: len(origin)] == origin and path != origin:
                    _unfit()  # RFC 6902 §4.4: nothing moves into itself
                value = self._carried(origin)
                self._remove(origin)
                self._add(path, value)
            case _:
                if not _is_same(self._at(path), operation["value"]):
                    _unfit()

    def _carried(self, path: _Pointer) -> Any:  # noqa: ANN401 - any JSON value
        """Return a copy of what is at *path*, as long as there is room for it."""
        value = self._at(path)
        self._room -= len(written(value))
        if self._room < 0:
            raise Stopped(TOO_LONG, "the patch copies more than is copied")
        return deepcopy(value)

    def _at(self, path: _Pointer) -> Any:  # noqa: ANN401 - any JSON value
        found: Any = self.resource
        for name in path:
            found = found[_key(found, name)]
        return found

    def _remove(self, path: _Pointer) -> None:
        holder = self._at(path[:-1])
        del holder[_key(holder, path[-1])]

    def _add(self, path: _Pointer, value: Any) -> None:  # noqa: ANN401 - any JSON value
        if len(path) + _depth(value) > DEEPEST:
            raise Stopped(TOO_LONG, "the patch makes something that is nested too deep")
        holder, name = self._at(path[:-1]), path[-1]
        if isinstance(holder, dict):
            holder[name] = value
        elif isinstance(holder, list) and (name == "-" or (_INDEX.fullmatch(name) and int(name) <= len(holder))):
            holder.insert(len(holder) if name == "-" else int(name), value)
        else:
            _unfit()


def _key(holder: Any, name: str) -> Any:  # noqa: ANN401 - what is at the end of a path may be anything
    """Return what *holder* is asked with for what *name* is there."""
    if isinstance(holder, dict) and name in holder:
        return name
    if isinstance(holder, list) and _INDEX.fullmatch(name) and int(name) < len(holder):
        return int(name)
    return _unfit()


def _unfit() -> NoReturn:
    raise Stopped(UNFIT, "the patch does not fit")


def _depth(value: Any) -> int:  # noqa: ANN401 - any JSON value
    """Return how many objects and arrays are in one another; what was read has no more than a few hundred."""
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    return 1 + max(map(_depth, value), default=0) if isinstance(value, list) else 0


def _is_same(one: Any, other: Any) -> bool:  # noqa: ANN401 - any JSON value
    """Say whether two values are equal as JSON has it: numbers by what they are, and no number is a boolean."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_is_same(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_is_same, one, other))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float | Decimal) and isinstance(other, int | float | Decimal):
        return Decimal(str(one)) == Decimal(str(other))
    return bool(one == other)
