"""Two made-up patients and what is known of them; three apps; what each asks for, and what it is to see of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

__all__ = ["APPS", "RECORDS", "ROWS", "App", "Row"]

_CATEGORY: Final = "http://terminology.hl7.org/CodeSystem/observation-category"


@dataclass(frozen=True, slots=True)
class App:
    """Who asks."""

    name: str
    scope: str | None
    """What its token has; None: it has no token."""
    patient: str | None = None


APPS: Final = (
    App("portal", "patient/*.rs", "ann"),
    App("lab viewer", f"patient/Observation.rs?category={_CATEGORY}|laboratory", "ann"),
    App("night job", "system/Observation.rs"),
    App("nobody", None),
)


class Row(NamedTuple):
    """One request, and what each of the apps gets: the resource, how many of whom, or the status that says no."""

    method: str
    target: str
    expected: tuple[str, str, str, str]
    body: dict[str, Any] | None = None


def _observation(id_: str, patient: str, category: str, text: str) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": id_,
        "status": "final",
        "category": [{"coding": [{"system": _CATEGORY, "code": category}]}],
        "code": {"text": text},
        "subject": {"reference": f"Patient/{patient}"},
    }


def _condition(id_: str, patient: str, text: str) -> dict[str, Any]:
    subject = {"reference": f"Patient/{patient}"}
    return {"resourceType": "Condition", "id": id_, "code": {"text": text}, "subject": subject}


_PULSE: Final = _observation("ann-pulse", "ann", "vital-signs", "pulse")
RECORDS: Final = (
    {"resourceType": "Patient", "id": "ann", "name": [{"family": "Archer", "given": ["Ann"]}]},
    {"resourceType": "Patient", "id": "bob", "name": [{"family": "Baker", "given": ["Bob"]}]},
    _observation("ann-glucose", "ann", "laboratory", "glucose"),
    _PULSE,
    _observation("bob-glucose", "bob", "laboratory", "glucose"),
    _condition("ann-asthma", "ann", "asthma"),
    _condition("bob-gout", "bob", "gout"),
)

ROWS: Final = (
    Row("GET", "/Patient/ann", ("seen", "403", "403", "401")),
    Row("GET", "/Patient/bob", ("404", "403", "403", "401")),
    Row("GET", "/Observation/ann-glucose", ("seen", "seen", "seen", "401")),
    Row("GET", "/Observation/ann-pulse", ("seen", "404", "seen", "401")),
    Row("GET", "/Observation/bob-glucose", ("404", "404", "seen", "401")),
    Row("GET", "/Condition", ("1 of ann", "403", "403", "401")),
    Row("GET", "/Observation", ("2 of ann", "1 of ann", "2 of ann, 1 of bob", "401")),
    Row("GET", "/Observation?patient=bob", ("none", "none", "1 of bob", "401")),
    Row("GET", "/Observation?code:text=glucose", ("1 of ann", "1 of ann", "1 of ann, 1 of bob", "401")),
    Row("GET", "/Patient?_has:Observation:patient:code=x", ("400", "403", "403", "401")),
    Row("GET", "/Patient/ann/$everything", ("4 of ann", "403", "403", "401")),
    Row("PUT", "/Observation/ann-pulse", ("403", "403", "403", "401"), _PULSE),
    Row("DELETE", "/Observation/bob-glucose", ("403", "403", "403", "401")),
    Row("GET", "/metadata", ("seen", "seen", "seen", "seen")),
)
