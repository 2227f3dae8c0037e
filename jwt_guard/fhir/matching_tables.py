"""A release of FHIR → per resource type, its search parameters and the elements that each is about.

A paragraph is of one type.  In it, after the kind of the elements, stand the parameters about elements of that kind:

- ``category*``: the parameter ``category`` is about the element ``category``, an array, as the star says;
- ``has-member*``: the element is called ``hasMember``;
- ``combo-code=code,component*.code``: it is about two elements, each being a path of names as they are in JSON;
- ``patient=subject(Patient)``: it is about those references alone that are to a Patient.

The kinds are FHIR's data types: ``concept`` is a CodeableConcept, ``contact`` a ContactPoint, ``text`` all that is a
string in JSON and that is searched as a token.  Under ``other`` stand parameters that are known by their names alone:
dates, strings, numbers, quantities and composites, and those whose expressions are more than paths.  Parameters of the
kind "special" are left out, since their answers depend on more than the resource.
(hl7.org/fhir/R4/searchparameter-registry.html, and the same of R4B and R5)
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from .matching_tables_r5 import CHANGED_IN_R5, GONE_IN_R5

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .compartment_tables import Release

__all__ = ["OF_EVERY_TYPE", "PARAMETERS"]

OF_EVERY_TYPE = """
    text: _id=id coding: _security=meta.security* _tag=meta.tag* uri: _profile=meta.profile* _source=meta.source
    other: _lastUpdated
"""
"""The parameters that every type has, in every release, and that say what a resource is like."""

_R4 = """
Account
    concept: type identifier: identifier* text: status
    reference: owner(Organization) patient=subject*(Patient) subject* other: name period
ActivityDefinition
    concept: context=useContext*.valueCodeableConcept jurisdiction* topic* coding: context-type=useContext*.code
    identifier: identifier* text: status version uri: url
    other: composed-of context-quantity context-type-quantity context-type-value date depends-on derived-from
        description effective name predecessor publisher successor title
AdverseEvent
    concept: category* event seriousness severity text: actuality
    reference: location(Location) recorder resultingcondition=resultingCondition*(Condition) study*(ResearchStudy)
        subject substance=suspectEntity*.instance
    other: date
AllergyIntolerance
    concept: clinical-status code=code,reaction*.substance manifestation=reaction*.manifestation*
        route=reaction*.exposureRoute verification-status
    identifier: identifier* text: category* criticality severity=reaction*.severity type
    reference: asserter patient(Patient) recorder other: date last-date onset
Appointment
    concept: appointment-type reason-code* service-category* service-type* specialty* identifier: identifier*
    text: part-status=participant*.status status
    reference: actor=participant*.actor based-on*(ServiceRequest) location=participant*.actor(Location)
        patient=participant*.actor(Patient) practitioner=participant*.actor(Practitioner) reason-reference*
        slot*(Slot) supporting-info=supportingInformation*
    other: date
AppointmentResponse
    identifier: identifier* text: part-status=participantStatus
    reference: actor appointment(Appointment) location=actor(Location) patient=actor(Patient)
        practitioner=actor(Practitioner)
AuditEvent
    concept: agent-role=agent*.role* coding: entity-role=entity*.role entity-type=entity*.type subtype* type
    text: action altid=agent*.altId outcome site=source.site
    reference: agent=agent*.who entity=entity*.what patient=agent*.who(Patient),entity*.what(Patient)
        source=source.observer
    uri: policy=agent*.policy* other: address agent-name date entity-name
Basic
    concept: code identifier: identifier* reference: author patient=subject(Patient) subject other: created
BodyStructure
    concept: location morphology identifier: identifier* reference: patient(Patient)
Bundle
    identifier: identifier text: type other: composition message timestamp
CapabilityStatement
    concept: context=useContext*.valueCodeableConcept jurisdiction* security-service=rest*.security.service*
    coding: context-type=useContext*.code
    text: fhirversion=version format* mode=rest*.mode resource=rest*.resource*.type status version
    canonical: guide=implementationGuide* resource-profile=rest*.resource*.profile
        supported-profile=rest*.resource*.supportedProfile*
    uri: url
    other: context-quantity context-type-quantity context-type-value date description name publisher software title
CarePlan
    concept: activity-code=activity*.detail.code category* identifier: identifier* text: intent status
    reference: activity-reference=activity*.reference based-on*(CarePlan) care-team*(CareTeam)
        condition=addresses*(Condition) encounter(Encounter) goal*(Goal) part-of*(CarePlan) patient=subject(Patient)
        performer=activity*.detail.performer* replaces*(CarePlan) subject
    canonical: instantiates-canonical* uri: instantiates-uri* other: activity-date date
CareTeam
    concept: category* identifier: identifier* text: status
    reference: encounter(Encounter) participant=participant*.member patient=subject(Patient) subject other: date
