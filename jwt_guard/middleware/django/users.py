"""Credentials → request.user, for projects that ask for it: a user of their database, or one that is in none."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.utils.functional import SimpleLazyObject

from .configured import USER, function_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from django.http import HttpRequest

    from ...credentials import Credentials

__all__ = ["GuardedUser", "account_name", "get_or_create_user", "place_user"]

# In no case but one, and without anything that a database may take for something else.
_PLAIN = re.compile(r"[a-z0-9._@+=|-]+")
_PLACED = "jwt_guard.user"
_LONGEST = 150  # of Django's own user names


class GuardedUser:
    """Whoever a good token names, without a database: authenticated, active, and with no permission of Django's."""

    is_authenticated = True
    is_anonymous = False
    is_active = True
    is_staff = False
    is_superuser = False

    def __init__(self, credentials: Credentials) -> None:
        self.credentials = credentials

    @property
    def pk(self) -> str:
        """One text for each user of each provider, and for each machine: fit for keys of caches."""
        return account_name(self.credentials)

    @property
    def id(self) -> str:
        """The same."""
        return self.pk

    @property
    def username(self) -> str:
        """The user as its provider calls it, else the client: not unique where there are several providers."""
        return self.credentials.user or self.credentials.client or ""

    def get_username(self) -> str:
        """Return the same."""
        return self.username

    def has_perm(self, perm: str, obj: object = None) -> bool:  # noqa: ARG002 - as Django calls it
        """Return False: permissions are in Django's database, this user is not."""
        return False

    def has_perms(self, perm_list: Iterable[str], obj: object = None) -> bool:  # noqa: ARG002 - as Django calls it
        """Return False, unless nothing is asked for."""
        return not list(perm_list)

    def has_module_perms(self, app_label: str) -> bool:  # noqa: ARG002 - as Django calls it
        """Return False."""
        return False

    def __str__(self) -> str:
        return self.username

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GuardedUser) and self.pk == other.pk

    def __hash__(self) -> int:
        return hash(self.pk)


def account_name(credentials: Credentials, longest: int = _LONGEST) -> str:
    """Return a name that is one person's of one provider, and no other's: ``shop:ada``, ``shop/batch`` for a machine.

    What a database might take for another name (capitals, accents, what is too long) is a digest behind ``#``.
    None of the three signs may stand in a name that Django's forms let people choose for themselves.
    """
    provider, user, client = credentials.provider, credentials.user, credentials.client
    who, sign = (client or "", "/") if user is None else (user, ":")
    name = f"{provider}{sign}{who}"
    if _PLAIN.fullmatch(provider) and _PLAIN.fullmatch(who) and len(name) <= longest:
        return name
    return "#" + hashlib.sha256(json.dumps([provider, sign, who]).encode()).hexdigest()


def get_or_create_user(credentials: Credentials, request: HttpRequest) -> Any:  # noqa: ANN401, ARG001 - the project's user model; and as it is called
    """Return the user of the database that *credentials* name, made at the first visit: for JWT_GUARD_USER.

    It is found by :func:`account_name` alone, never by an e-mail address or by a name that another provider could
    give to somebody else.  It has no usable password.  A machine is a GuardedUser, in no database.
    Raises PermissionDenied for a user who is not active.
    """
    from django.contrib.auth import get_user_model
    from django.contrib.auth.hashers import make_password

    if credentials.user is None:
        return GuardedUser(credentials)
    model: Any = get_user_model()
    field: str = model.USERNAME_FIELD
    if field == model.get_email_field_name():
        message = f"{USER}: this user model names people by e-mail address, so a function of your own must find them"
        raise ImproperlyConfigured(message)
    name = account_name(credentials, model._meta.get_field(field).max_length or _LONGEST)  # noqa: SLF001 - documented by Django
    user, _ = model._default_manager.get_or_create(**{field: name}, defaults={"password": make_password(None)})  # noqa: SLF001 - documented by Django
    if user.get_username() != name or not user.is_active:
        raise PermissionDenied
    return user


def place_user(request: HttpRequest, credentials: Credentials) -> Any:  # noqa: ANN401 - the project's user model
    """Make ``request.user`` and ``auser()`` what JWT_GUARD_USER finds once somebody asks, and return the first.

    Without that setting do nothing, and return None.
    """
    find = function_of(USER)
    if find is None:
        return None
    on = request.__dict__
    if on.get(_PLACED, (None, None))[0] is not credentials:
        on[_PLACED] = credentials, _once(lambda: find(credentials, request))
    user: Callable[[], Any] = on[_PLACED][1]

    async def auser() -> Any:  # noqa: ANN401 - the project's user model
        return await sync_to_async(user)()

    on["user"], on["auser"] = SimpleLazyObject(user), auser
    return on["user"]


def _once(find: Callable[[], Any]) -> Callable[[], Any]:
    found: list[Any] = []

    def user() -> Any:  # noqa: ANN401 - the project's user model
        if not found:
            from django.contrib.auth.models import AnonymousUser

            answer = find()
            found.append(AnonymousUser() if answer is None else answer)
        return found[0]

    return user
