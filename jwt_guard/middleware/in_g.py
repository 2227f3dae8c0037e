"""The class of ``g`` → one that knows the credentials: Flask's, and Quart's, which is like it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..credentials import CURRENT

if TYPE_CHECKING:
    from ..credentials import Credentials

__all__ = ["with_credentials"]

_NAME = "credentials"  # of the attribute of g


class _Current:
    """``g.credentials``: whoever :func:`jwt_guard.current` tells, looked up when somebody asks."""

    def __get__(self, _g: object, _kind: type[Any] | None = None) -> Credentials | None:
        return CURRENT.get()


def with_credentials(globals_class: type[Any]) -> type[Any]:
    """Return the class of ``g`` that knows the credentials, also where it is asked in its other ways."""

    class Globals(globals_class):  # type: ignore[misc]  # it may be the application's own
        credentials = _Current()

        def __contains__(self, name: str) -> bool:
            return name == _NAME or super().__contains__(name)

        def get(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - as the framework has it
            return getattr(self, name, default)

    return Globals