ChargeItem
    concept: code performer-function=performer*.function identifier: identifier*
    reference: account*(Account) context enterer patient=subject(Patient) performer-actor=performer*.actor
        performing-organization(Organization) requesting-organization(Organization) service* subject
    other: entered-date factor-override occurrence price-override quantity
ChargeItemDefinition
    concept: context=useContext*.valueCodeableConcept jurisdiction* coding: context-type=useContext*.code
    identifier: identifier* text: status version uri: url
    other: context-quantity context-type-quantity context-type-value date description effective publisher title
Claim
    concept: priority identifier: identifier* text: status use
    reference: care-team=careTeam*.provider detail-udi=item*.detail*.udi*(Device)
        encounter=item*.encounter*(Encounter) enterer facility(Location) insurer(Organization)
        item-udi=item*.udi*(Device) patient(Patient) payee=payee.party procedure-udi=procedure*.udi*(Device) provider
        subdetail-udi=item*.detail*.subDetail*.udi*(Device)
    other: created
ClaimResponse
    identifier: identifier* text: outcome status use
    reference: insurer(Organization) patient(Patient) request(Claim) requestor other: created disposition payment-date
ClinicalImpression
    concept: finding-code=finding*.itemCodeableConcept identifier: identifier* text: status
    reference: assessor encounter(Encounter) finding-ref=finding*.itemReference investigation=investigation*.item*
        patient=subject(Patient) previous(ClinicalImpression) problem* subject supporting-info*
    other: date
CodeSystem
    concept: context=useContext*.valueCodeableConcept jurisdiction* coding: context-type=useContext*.code
    identifier: identifier*
    text: code=concept*.code content-mode=content language=concept*.designation*.language status version
    canonical: supplements uri: system=url url
    other: context-quantity context-type-quantity context-type-value date description name publisher title
Communication
    concept: category* medium* identifier: identifier* text: status
    reference: based-on* encounter(Encounter) part-of* patient=subject(Patient) recipient* sender subject
    canonical: instantiates-canonical* uri: instantiates-uri* other: received sent
CommunicationRequest
    concept: category* medium* identifier: group-identifier identifier* text: priority status
    reference: based-on* encounter(Encounter) patient=subject(Patient) recipient* replaces*(CommunicationRequest)
        requester sender subject
    other: authored occurrence
CompartmentDefinition
    concept: context=useContext*.valueCodeableConcept coding: context-type=useContext*.code
    text: code resource=resource*.code status version uri: url
    other: context-quantity context-type-quantity context-type-value date description name publisher
Composition
    concept: category* context=event*.code* section=section*.code type
    identifier: identifier related-id=relatesTo*.targetIdentifier text: confidentiality status
    reference: attester=attester*.party author* encounter(Encounter) entry=section*.entry* patient=subject(Patient)
        related-ref=relatesTo*.targetReference(Composition) subject
    other: date period title
ConceptMap
    concept: context=useContext*.valueCodeableConcept jurisdiction* coding: context-type=useContext*.code
    identifier: identifier
    text: source-code=group*.element*.code status target-code=group*.element*.target*.code version
    canonical: other=group*.unmapped.url source=sourceCanonical target=targetCanonical
    uri: dependson=group*.element*.target*.dependsOn*.property product=group*.element*.target*.product*.property
        source-system=group*.source source-uri target-system=group*.target target-uri url
    other: context-quantity context-type-quantity context-type-value date description name publisher title
Condition
    concept: body-site* category* clinical-status code evidence=evidence*.code* severity stage=stage*.summary
        verification-status
    identifier: identifier*
    reference: asserter encounter(Encounter) evidence-detail=evidence*.detail* patient=subject(Patient) subject
    other: abatement-age abatement-date abatement-string onset-age onset-date onset-info recorded-date
Consent
    concept: action=provision.action* category* scope
    coding: purpose=provision.purpose* security-label=provision.securityLabel* identifier: identifier* text: status
    reference: actor=provision.actor*.reference consentor=performer* data=provision.data*.reference
        organization*(Organization) patient(Patient)
    other: date period source-reference
Contract
    identifier: identifier* text: status
    reference: authority*(Organization) domain*(Location) patient=subject*(Patient) signer=signer*.party subject*
    uri: instantiates=instantiatesUri url other: issued
Coverage
    concept: class-type=class*.type type identifier: identifier* text: status
    reference: beneficiary(Patient) patient=beneficiary(Patient) payor* policy-holder subscriber
    other: class-value dependent
CoverageEligibilityRequest
    identifier: identifier* text: status reference: enterer facility(Location) patient(Patient) provider
    other: created
CoverageEligibilityResponse
    identifier: identifier* text: outcome status
    reference: insurer(Organization) patient(Patient) request(CoverageEligibilityRequest) requestor
    other: created disposition
DetectedIssue
    concept: code identifier: identifier* reference: author implicated* patient(Patient) other: identified
