"""A release of FHIR → per resource type, the elements that put a resource into a patient's compartment."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["TABLES", "Nominated", "Release"]

Release: TypeAlias = Literal["R4", "R4B", "R5"]
"""FHIR 4.0.1, 4.3.0 or 5.0.0."""


class Nominated(NamedTuple):
    """The elements of one type that its CompartmentDefinition's parameters are about, and the best way to ask for them.

    An element is a path of names as they are in JSON, with a star after each that is an array there.
    """

    parameter: str
    """The one search parameter to ask with."""
    asked: str
    """The elements that it finds, divided by blanks."""
    missed: str = ""
    """The elements that make a member all the same, and that it does not find."""


# Where a type has both, the parameter is `patient` and not `subject`: it has no other targets to mix up.
_R4 = {
    "Account": Nominated("patient", "subject*"),
    "AdverseEvent": Nominated("subject", "subject"),
    "AllergyIntolerance": Nominated("patient", "patient", "asserter recorder"),
    "Appointment": Nominated("patient", "participant*.actor"),
    "AppointmentResponse": Nominated("patient", "actor"),
    "AuditEvent": Nominated("patient", "agent*.who entity*.what"),
    "Basic": Nominated("patient", "subject", "author"),
    "BodyStructure": Nominated("patient", "patient"),
    "CarePlan": Nominated("patient", "subject", "activity*.detail.performer*"),
    "CareTeam": Nominated("patient", "subject", "participant*.member"),
    "ChargeItem": Nominated("patient", "subject"),
    "Claim": Nominated("patient", "patient", "payee.party"),
    "ClaimResponse": Nominated("patient", "patient"),
    "ClinicalImpression": Nominated("patient", "subject"),
    "Communication": Nominated("patient", "subject", "recipient* sender"),
    "CommunicationRequest": Nominated("patient", "subject", "recipient* requester sender"),
    "Composition": Nominated("patient", "subject", "attester*.party author*"),
    "Condition": Nominated("patient", "subject", "asserter"),
    "Consent": Nominated("patient", "patient"),
    "Coverage": Nominated("patient", "beneficiary", "payor* policyHolder subscriber"),
    "CoverageEligibilityRequest": Nominated("patient", "patient"),
    "CoverageEligibilityResponse": Nominated("patient", "patient"),
    "DetectedIssue": Nominated("patient", "patient"),
    "DeviceRequest": Nominated("patient", "subject", "performer"),
    "DeviceUseStatement": Nominated("patient", "subject"),
    "DiagnosticReport": Nominated("patient", "subject"),
    "DocumentManifest": Nominated("patient", "subject", "author* recipient*"),
    "DocumentReference": Nominated("patient", "subject", "author*"),
    "Encounter": Nominated("patient", "subject"),
    "EnrollmentRequest": Nominated("patient", "candidate"),
    "EpisodeOfCare": Nominated("patient", "patient"),
    "ExplanationOfBenefit": Nominated("patient", "patient", "payee.party"),
    "FamilyMemberHistory": Nominated("patient", "patient"),
    "Flag": Nominated("patient", "subject"),
    "Goal": Nominated("patient", "subject"),
    "Group": Nominated("member", "member*.entity"),
    "ImagingStudy": Nominated("patient", "subject"),
    "Immunization": Nominated("patient", "patient"),
    "ImmunizationEvaluation": Nominated("patient", "patient"),
    "ImmunizationRecommendation": Nominated("patient", "patient"),
    "Invoice": Nominated("patient", "subject", "recipient"),
    "List": Nominated("patient", "subject", "source"),
    "MeasureReport": Nominated("patient", "subject"),
    "Media": Nominated("patient", "subject"),
    "MedicationAdministration": Nominated("patient", "subject", "performer*.actor"),
    "MedicationDispense": Nominated("patient", "subject", "receiver*"),
    "MedicationRequest": Nominated("patient", "subject"),
    "MedicationStatement": Nominated("patient", "subject"),
    "MolecularSequence": Nominated("patient", "patient"),
    "NutritionOrder": Nominated("patient", "patient"),
    "Observation": Nominated("patient", "subject", "performer*"),
    "Patient": Nominated("_id", "", "link*.other"),
    "Person": Nominated("patient", "link*.target"),
    "Procedure": Nominated("patient", "subject", "performer*.actor"),
    "Provenance": Nominated("patient", "target*"),
    "QuestionnaireResponse": Nominated("patient", "subject", "author"),
    "RelatedPerson": Nominated("patient", "patient"),
    "RequestGroup": Nominated("patient", "subject", "action*.participant*"),
    "ResearchSubject": Nominated("patient", "individual"),
    "RiskAssessment": Nominated("patient", "subject"),
    "Schedule": Nominated("actor", "actor*"),
    "ServiceRequest": Nominated("patient", "subject", "performer*"),
    "Specimen": Nominated("patient", "subject"),
    "SupplyDelivery": Nominated("patient", "patient"),
    "SupplyRequest": Nominated("subject", "deliverTo"),  # R5 has a `patient`, which is about `deliverFor`
    "VisionPrescription": Nominated("patient", "patient"),
}

# Types that R5 has no more.
_GONE_IN_R5 = frozenset({"DeviceUseStatement", "DocumentManifest", "Media", "RequestGroup"})
# Types that are new among the members, or that nominate other elements than before.
_CHANGED_IN_R5 = {
    "AdverseEvent": Nominated("patient", "subject"),
    "AllergyIntolerance": Nominated("patient", "patient", "participant*.actor"),
    "Appointment": Nominated(
        "actor", "participant*.actor"
    ),  # its `patient` also finds by a `subject` that does not count
    "AuditEvent": Nominated("patient", "patient"),
    "BiologicallyDerivedProductDispense": Nominated("patient", "patient"),
    "CarePlan": Nominated("patient", "subject"),
    "CommunicationRequest": Nominated("patient", "subject", "informationProvider* recipient* requester"),
    "Composition": Nominated("patient", "subject*", "attester*.party author*"),
    "Condition": Nominated("patient", "subject", "participant*.actor"),
    "Consent": Nominated("patient", "subject"),
    "Contract": Nominated("patient", "subject*"),
    "Coverage": Nominated("patient", "beneficiary", "paymentBy*.party policyHolder subscriber"),
    "DetectedIssue": Nominated("patient", "subject"),
    "DeviceAssociation": Nominated("patient", "subject", "operation*.operator*"),
    "DeviceRequest": Nominated("patient", "subject", "performer.reference"),
    "DeviceUsage": Nominated("patient", "patient"),
    "EncounterHistory": Nominated("patient", "subject"),
    "GenomicStudy": Nominated("patient", "subject"),
    "GuidanceResponse": Nominated("patient", "subject"),
    "ImagingSelection": Nominated("patient", "subject"),
    "List": Nominated("patient", "subject*", "source"),
    "MedicationAdministration": Nominated("patient", "subject"),
    "MolecularSequence": Nominated("patient", "subject"),
    "NutritionIntake": Nominated("patient", "subject", "reportedReference"),
    "NutritionOrder": Nominated("patient", "subject"),
    "Provenance": Nominated("patient", "patient"),
    "RequestOrchestration": Nominated("patient", "subject", "action*.participant*.actorReference"),
    "ResearchSubject": Nominated("patient", "subject"),
    "Task": Nominated("patient", "for", "focus"),
}
_R5 = {name: row for name, row in _R4.items() if name not in _GONE_IN_R5} | _CHANGED_IN_R5

TABLES: Mapping[Release, Mapping[str, Nominated]] = MappingProxyType(
    {"R4": MappingProxyType(_R4), "R4B": MappingProxyType(_R4), "R5": MappingProxyType(_R5)}
)
"""The types that can be in a patient's compartment, by release; R4B's definition is R4's to the letter."""
