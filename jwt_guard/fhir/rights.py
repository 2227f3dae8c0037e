"""A token's scopes and its patient, at one server → Rights: which resources its bearer may see, and which change."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .compartment import membership, narrowing
from .matching import is_enforceable, matches

if TYPE_CHECKING:
    from .scopes import Grants, SmartScope
    from .server import Server

__all__ = ["Rights"]


@dataclass(frozen=True, slots=True)
class Rights:
    """What the bearer of one token may do at one server: the union of what its scopes allow."""

    server: Server
    grants: Grants
    patient: str | None = field(default=None, repr=False)
    """The id of the patient in context; None: there is none, and so ``patient/`` scopes allow nothing."""
    bearer: str = field(default="", repr=False)
    """A text that is the same for two tokens of one provider, user, client, patient and scopes, and for no others."""
    _known: dict[tuple[str, str], tuple[SmartScope, ...]] = field(
        default_factory=dict[tuple[str, str], "tuple[SmartScope, ...]"], init=False, repr=False, compare=False
    )
    """What was found to apply, by type and letter: each entry of a page asks again."""

    def applying(self, resource_type: str, letter: str) -> tuple[SmartScope, ...]:
        """Return the scopes that allow *letter*, one of ``c r u d s``, on *resource_type*; empty: nothing does.

        One that is not of a patient and has no parameters is returned alone, since it allows all that the others do.
        Otherwise a resource must meet one of them, whichever.  The type ``*`` asks for scopes for every type.
        """
        known = self._known.get((resource_type, letter))
        if known is None:
            known = self._found(resource_type, letter)
            if known:  # so that there are no more than there are types
                self._known[resource_type, letter] = known
        return known

    def _found(self, resource_type: str, letter: str) -> tuple[SmartScope, ...]:
        of_people = self._applying("user", resource_type, letter) + self._applying("system", resource_type, letter)
        whole = next((scope for scope in of_people if not scope.parameters), None)
        if whole is not None:
            return (whole,)
        of_patient = () if self.patient is None else self._applying("patient", resource_type, letter)
        return of_people + of_patient

    def _applying(self, context: Any, resource_type: str, letter: str) -> tuple[SmartScope, ...]:  # noqa: ANN401
        release = self.server.release
        found = self.grants.applying(resource_type, letter, context)
        return tuple(scope for scope in found if is_enforceable(scope, resource_type, release))

    def may(self, resource_type: str, letter: str) -> bool:
        """Say whether *letter* is allowed on some resource of *resource_type*, at least."""
        return bool(self.applying(resource_type, letter))

    def whole(self, resource_type: str, letter: str) -> bool:
        """Say whether *letter* is allowed on every resource of *resource_type*, so that none has to be looked at."""
        scopes = self.applying(resource_type, letter)
        return any(scope.context != "patient" and not scope.parameters for scope in scopes)

    def sees(self, resource: object, letter: str) -> bool:
        """Say whether *letter* is allowed on *resource*, as its JSON was read and as the server keeps it.

        A new resource is asked about with ``c``; one in ``contained`` is nothing that this could be asked about.
        """
        kind = resource.get("resourceType") if isinstance(resource, dict) else None
        if not isinstance(kind, str) or not isinstance(resource, dict):
            return False
        belongs: bool | None = None  # said once for all scopes
        for scope in self.applying(kind, letter):
            if scope.context == "patient":
                belongs = self._belongs(kind, resource, letter) if belongs is None else belongs
                if not belongs:
                    continue
            if not scope.parameters or self._meets(scope, resource, letter):
                return True
        return False

    def could_see(self, resource_type: str, letter: str) -> bool:
        """Say whether *letter* could be allowed on some resource of *resource_type*, whatever there is of it.

        Under patients' scopes alone it is not where no patient has any, and no patient makes or removes a Patient.
        """
        server, scopes = self.server, self.applying(resource_type, letter)
        if any(scope.context != "patient" for scope in scopes):
            return True
        if resource_type in server.shared_types or (resource_type == "Patient" and letter in "cd"):
            return bool(scopes) and letter in "rs"
        return bool(scopes) and narrowing(resource_type, server.release) is not None

    def sees_anybodys(self, resource: dict[str, Any], letter: str) -> bool:
        """Say whether *letter* is allowed on *resource* whosever it is: by a scope that is not of a patient."""
        return any(
            scope.context != "patient" and (not scope.parameters or self._meets(scope, resource, letter))
            for scope in self.applying(str(resource.get("resourceType")), letter)
        )

    def _meets(self, scope: SmartScope, resource: dict[str, Any], letter: str) -> bool:
        if letter == "c":
            # The server writes an origin itself into what it creates (Koppeltaal 2.0), and gives it an id of its own.
            if scope.origins is not None:
                return True
            resource = {name: value for name, value in resource.items() if name != "id"}
        return matches(resource, scope, self.server.bases, self.server.release)

    def _belongs(self, kind: str, resource: dict[str, Any], letter: str) -> bool:
        server, patient = self.server, self.patient or ""
        if kind in server.shared_types:
            return letter in "rs"
        # Who creates a Patient is given another one than the token is about.
        if kind == "Patient" and letter in "cd":
            return False
        follows = server.follow_patient_links and letter in "rs"
        return membership(resource, patient, server.bases, release=server.release, follow_patient_links=follows)