Device
    concept: type identifier: identifier* text: status
    reference: location(Location) organization=owner(Organization) patient(Patient) uri: url
    other: device-name manufacturer model udi-carrier udi-di
DeviceDefinition
    concept: type identifier: identifier* reference: parent=parentDevice(DeviceDefinition)
DeviceMetric
    concept: type identifier: identifier* text: category reference: parent(Device) source(Device)
DeviceRequest
    concept: code=codeCodeableConcept identifier: group-identifier identifier* text: intent status
    reference: based-on* device=codeReference(Device) encounter(Encounter) insurance* patient=subject(Patient)
        performer prior-request* requester subject
    canonical: instantiates-canonical* uri: instantiates-uri* other: authored-on event-date
DeviceUseStatement
    identifier: identifier* reference: device(Device) patient=subject subject
DiagnosticReport
    concept: category* code conclusion=conclusionCode* identifier: identifier* text: status
    reference: based-on* encounter(Encounter) media=media*.link(Media) patient=subject(Patient) performer*
        result*(Observation) results-interpreter* specimen*(Specimen) subject
    other: date issued
DocumentManifest
    concept: type identifier: identifier=identifier*,masterIdentifier related-id=related*.identifier text: status
    reference: author* item=content* patient=subject(Patient) recipient* related-ref=related*.ref subject uri: source
    other: created description
DocumentReference
    concept: category* event=context.event* facility=context.facilityType security-label*
        setting=context.practiceSetting type
    coding: format=content*.format identifier: identifier=identifier*,masterIdentifier
    text: contenttype=content*.attachment.contentType language=content*.attachment.language relation=relatesTo*.code
        status
    reference: authenticator author* custodian(Organization) encounter=context.encounter* patient=subject(Patient)
        related=context.related* relatesto=relatesTo*.target(DocumentReference) subject
    uri: location=content*.attachment.url other: date description period relationship
EffectEvidenceSynthesis
    concept: context=useContext*.valueCodeableConcept jurisdiction* coding: context-type=useContext*.code
    identifier: identifier* text: status version uri: url
    other: context-quantity context-type-quantity context-type-value date description effective name publisher title
Encounter
    concept: participant-type=participant*.type* reason-code* special-arrangement=hospitalization.specialArrangement*
        type*
    coding: class identifier: identifier* text: status
    reference: account*(Account) appointment*(Appointment) based-on*(ServiceRequest) diagnosis=diagnosis*.condition
        episode-of-care*(EpisodeOfCare) location=location*.location(Location) part-of(Encounter)
        participant=participant*.individual patient=subject(Patient)
        practitioner=participant*.individual(Practitioner) reason-reference* service-provider(Organization) subject
    other: date length location-period
Endpoint
    concept: payload-type* coding: connection-type identifier: identifier* text: status
    reference: organization=managingOrganization(Organization) other: name
EnrollmentRequest
    identifier: identifier* text: status reference: patient=candidate(Patient) subject=candidate(Patient)
EnrollmentResponse
    identifier: identifier* text: status reference: request(EnrollmentRequest)
EpisodeOfCare
    concept: type* identifier: identifier* text: status
    reference: care-manager(Practitioner) condition=diagnosis*.condition(Condition)
        incoming-referral=referralRequest*(ServiceRequest) organization=managingOrganization(Organization)
        patient(Patient)
    other: date
EventDefinition
    concept: context=useContext*.valueCodeableConcept jurisdiction* topic* coding: context-type=useContext*.code
    identifier: identifier* text: status version uri: url
    other: composed-of context-quantity context-type-quantity context-type-value date depends-on derived-from
        description effective name predecessor publisher successor title
Evidence
    concept: context=useContext*.valueCodeableConcept jurisdiction* topic* coding: context-type=useContext*.code
    identifier: identifier* text: status version uri: url
    other: composed-of context-quantity context-type-quantity context-type-value date depends-on derived-from
        description effective name predecessor publisher successor title
EvidenceVariable
    concept: context=useContext*.valueCodeableConcept jurisdiction* topic* coding: context-type=useContext*.code
    identifier: identifier* text: status version uri: url
    other: composed-of context-quantity context-type-quantity context-type-value date depends-on derived-from
        description effective name predecessor publisher successor title
ExampleScenario
    concept: context=useContext*.valueCodeableConcept jurisdiction* coding: context-type=useContext*.code
    identifier: identifier* text: status version uri: url
    other: context-quantity context-type-quantity context-type-value date name publisher
ExplanationOfBenefit
    identifier: identifier* text: status
    reference: care-team=careTeam*.provider claim(Claim) coverage=insurance*.coverage(Coverage)
        detail-udi=item*.detail*.udi*(Device) encounter=item*.encounter*(Encounter) enterer facility(Location)
        item-udi=item*.udi*(Device) patient(Patient) payee=payee.party procedure-udi=procedure*.udi*(Device) provider
        subdetail-udi=item*.detail*.subDetail*.udi*(Device)
    other: created disposition
FamilyMemberHistory
    concept: code=condition*.code relationship sex identifier: identifier* text: status reference: patient(Patient)
    canonical: instantiates-canonical* uri: instantiates-uri* other: date
Flag
    identifier: identifier* reference: author encounter(Encounter) patient=subject(Patient) subject other: date
Goal
    concept: achievement-status category* identifier: identifier* text: lifecycle-status
    reference: patient=subject(Patient) subject other: start-date target-date
GraphDefinition
    concept: context=useContext*.valueCodeableConcept jurisdiction* coding: context-type=useContext*.code
    text: start status version uri: url
    other: context-quantity context-type-quantity context-type-value date description name publisher
Group
    concept: characteristic=characteristic*.code code value=characteristic*.valueCodeableConcept
    identifier: identifier* text: type
    boolean: actual exclude=characteristic*.exclude value=characteristic*.valueBoolean
    reference: managing-entity member=member*.entity other: characteristic-value
GuidanceResponse
    identifier: identifier* request=requestIdentifier reference: patient=subject(Patient) subject
HealthcareService
    concept: characteristic* program* service-category=category* service-type=type* specialty* identifier: identifier*
    boolean: active
    reference: coverage-area*(Location) endpoint*(Endpoint) location*(Location) organization=providedBy(Organization)
    other: name
ImagingStudy
    concept: reason=reasonCode*
    coding: bodysite=series*.bodySite dicom-class=series*.instance*.sopClass modality=series*.modality
    identifier: identifier* text: instance=series*.instance*.uid series=series*.uid status
    reference: basedon=basedOn* encounter(Encounter) endpoint=endpoint*(Endpoint),series*.endpoint*(Endpoint)
        interpreter* patient=subject(Patient) performer=series*.performer*.actor referrer subject
    other: started
Immunization
    concept: reason-code* status-reason target-disease=protocolApplied*.targetDisease* vaccine-code
    identifier: identifier* text: status
    reference: location(Location) manufacturer(Organization) patient(Patient) performer=performer*.actor
        reaction=reaction*.detail(Observation) reason-reference*
    other: date lot-number reaction-date series
ImmunizationEvaluation
    concept: dose-status target-disease identifier: identifier* text: status
    reference: immunization-event(Immunization) patient(Patient) other: date
ImmunizationRecommendation
    concept: status=recommendation*.forecastStatus target-disease=recommendation*.targetDisease
        vaccine-type=recommendation*.vaccineCode*
    identifier: identifier*
    reference: information=recommendation*.supportingPatientInformation* patient(Patient)
        support=recommendation*.supportingImmunization*
    other: date
ImplementationGuide
    concept: context=useContext*.valueCodeableConcept jurisdiction* coding: context-type=useContext*.code
    text: status version boolean: experimental reference: resource=definition.resource*.reference
    canonical: depends-on=dependsOn*.uri global=global*.profile uri: url
    other: context-quantity context-type-quantity context-type-value date description name publisher title
InsurancePlan
    concept: type* identifier: identifier* text: address-use=contact*.address.use status
    reference: administered-by(Organization) endpoint*(Endpoint) owned-by(Organization)
    other: address address-city address-country address-postalcode address-state name phonetic
Invoice
    concept: participant-role=participant*.role type identifier: identifier* text: status
    reference: account(Account) issuer(Organization) participant=participant*.actor patient=subject(Patient) recipient
        subject
    other: date totalgross totalnet
Library
    concept: context=useContext*.valueCodeableConcept jurisdiction* topic* type coding: context-type=useContext*.code
    identifier: identifier* text: content-type=content*.contentType status version uri: url
    other: composed-of context-quantity context-type-quantity context-type-value date depends-on derived-from
        description effective name predecessor publisher successor title
Linkage
    reference: author item=item*.resource source=item*.resource
List
    concept: code empty-reason identifier: identifier* text: status
    reference: encounter(Encounter) item=entry*.item patient=subject(Patient) source subject other: date notes title
Location
    concept: type* coding: operational-status identifier: identifier* text: address-use=address.use status
    reference: endpoint*(Endpoint) organization=managingOrganization(Organization) partof=partOf(Location)
    other: address address-city address-country address-postalcode address-state name
Measure
    concept: context=useContext*.valueCodeableConcept jurisdiction* topic* coding: context-type=useContext*.code
    identifier: identifier* text: status version uri: url
    other: composed-of context-quantity context-type-quantity context-type-value date depends-on derived-from
        description effective name predecessor publisher successor title
MeasureReport
    identifier: identifier* text: status reference: evaluated-resource* patient=subject(Patient) reporter subject
    canonical: measure other: date period
Media
    concept: modality site=bodySite type view identifier: identifier* text: status
    reference: based-on* device encounter(Encounter) operator patient=subject(Patient) subject other: created
Medication
    concept: code form ingredient-code=ingredient*.itemCodeableConcept identifier: identifier*
    text: lot-number=batch.lotNumber status reference: ingredient=ingredient*.itemReference manufacturer(Organization)
    other: expiration-date
MedicationAdministration
    concept: code=medicationCodeableConcept reason-given=reasonCode* reason-not-given=statusReason*
    identifier: identifier* text: status
    reference: context device*(Device) medication=medicationReference(Medication) patient=subject(Patient)
        performer=performer*.actor request(MedicationRequest) subject
    other: effective-time
MedicationDispense
    concept: code=medicationCodeableConcept type identifier: identifier* text: status
    reference: context destination(Location) medication=medicationReference(Medication) patient=subject(Patient)
        performer=performer*.actor prescription=authorizingPrescription*(MedicationRequest) receiver*
        responsibleparty=substitution.responsibleParty* subject
    other: whenhandedover whenprepared
MedicationKnowledge
    concept: classification=medicineClassification*.classification* classification-type=medicineClassification*.type
        code doseform=doseForm ingredient-code=ingredient*.itemCodeableConcept
        monitoring-program-type=monitoringProgram*.type monograph-type=monograph*.type
    text: monitoring-program-name=monitoringProgram*.name source-cost=cost*.source status
    reference: ingredient=ingredient*.itemReference(Substance) manufacturer(Organization) monograph=monograph*.source
MedicationRequest
    concept: category* code=medicationCodeableConcept intended-performertype=performerType identifier: identifier*
    text: intent priority status
    reference: encounter(Encounter) intended-dispenser=dispenseRequest.performer(Organization)
        intended-performer=performer medication=medicationReference(Medication) patient=subject(Patient) requester
        subject
    other: authoredon date
MedicationStatement
    concept: category code=medicationCodeableConcept identifier: identifier* text: status
    reference: context medication=medicationReference(Medication) part-of* patient=subject(Patient)
        source=informationSource subject
    other: effective
MedicinalProduct
    concept: name-language=name*.countryLanguage*.language identifier: identifier* other: name
MedicinalProductAuthorization
    concept: country* status identifier: identifier* reference: holder(Organization) subject
MedicinalProductContraindication
    reference: subject*
MedicinalProductIndication
    reference: subject*
MedicinalProductInteraction
    reference: subject*
MedicinalProductPackaged
    identifier: identifier* reference: subject*(MedicinalProduct)
MedicinalProductPharmaceutical
    concept: route=routeOfAdministration*.code target-species=routeOfAdministration*.targetSpecies*.code
    identifier: identifier*
MedicinalProductUndesirableEffect
    reference: subject*
MessageDefinition
    concept: context=useContext*.valueCodeableConcept jurisdiction*
    coding: context-type=useContext*.code event=eventCoding identifier: identifier*
    text: category event=eventUri focus=focus*.code status version canonical: parent* uri: url
    other: context-quantity context-type-quantity context-type-value date description name publisher title
MessageHeader
    coding: event=eventCoding text: code=response.code event=eventUri response-id=response.identifier
    reference: author enterer focus* receiver=destination*.receiver responsible sender
        target=destination*.target(Device)
    uri: destination-uri=destination*.endpoint source-uri=source.endpoint other: destination source
MolecularSequence
    concept: chromosome=referenceSeq.chromosome referenceseqid=referenceSeq.referenceSeqId identifier: identifier*
    text: type reference: patient(Patient)
    other: chromosome-variant-coordinate chromosome-window-coordinate referenceseqid-variant-coordinate
        referenceseqid-window-coordinate variant-end variant-start window-end window-start
NamingSystem
    concept: context=useContext*.valueCodeableConcept jurisdiction* type coding: context-type=useContext*.code
    contact: telecom=contact*.telecom* text: id-type=uniqueId*.type kind status
    other: contact context-quantity context-type-quantity context-type-value date description name period publisher
        responsible value
NutritionOrder
    concept: additive=enteralFormula.additiveType formula=enteralFormula.baseFormulaType oraldiet=oralDiet.type*
        supplement=supplement*.type
    identifier: identifier* text: status reference: encounter(Encounter) patient(Patient) provider=orderer
    canonical: instantiates-canonical* uri: instantiates-uri* other: datetime
Observation
    concept: category* code combo-code=code,component*.code
        combo-data-absent-reason=component*.dataAbsentReason,dataAbsentReason
        combo-value-concept=component*.valueCodeableConcept,valueCodeableConcept component-code=component*.code
        component-data-absent-reason=component*.dataAbsentReason
        component-value-concept=component*.valueCodeableConcept data-absent-reason method
        value-concept=valueCodeableConcept
    identifier: identifier* text: status
    reference: based-on* derived-from* device encounter(Encounter) focus* has-member* part-of*
        patient=subject(Patient) performer* specimen(Specimen) subject
    other: code-value-concept code-value-date code-value-quantity code-value-string combo-code-value-concept
        combo-code-value-quantity combo-value-quantity component-code-value-concept component-code-value-quantity
        component-value-quantity date value-date value-quantity value-string
OperationDefinition
    concept: context=useContext*.valueCodeableConcept jurisdiction* coding: context-type=useContext*.code
    text: code kind status version boolean: instance system type canonical: base input-profile output-profile uri: url
    other: context-quantity context-type-quantity context-type-value date description name publisher title
Organization
    concept: type* identifier: identifier* text: address-use=address*.use boolean: active
    reference: endpoint*(Endpoint) partof=partOf(Organization)
    other: address address-city address-country address-postalcode address-state name phonetic
OrganizationAffiliation
    concept: role=code* specialty* identifier: identifier* contact: telecom* boolean: active
    reference: endpoint*(Endpoint) location*(Location) network*(Organization) participating-organization(Organization)
        primary-organization=organization(Organization) service=healthcareService*(HealthcareService)
    other: date email phone
Patient
    concept: language=communication*.language identifier: identifier* contact: telecom*
    text: address-use=address*.use gender boolean: active
    reference: general-practitioner* link=link*.other organization=managingOrganization(Organization)
    other: address address-city address-country address-postalcode address-state birthdate death-date deceased email
        family given name phone phonetic
PaymentNotice
    concept: payment-status identifier: identifier* text: status reference: provider request response other: created
PaymentReconciliation
    identifier: identifier* text: outcome status reference: payment-issuer(Organization) request(Task) requestor
    other: created disposition
Person
    identifier: identifier* contact: telecom* text: address-use=address*.use gender
    reference: link=link*.target organization=managingOrganization(Organization) patient=link*.target(Patient)
        practitioner=link*.target(Practitioner) relatedperson=link*.target(RelatedPerson)
    other: address address-city address-country address-postalcode address-state birthdate email name phone phonetic
PlanDefinition
    concept: context=useContext*.valueCodeableConcept jurisdiction* topic* type coding: context-type=useContext*.code
    identifier: identifier* text: status version canonical: definition=action*.definitionCanonical
    uri: definition=action*.definitionUri url
    other: composed-of context-quantity context-type-quantity context-type-value date depends-on derived-from
        description effective name predecessor publisher successor title
Practitioner
    concept: communication* identifier: identifier* contact: telecom* text: address-use=address*.use gender
    boolean: active
    other: address address-city address-country address-postalcode address-state email family given name phone
        phonetic
PractitionerRole
    concept: role=code* specialty* identifier: identifier* contact: telecom* boolean: active
    reference: endpoint*(Endpoint) location*(Location) organization(Organization) practitioner(Practitioner)
        service=healthcareService*(HealthcareService)
    other: date email phone
Procedure
    concept: category code reason-code* identifier: identifier* text: status
    reference: based-on* encounter(Encounter) location(Location) part-of* patient=subject(Patient)
        performer=performer*.actor reason-reference* subject
    canonical: instantiates-canonical* uri: instantiates-uri* other: date
Provenance
    concept: agent-role=agent*.role* agent-type=agent*.type coding: signature-type=signature*.type*
    reference: agent=agent*.who entity=entity*.what location(Location) patient=target*(Patient) target*
    other: recorded when
Questionnaire
    concept: context=useContext*.valueCodeableConcept jurisdiction*
    coding: code=item*.code* context-type=useContext*.code identifier: identifier* text: status subject-type* version
    uri: definition=item*.definition url
    other: context-quantity context-type-quantity context-type-value date description effective name publisher title
QuestionnaireResponse
    identifier: identifier text: status
    reference: author based-on* encounter(Encounter) part-of* patient=subject(Patient) source subject
    canonical: questionnaire other: authored
RelatedPerson
    concept: relationship* identifier: identifier* contact: telecom* text: address-use=address*.use gender
    boolean: active reference: patient(Patient)
    other: address address-city address-country address-postalcode address-state birthdate email name phone phonetic
RequestGroup
    concept: code identifier: group-identifier identifier* text: intent priority status
    reference: author encounter(Encounter) participant=action*.participant* patient=subject(Patient) subject
    canonical: instantiates-canonical* uri: instantiates-uri* other: authored
ResearchDefinition
    concept: context=useContext*.valueCodeableConcept jurisdiction* topic* coding: context-type=useContext*.code
    identifier: identifier* text: status version uri: url
    other: composed-of context-quantity context-type-quantity context-type-value date depends-on derived-from
        description effective name predecessor publisher successor title
ResearchElementDefinition
    concept: context=useContext*.valueCodeableConcept jurisdiction* topic* coding: context-type=useContext*.code
    identifier: identifier* text: status version uri: url
    other: composed-of context-quantity context-type-quantity context-type-value date depends-on derived-from
        description effective name predecessor publisher successor title
ResearchStudy
    concept: category* focus* keyword* location* identifier: identifier* text: status
    reference: partof=partOf*(ResearchStudy) principalinvestigator=principalInvestigator protocol*(PlanDefinition)
        site*(Location) sponsor(Organization)
    other: date title
ResearchSubject
    identifier: identifier* text: status
    reference: individual(Patient) patient=individual(Patient) study(ResearchStudy) other: date
RiskAssessment
    concept: method risk=prediction*.qualitativeRisk identifier: identifier*
    reference: condition(Condition) encounter(Encounter) patient=subject(Patient) performer subject
    other: date probability
RiskEvidenceSynthesis
    concept: context=useContext*.valueCodeableConcept jurisdiction* coding: context-type=useContext*.code
    identifier: identifier* text: status version uri: url
    other: context-quantity context-type-quantity context-type-value date description effective name publisher title
Schedule
    concept: service-category* service-type* specialty* identifier: identifier* boolean: active reference: actor*
    other: date
SearchParameter
    concept: context=useContext*.valueCodeableConcept jurisdiction* coding: context-type=useContext*.code
    text: base* code status target* type version canonical: component=component*.definition derived-from uri: url
    other: context-quantity context-type-quantity context-type-value date description name publisher
ServiceRequest
    concept: body-site* category* code performer-type identifier: identifier* requisition text: intent priority status
    reference: based-on* encounter(Encounter) patient=subject(Patient) performer* replaces*(ServiceRequest) requester
        specimen*(Specimen) subject
    canonical: instantiates-canonical* uri: instantiates-uri* other: authored occurrence
Slot
    concept: appointment-type service-category* service-type* specialty* identifier: identifier* text: status
    reference: schedule(Schedule) other: start
Specimen
    concept: bodysite=collection.bodySite container=container*.type type
    identifier: accession=accessionIdentifier container-id=container*.identifier* identifier* text: status
    reference: collector=collection.collector parent*(Specimen) patient=subject(Patient) subject other: collected
SpecimenDefinition
    concept: container=typeTested*.container.type type=typeCollected identifier: identifier
StructureDefinition
    concept: context=useContext*.valueCodeableConcept jurisdiction* coding: context-type=useContext*.code keyword*
    identifier: identifier*
    text: base-path=differential.element*.base.path,snapshot.element*.base.path derivation ext-context=context*.type
        kind path=differential.element*.path,snapshot.element*.path status version
    boolean: abstract experimental canonical: base=baseDefinition valueset=snapshot.element*.binding.valueSet
    uri: type url
    other: context-quantity context-type-quantity context-type-value date description name publisher title
StructureMap
    concept: context=useContext*.valueCodeableConcept jurisdiction* coding: context-type=useContext*.code
    identifier: identifier* text: status version uri: url
    other: context-quantity context-type-quantity context-type-value date description name publisher title
Subscription
    contact: contact* text: payload=channel.payload status type=channel.type uri: url=channel.endpoint other: criteria
Substance
    concept: category* code=code,ingredient*.substanceCodeableConcept
    identifier: container-identifier=instance*.identifier identifier* text: status
    reference: substance-reference=ingredient*.substanceReference(Substance) other: expiry quantity
SubstanceSpecification
    concept: code=code*.code
SupplyDelivery
    identifier: identifier* text: status reference: patient(Patient) receiver* supplier
SupplyRequest
    concept: category identifier: identifier* text: status reference: requester subject=deliverTo supplier*
    other: date
Task
    concept: business-status code performer=performerType* identifier: group-identifier identifier*
    text: intent priority status
    reference: based-on* encounter(Encounter) focus owner part-of*(Task) patient=for(Patient) requester subject=for
    other: authored-on modified period
TerminologyCapabilities
    concept: context=useContext*.valueCodeableConcept jurisdiction* coding: context-type=useContext*.code
    text: status version uri: url
    other: context-quantity context-type-quantity context-type-value date description name publisher title
TestReport
    identifier: identifier text: result reference: testscript=testScript(TestScript) uri: participant=participant*.uri
    other: issued tester
TestScript
    concept: context=useContext*.valueCodeableConcept jurisdiction* coding: context-type=useContext*.code
    identifier: identifier text: status version uri: url
    other: context-quantity context-type-quantity context-type-value date description name publisher
        testscript-capability title
ValueSet
    concept: context=useContext*.valueCodeableConcept jurisdiction* coding: context-type=useContext*.code
    identifier: identifier* text: code=compose.include*.concept*.code,expansion.contains*.code status version
    uri: expansion=expansion.identifier reference=compose.include*.system url
    other: context-quantity context-type-quantity context-type-value date description name publisher title
VerificationResult
    reference: target*
VisionPrescription
    identifier: identifier* text: status reference: encounter(Encounter) patient(Patient) prescriber
    other: datewritten
"""

_GONE_IN_R4B = """
    EffectEvidenceSynthesis MedicinalProduct MedicinalProductAuthorization MedicinalProductContraindication
    MedicinalProductIndication MedicinalProductInteraction MedicinalProductPackaged MedicinalProductPharmaceutical
    MedicinalProductUndesirableEffect RiskEvidenceSynthesis SubstanceSpecification
"""
_CHANGED_IN_R4B = """
AdministrableProductDefinition
    concept: dose-form=administrableDoseForm ingredient* route=routeOfAdministration*.code
        target-species=routeOfAdministration*.targetSpecies*.code
    identifier: identifier*
    reference: device(DeviceDefinition) form-of*(MedicinalProductDefinition)
        manufactured-item=producedFrom*(ManufacturedItemDefinition)
Citation
    concept: context=useContext*.valueCodeableConcept jurisdiction* coding: context-type=useContext*.code
    identifier: identifier* text: status version uri: url
    other: context-quantity context-type-quantity context-type-value date description effective name publisher title
ClinicalUseDefinition
    concept: interaction=interaction.type identifier: identifier* text: type
    reference: product=subject*(MedicinalProductDefinition) subject*
    other: contraindication contraindication-reference effect effect-reference indication indication-reference
DeviceUseStatement
    identifier: identifier* reference: device(Device) patient=subject(Patient) subject
DocumentReference
    concept: category* event=context.event* facility=context.facilityType security-label*
        setting=context.practiceSetting type
    coding: format=content*.format identifier: identifier=identifier*,masterIdentifier
    text: contenttype=content*.attachment.contentType language=content*.attachment.language relation=relatesTo*.code
        status
    reference: authenticator author* custodian(Organization) encounter=context.encounter*(Encounter)
        patient=subject(Patient) related=context.related* relatesto=relatesTo*.target(DocumentReference) subject
    uri: location=content*.attachment.url other: date description period relationship
Evidence
    concept: context=useContext*.valueCodeableConcept coding: context-type=useContext*.code identifier: identifier*
    text: status version uri: url
    other: context-quantity context-type-quantity context-type-value date description publisher title
EvidenceReport
    concept: context=useContext*.valueCodeableConcept coding: context-type=useContext*.code identifier: identifier*
    text: status uri: url other: context-quantity context-type-quantity context-type-value publisher
EvidenceVariable
    concept: context=useContext*.valueCodeableConcept coding: context-type=useContext*.code identifier: identifier*
    text: status version uri: url
    other: context-quantity context-type-quantity context-type-value date description name publisher title
Ingredient
    concept: function* role substance-code=substance.code.concept identifier: identifier
    reference: for* substance=substance.code.reference substance-definition=substance.code.reference
    other: manufacturer
ManufacturedItemDefinition
    concept: dose-form=manufacturedDoseForm ingredient* identifier: identifier*
MedicinalProductDefinition
    concept: characteristic-type=characteristic*.type domain ingredient* name-language=name*.countryLanguage*.language
        product-classification=classification* status type
    identifier: identifier* reference: contact=contact*.contact master-file*(DocumentReference)
    other: characteristic name
NutritionProduct
    identifier: identifier=instance.identifier* text: status
PackagedProductDefinition
    concept: status identifier: identifier* text: name
    reference: biological=package.containedItem*.item.reference contained-item=package.containedItem*.item.reference
        device=package.containedItem*.item.reference manufactured-item=package.containedItem*.item.reference
        medication=package.containedItem*.item.reference nutrition=package.containedItem*.item.reference
        package=package.containedItem*.item.reference package-for*(MedicinalProductDefinition)
RegulatedAuthorization
    concept: case-type=case.type region* status identifier: case=case.identifier identifier*
    reference: holder(Organization) subject*
SubscriptionTopic
    identifier: identifier* text: status version
    uri: derived-or-self=derivedFrom*,url resource=resourceTrigger*.resource url other: date title trigger-description
SubstanceDefinition
    concept: classification* code=code*.code domain identifier: identifier* other: name
"""


def _by_type(text: str) -> dict[str, str]:
    """Return the paragraphs of *text*, by the type that each is about."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in text.strip("\n").split("\n"):
        if line.startswith(" "):
            lines.append(line.strip())
        else:
            lines = found[line] = []
    return {name: " ".join(paragraph) for name, paragraph in found.items()}


def _later(earlier: Mapping[str, str], gone: str, changed: str) -> dict[str, str]:
    left = frozenset(gone.split())
    return {name: paragraph for name, paragraph in earlier.items() if name not in left} | _by_type(changed)


_of_r4 = _by_type(_R4)
_of_r4b = _later(_of_r4, _GONE_IN_R4B, _CHANGED_IN_R4B)
_of_r5 = _later(_of_r4b, GONE_IN_R5, CHANGED_IN_R5)

PARAMETERS: Mapping[Release, Mapping[str, str]] = MappingProxyType(
    {"R4": MappingProxyType(_of_r4), "R4B": MappingProxyType(_of_r4b), "R5": MappingProxyType(_of_r5)}
)
"""The paragraphs, by release and type; a type that has none has the parameters of every type alone."""
