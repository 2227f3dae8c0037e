"""FHIR R5 → what its search parameters are about, where that is something else than in R4B; see matching_tables."""

from __future__ import annotations

__all__ = ["CHANGED_IN_R5", "GONE_IN_R5"]

GONE_IN_R5 = "DeviceUseStatement DocumentManifest Media RequestGroup ResearchDefinition ResearchElementDefinition"
"""Types that R5 has no more."""

CHANGED_IN_R5 = """
Account
    concept: type identifier: identifier* text: status
    reference: guarantor=guarantor*.party owner(Organization) patient=subject*(Patient)
        relatedaccount=relatedAccount*.account(Account) subject*
    other: name period
ActivityDefinition
    concept: context=useContext*.valueCodeableConcept jurisdiction* topic* coding: context-type=useContext*.code
    identifier: identifier* text: kind status version uri: url
    other: composed-of context-quantity context-type-quantity context-type-value date depends-on derived-from
        description effective name predecessor publisher successor title
ActorDefinition
    concept: context=useContext*.valueCodeableConcept jurisdiction* coding: context-type=useContext*.code
    identifier: identifier* text: status type version uri: url
    other: context-quantity context-type-quantity context-type-value date description publisher title
AdministrableProductDefinition
    concept: dose-form=administrableDoseForm ingredient* route=routeOfAdministration*.code
        target-species=routeOfAdministration*.targetSpecies*.code
    identifier: identifier* text: status
    reference: device(DeviceDefinition) form-of*(MedicinalProductDefinition)
        manufactured-item=producedFrom*(ManufacturedItemDefinition)
AdverseEvent
    concept: category* code seriousness identifier: identifier* text: actuality status
    reference: location(Location) patient=subject(Patient) recorder resultingeffect=resultingEffect*
        study*(ResearchStudy) subject substance=suspectEntity*.instanceReference
    other: date
AllergyIntolerance
    concept: clinical-status code=code,reaction*.substance manifestation-code=reaction*.manifestation*.concept
        route=reaction*.exposureRoute type verification-status
    identifier: identifier* text: category* criticality severity=reaction*.severity
    reference: manifestation-reference=reaction*.manifestation*.reference(Observation) participant=participant*.actor
        patient(Patient)
    other: date last-date
Appointment
    concept: appointment-type reason-code=reason*.concept service-category* service-type=serviceType*.concept
        specialty*
    identifier: identifier* text: part-status=participant*.status status
    reference: actor=participant*.actor based-on* group=participant*.actor(Group),subject(Group)
        location=participant*.actor(Location) patient=participant*.actor(Patient),subject(Patient)
        practitioner=participant*.actor(Practitioner) reason-reference=reason*.reference
        service-type-reference=serviceType*.reference(HealthcareService) slot*(Slot) subject
        supporting-info=supportingInformation*
    other: date requested-period
AppointmentResponse
    identifier: identifier* text: part-status=participantStatus
    reference: actor appointment(Appointment) group=actor(Group) location=actor(Location) patient=actor(Patient)
        practitioner=actor(Practitioner)
ArtifactAssessment
    identifier: identifier* other: date
AuditEvent
    concept: agent-role=agent*.role* category* code entity-role=entity*.role
        purpose=agent*.authorization*,authorization*
    coding: outcome=outcome.code text: action
    reference: agent=agent*.who based-on* encounter(Encounter) entity=entity*.what patient(Patient)
        source=source.observer
    uri: policy=agent*.policy* other: date
BiologicallyDerivedProduct
    concept: code=productCode coding: product-category product-status
    identifier: biological-source-event identifier* serial-number=identifier*
    reference: collector=collection.collector request*(ServiceRequest)
BiologicallyDerivedProductDispense
    identifier: identifier* text: status
    reference: patient(Patient) performer=performer*.actor(Practitioner) product(BiologicallyDerivedProduct)
BodyStructure
    concept: excluded_structure=excludedStructure*.structure included_structure=includedStructure*.structure
        morphology
    identifier: identifier* reference: patient(Patient)
CapabilityStatement
    concept: context=useContext*.valueCodeableConcept jurisdiction* security-service=rest*.security.service*
    coding: context-type=useContext*.code identifier: identifier*
    text: fhirversion=fhirVersion format* mode=rest*.mode resource=rest*.resource*.type status version
    canonical: guide=implementationGuide* resource-profile=rest*.resource*.profile
        supported-profile=rest*.resource*.supportedProfile*
    uri: url
    other: context-quantity context-type-quantity context-type-value date description name publisher software title
CarePlan
    concept: category* identifier: identifier* text: intent status
    reference: activity-reference=activity*.plannedActivityReference based-on* care-team*(CareTeam)
        condition=addresses*.reference(Condition) custodian encounter(Encounter) goal*(Goal) part-of*(CarePlan)
        patient=subject(Patient) replaces*(CarePlan) subject
    canonical: instantiates-canonical* uri: instantiates-uri* other: date
CareTeam
    concept: category* identifier: identifier* text: status
    reference: participant=participant*.member patient=subject(Patient) subject other: date name
ChargeItem
    concept: code performer-function=performer*.function identifier: identifier* text: status
    reference: account*(Account) encounter(Encounter) enterer patient=subject(Patient)
        performer-actor=performer*.actor performing-organization(Organization) requesting-organization(Organization)
        service=service*.reference subject
    other: entered-date factor-override occurrence price-override quantity
Citation
    concept: classification-type=classification*.type classifier=classification*.classifier*
        context=useContext*.valueCodeableConcept jurisdiction*
    coding: context-type=useContext*.code identifier: identifier* text: status version uri: url
    other: classification context-quantity context-type-quantity context-type-value date description effective name
        publisher title
Claim
    concept: priority identifier: identifier* text: status use
    reference: care-team=careTeam*.provider detail-udi=item*.detail*.udi*(Device)
        encounter=item*.encounter*(Encounter) enterer facility insurer(Organization) item-udi=item*.udi*(Device)
        patient(Patient) payee=payee.party procedure-udi=procedure*.udi*(Device) provider
        subdetail-udi=item*.detail*.subDetail*.udi*(Device)
    other: created
ClinicalImpression
    concept: finding-code=finding*.item.concept identifier: identifier* text: status
    reference: encounter(Encounter) finding-ref=finding*.item.reference patient=subject(Patient) performer
        previous(ClinicalImpression) problem* subject supporting-info*
    other: date
ClinicalUseDefinition
    concept: contraindication=contraindication.diseaseSymptomProcedure.concept
        effect=undesirableEffect.symptomConditionEffect.concept indication=indication.diseaseSymptomProcedure.concept
        interaction=interaction.type status
    identifier: identifier* text: type
    reference: contraindication-reference=contraindication.diseaseSymptomProcedure.reference(ObservationDefinition)
        effect-reference=undesirableEffect.symptomConditionEffect.reference(ObservationDefinition)
        indication-reference=indication.diseaseSymptomProcedure.reference(ObservationDefinition)
        product=subject*(MedicinalProductDefinition) subject*
CodeSystem
    concept: context=useContext*.valueCodeableConcept jurisdiction* topic* coding: context-type=useContext*.code
    identifier: identifier*
    text: code=concept*.code content-mode=content language=concept*.designation*.language status version
    canonical: supplements uri: system=url url
    other: context-quantity context-type-quantity context-type-value date derived-from description effective name
        predecessor publisher title
Communication
    concept: category* medium* topic identifier: identifier* text: status
    reference: based-on* encounter(Encounter) part-of* patient=subject(Patient) recipient* sender subject
    canonical: instantiates-canonical* uri: instantiates-uri* other: received sent
CommunicationRequest
    concept: category* medium* identifier: group-identifier identifier* text: priority status
    reference: based-on* encounter(Encounter) information-provider* patient=subject(Patient) recipient*
        replaces*(CommunicationRequest) requester subject
    other: authored occurrence
Composition
    concept: category* event-code=event*.detail*.concept section=section*.code type identifier: identifier*
    text: status version
    reference: attester=attester*.party author* encounter(Encounter) entry=section*.entry*
        event-reference=event*.detail*.reference patient=subject*(Patient) related=relatesTo*.resourceReference
        subject*
    uri: url other: date period section-code-text title
ConceptMap
    concept: context=useContext*.valueCodeableConcept jurisdiction* topic* coding: context-type=useContext*.code
    identifier: identifier*
    text: source-code=group*.element*.code status target-code=group*.element*.target*.code version
    canonical: other-map=group*.unmapped.otherMap source-group-system=group*.source source-scope=sourceScopeCanonical
        target-group-system=group*.target target-scope=targetScopeCanonical
    uri: mapping-property=property*.uri source-scope-uri target-scope-uri url
    other: context-quantity context-type-quantity context-type-value date derived-from description effective name
        predecessor publisher title
Condition
    concept: body-site* category* clinical-status code evidence=evidence*.concept
        participant-function=participant*.function severity stage=stage*.summary verification-status
    identifier: identifier*
    reference: encounter(Encounter) evidence-detail=evidence*.reference participant-actor=participant*.actor
        patient=subject(Patient) subject
    other: abatement-age abatement-date abatement-string onset-age onset-date onset-info recorded-date
ConditionDefinition
    concept: context=useContext*.valueCodeableConcept jurisdiction* coding: context-type=useContext*.code
    identifier: identifier* text: status version uri: url
    other: context-quantity context-type-quantity context-type-value date description name publisher title
Consent
    concept: action=provision*.action* category*
    coding: purpose=provision*.purpose* security-label=provision*.securityLabel* identifier: identifier* text: status
    boolean: verified=verification*.verified
    reference: actor=provision*.actor*.reference controller* data=provision*.data*.reference grantee* manager*
        patient=subject(Patient) source-reference* subject
    other: date period verified-date
Coverage
    concept: class-type=class*.type type identifier: class-value=class*.value identifier* subscriberid=subscriberId*
    text: status
    reference: beneficiary(Patient) insurer(Organization) patient=beneficiary(Patient)
        paymentby-party=paymentBy*.party policy-holder subscriber
    other: dependent
DetectedIssue
    concept: category* code identifier: identifier* text: status
    reference: author implicated* patient=subject(Patient) subject other: identified
Device
    concept: code=definition.concept specification=conformsTo*.specification type*
    identifier: biological-source-event identifier* text: status
    reference: definition=definition.reference(DeviceDefinition) location(Location) organization=owner(Organization)
        parent(Device)
    uri: url
    other: code-value-concept device-name expiration-date lot-number manufacture-date manufacturer model serial-number
        specification-version udi-carrier udi-di version
DeviceAssociation
    concept: status identifier: identifier*
    reference: device(Device) operator=operation*.operator* patient=subject(Patient) subject(Patient)
DeviceDefinition
    concept: specification=conformsTo*.specification type=conformsTo*.category identifier: identifier*
    reference: manufacturer(Organization) organization=owner(Organization) other: device-name specification-version
DeviceDispense
    concept: code=device.concept identifier: identifier* text: status reference: patient=subject(Patient) subject
DeviceMetric
    concept: type identifier: identifier* text: category reference: device(Device)
DeviceRequest
    concept: code=code.concept performer-code=performer.concept identifier: group-identifier identifier*
    text: intent status
    reference: based-on* device=code.reference encounter(Encounter) insurance* patient=subject(Patient)
        performer=performer.reference prior-request=replaces*(DeviceRequest) requester subject
    canonical: instantiates-canonical* uri: instantiates-uri* other: authored-on event-date
DeviceUsage
    concept: device=device.concept identifier: identifier* text: status reference: patient(Patient)
DiagnosticReport
    concept: category* code conclusion=conclusionCode* identifier: identifier* text: status
    reference: based-on* encounter(Encounter) media=media*.link(DocumentReference) patient=subject(Patient) performer*
        result*(Observation) results-interpreter* specimen*(Specimen) study* subject
    other: date issued
DocumentReference
    concept: bodysite=bodySite*.concept category* event-code=event*.concept facility=facilityType modality*
        relation=relatesTo*.code security-label* setting=practiceSetting type
    coding: format-code=content*.profile*.valueCoding identifier: identifier*
    text: contenttype=content*.attachment.contentType doc-status language=content*.attachment.language status
    reference: attester=attester*.party author* based-on* bodysite-reference=bodySite*.reference(BodyStructure)
        context* custodian(Organization) event-reference=event*.reference patient=subject(Patient)
        relatesto=relatesTo*.target(DocumentReference) subject
    canonical: format-canonical=content*.profile*.valueCanonical
    uri: format-uri=content*.profile*.valueUri location=content*.attachment.url
    other: creation date description period relationship version
Encounter
    concept: class* diagnosis-code=diagnosis*.condition*.concept participant-type=participant*.type*
        reason-code=reason*.value*.concept special-arrangement* subject-status type*
    identifier: identifier* text: status
    reference: account*(Account) appointment*(Appointment) based-on* careteam=careTeam*(CareTeam)
        diagnosis-reference=diagnosis*.condition*.reference(Condition) episode-of-care*(EpisodeOfCare)
        location=location*.location(Location) part-of(Encounter) participant=participant*.actor
        patient=subject(Patient) practitioner=participant*.actor(Practitioner)
        reason-reference=reason*.value*.reference service-provider(Organization) subject
    other: date date-start end-date length location-period
EncounterHistory
    identifier: identifier* text: status reference: encounter(Encounter) patient=subject(Patient) subject
Endpoint
    concept: connection-type* payload-type=payload*.type* identifier: identifier* text: status
    reference: organization=managingOrganization(Organization) other: name
EpisodeOfCare
    concept: diagnosis-code=diagnosis*.condition*.concept reason-code=reason*.value*.concept type*
    identifier: identifier* text: status
    reference: care-manager(Practitioner) diagnosis-reference=diagnosis*.condition*.reference(Condition)
        incoming-referral=referralRequest*(ServiceRequest) organization=managingOrganization(Organization)
        patient(Patient) reason-reference=reason*.value*.reference
    other: date
EvidenceVariable
    concept: context=useContext*.valueCodeableConcept coding: context-type=useContext*.code identifier: identifier*
    text: status version uri: url
    other: composed-of context-quantity context-type-quantity context-type-value date depends-on derived-from
        description name predecessor publisher successor title topic
ExplanationOfBenefit
    identifier: identifier* text: status
    reference: care-team=careTeam*.provider claim(Claim) coverage=insurance*.coverage(Coverage)
        detail-udi=item*.detail*.udi*(Device) encounter=item*.encounter*(Encounter) enterer facility
        item-udi=item*.udi*(Device) patient(Patient) payee=payee.party procedure-udi=procedure*.udi*(Device) provider
        subdetail-udi=item*.detail*.subDetail*.udi*(Device)
    other: created disposition
Flag
    concept: category* identifier: identifier* text: status
    reference: author encounter(Encounter) patient=subject(Patient) subject other: date
FormularyItem
    concept: code identifier: identifier*
GenomicStudy
    identifier: identifier* text: status reference: focus=analysis*.focus* patient=subject(Patient) subject
Goal
    concept: achievement-status category* description target-measure=target*.measure identifier: identifier*
    text: lifecycle-status reference: addresses* patient=subject(Patient) subject other: start-date target-date
GraphDefinition
    concept: context=useContext*.valueCodeableConcept jurisdiction* coding: context-type=useContext*.code
    identifier: identifier* text: start status version uri: url
    other: context-quantity context-type-quantity context-type-value date description name publisher
Group
    concept: characteristic=characteristic*.code code value=characteristic*.valueCodeableConcept
    identifier: identifier* text: membership type
    boolean: exclude=characteristic*.exclude value=characteristic*.valueBoolean
    reference: characteristic-reference=characteristic*.valueReference managing-entity member=member*.entity
    other: characteristic-value name
GuidanceResponse
    identifier: identifier* request=requestIdentifier text: status reference: patient=subject(Patient) subject
HealthcareService
    concept: characteristic* communication* eligibility=eligibility*.code program* service-category=category*
        service-type=type* specialty*
    identifier: identifier* boolean: active
    reference: coverage-area*(Location) endpoint*(Endpoint) location*(Location) offered-in*(HealthcareService)
        organization=providedBy(Organization)
    other: name
ImagingSelection
    concept: body-site=bodySite.concept identifier: identifier* text: code=status status study-uid
    reference: based-on* body-structure=bodySite.reference(BodyStructure) derived-from* patient=subject(Patient)
        subject
    other: issued
ImagingStudy
    concept: body-site=series*.bodySite.concept modality=series*.modality
    coding: dicom-class=series*.instance*.sopClass identifier: identifier*
    text: instance=series*.instance*.uid series=series*.uid status
    reference: based-on* body-structure=series*.bodySite.reference(BodyStructure) encounter(Encounter)
        endpoint=endpoint*(Endpoint),series*.endpoint*(Endpoint) patient=subject(Patient)
        performer=series*.performer*.actor referrer subject
    other: reason started
Immunization
    concept: reason-code=reason*.concept status-reason target-disease=protocolApplied*.targetDisease* vaccine-code
    identifier: identifier* text: status
    reference: location(Location) manufacturer=manufacturer.reference(Organization) patient(Patient)
        performer=performer*.actor reaction=reaction*.manifestation.reference(Observation)
        reason-reference=reason*.reference
    other: date lot-number reaction-date series
ImmunizationRecommendation
    concept: status=recommendation*.forecastStatus target-disease=recommendation*.targetDisease*
        vaccine-type=recommendation*.vaccineCode*
    identifier: identifier*
    reference: information=recommendation*.supportingPatientInformation* patient(Patient)
        support=recommendation*.supportingImmunization*
    other: date
ImplementationGuide
    concept: context=useContext*.valueCodeableConcept jurisdiction* coding: context-type=useContext*.code
    identifier: identifier* text: status version boolean: experimental
    reference: resource=definition.resource*.reference canonical: depends-on=dependsOn*.uri global=global*.profile
    uri: url other: context-quantity context-type-quantity context-type-value date description name publisher title
Ingredient
    concept: function* role substance-code=substance.code.concept identifier: identifier text: status
    reference: for* manufacturer=manufacturer*.manufacturer(Organization)
        substance=substance.code.reference(SubstanceDefinition)
        substance-definition=substance.code.reference(SubstanceDefinition)
    other: strength-concentration-quantity strength-presentation-quantity
InventoryItem
    concept: code* identifier: identifier* text: status reference: subject=instance.subject
InventoryReport
    concept: item=inventoryListing*.item*.item.concept identifier: identifier* text: status
    reference: item-reference=inventoryListing*.item*.item.reference
List
    concept: code empty-reason identifier: identifier* text: status
    reference: encounter(Encounter) item=entry*.item patient=subject*(Patient) source subject* other: date notes title
Location
    concept: characteristic* type* coding: operational-status identifier: identifier*
    text: address-use=address.use status
    reference: endpoint*(Endpoint) organization=managingOrganization(Organization) partof=partOf(Location)
    other: address address-city address-country address-postalcode address-state name
ManufacturedItemDefinition
    concept: dose-form=manufacturedDoseForm ingredient* identifier: identifier* text: name status
MeasureReport
    identifier: identifier* text: status
    reference: evaluated-resource* location(Location) patient=subject(Patient) reporter subject canonical: measure
    other: date period
Medication
    concept: code ingredient-code=ingredient*.item.concept identifier: identifier* serial-number=identifier*
    text: lot-number=batch.lotNumber status
    reference: ingredient=ingredient*.item.reference
        marketingauthorizationholder=marketingAuthorizationHolder(Organization)
    other: expiration-date form
MedicationAdministration
    concept: code=medication.concept performer-device-code=performer*.actor.concept reason-given-code=reason*.concept
        reason-not-given=statusReason*
    identifier: identifier* text: status
    reference: device=device*.reference(Device) encounter(Encounter) medication=medication.reference(Medication)
        patient=subject(Patient) performer=performer*.actor.reference reason-given=reason*.reference
        request(MedicationRequest) subject
    other: date
MedicationDispense
    concept: code=medication.concept type identifier: identifier* text: status
    reference: destination(Location) encounter(Encounter) location(Location)
        medication=medication.reference(Medication) patient=subject(Patient) performer=performer*.actor
        prescription=authorizingPrescription*(MedicationRequest) receiver*
        responsibleparty=substitution.responsibleParty subject
    other: recorded whenhandedover whenprepared
MedicationKnowledge
    concept: classification=medicineClassification*.classification* classification-type=medicineClassification*.type
        code doseform=definitional.doseForm ingredient-code=definitional.ingredient*.item.concept
        monitoring-program-type=monitoringProgram*.type monograph-type=monograph*.type product-type*
    identifier: identifier* text: monitoring-program-name=monitoringProgram*.name source-cost=cost*.source status
    reference: ingredient=definitional.ingredient*.item.reference(Substance)
        monograph=monograph*.source(DocumentReference)
    other: packaging-cost packaging-cost-concept
MedicationRequest
    concept: category* code=medication.concept intended-performertype=performerType
    identifier: group-identifier identifier* text: intent priority status
    reference: encounter(Encounter) intended-dispenser=dispenseRequest.dispenser(Organization)
        intended-performer=performer* medication=medication.reference(Medication) patient=subject(Patient) requester
        subject
    other: authoredon combo-date
MedicationStatement
    concept: adherence=adherence.code category* code=medication.concept identifier: identifier* text: status
    reference: encounter(Encounter) medication=medication.reference(Medication) patient=subject(Patient)
        source=informationSource* subject
    other: effective
MedicinalProductDefinition
    concept: characteristic-type=characteristic*.type domain ingredient* name-language=name*.usage*.language
        product-classification=classification* status type
    identifier: identifier* reference: contact=contact*.contact master-file*(DocumentReference)
    other: characteristic name
MessageDefinition
    concept: context=useContext*.valueCodeableConcept jurisdiction*
    coding: context-type=useContext*.code event=eventCoding identifier: identifier*
    text: category focus=focus*.code status version canonical: parent* uri: url
    other: context-quantity context-type-quantity context-type-value date description name publisher title
MessageHeader
    coding: event=eventCoding identifier: response-id=response.identifier
    text: code=response.code event=eventCanonical
    reference: author focus* receiver=destination*.receiver responsible sender target=destination*.target(Device)
    other: destination source
MolecularSequence
    identifier: identifier* text: type reference: focus* patient=subject(Patient) subject
NamingSystem
    concept: context=useContext*.valueCodeableConcept jurisdiction* topic* type coding: context-type=useContext*.code
    identifier: identifier* contact: telecom=contact*.telecom* text: id-type=uniqueId*.type kind status version
    uri: url
    other: contact context-quantity context-type-quantity context-type-value date derived-from description effective
        name period predecessor publisher responsible value
NutritionIntake
    concept: code nutrition=consumedItem*.nutritionProduct.concept identifier: identifier* text: status
    reference: encounter(Encounter) patient=subject(Patient) source=reportedReference subject other: date
NutritionOrder
    concept: additive=enteralFormula.additive*.type.concept formula=enteralFormula.baseFormulaType.concept
        oraldiet=oralDiet.type* supplement=supplement*.type.concept
    identifier: group-identifier identifier* text: status
    reference: encounter(Encounter) patient=subject(Patient) provider=orderer subject other: datetime
NutritionProduct
    concept: code status=category* identifier: identifier=instance*.identifier* serial-number=instance*.identifier*
    text: lot-number=instance*.lotNumber
Observation
    concept: category* code combo-code=code,component*.code
        combo-data-absent-reason=component*.dataAbsentReason,dataAbsentReason
        combo-value-concept=component*.valueCodeableConcept,valueCodeableConcept component-code=component*.code
        component-data-absent-reason=component*.dataAbsentReason
        component-value-concept=component*.valueCodeableConcept data-absent-reason method
        value-concept=valueCodeableConcept
    identifier: identifier* text: status
    reference: based-on* component-value-reference=component*.valueReference(MolecularSequence) derived-from* device
        encounter(Encounter) focus* has-member* part-of* patient=subject(Patient) performer* specimen subject
        value-reference(MolecularSequence)
    other: code-value-concept code-value-date code-value-quantity code-value-string combo-code-value-concept
        combo-code-value-quantity combo-value-quantity component-code-value-concept component-code-value-quantity
        component-value-canonical component-value-quantity date value-canonical value-date value-markdown
        value-quantity value-string
ObservationDefinition
    concept: category* code method identifier: identifier text: status boolean: experimental uri: url other: title
OperationDefinition
    concept: context=useContext*.valueCodeableConcept jurisdiction* coding: context-type=useContext*.code
    identifier: identifier* text: code kind status version boolean: instance system type
    canonical: base input-profile output-profile uri: url
    other: context-quantity context-type-quantity context-type-value date description name publisher title
Organization
    concept: type* identifier: identifier=identifier*,qualification*.identifier*
    text: address-use=contact*.address.use boolean: active reference: endpoint*(Endpoint) partof=partOf(Organization)
    other: address address-city address-country address-postalcode address-state name phonetic
OrganizationAffiliation
    concept: role=code* specialty* identifier: identifier* contact: telecom=contact*.telecom* boolean: active
    reference: endpoint*(Endpoint) location*(Location) network*(Organization) participating-organization(Organization)
        primary-organization=organization(Organization) service=healthcareService*(HealthcareService)
    other: date email phone
PackagedProductDefinition
    concept: status identifier: identifier* text: name
    reference: biological=packaging.containedItem*.item.reference
        contained-item=packaging.containedItem*.item.reference device=packaging.containedItem*.item.reference
        manufactured-item=packaging.containedItem*.item.reference medication=packaging.containedItem*.item.reference
        nutrition=packaging.containedItem*.item.reference package=packaging.containedItem*.item.reference
        package-for*(MedicinalProductDefinition)
PaymentNotice
    concept: payment-status identifier: identifier* text: status reference: reporter request response other: created
PaymentReconciliation
    identifier: identifier* text: outcome status
    reference: allocation-account=allocation*.account(Account) allocation-encounter=allocation*.encounter(Encounter)
        payment-issuer request(Task) requestor
    other: created disposition
Permission
    text: status
Person
    identifier: identifier* contact: telecom* text: address-use=address*.use gender
    reference: link=link*.target organization=managingOrganization(Organization) patient=link*.target(Patient)
        practitioner=link*.target(Practitioner) relatedperson=link*.target(RelatedPerson)
    other: address address-city address-country address-postalcode address-state birthdate death-date deceased email
        family given name phone phonetic
Practitioner
    concept: communication=communication*.language identifier: identifier=identifier*,qualification*.identifier*
    contact: telecom* text: address-use=address*.use gender boolean: active
    other: address address-city address-country address-postalcode address-state death-date deceased email family
        given name phone phonetic qualification-period
PractitionerRole
    concept: characteristic* communication* role=code* specialty* identifier: identifier*
    contact: telecom=contact*.telecom* boolean: active
    reference: endpoint*(Endpoint) location*(Location) organization(Organization) practitioner(Practitioner)
        service=healthcareService*(HealthcareService)
    other: date email phone
Procedure
    concept: category* code reason-code=reason*.concept identifier: identifier* text: status
    reference: based-on* encounter(Encounter) location(Location) part-of* patient=subject(Patient)
        performer=performer*.actor reason-reference=reason*.reference report* subject
    canonical: instantiates-canonical* uri: instantiates-uri* other: date
Provenance
    concept: activity agent-role=agent*.role* agent-type=agent*.type coding: signature-type=signature*.type*
    reference: agent=agent*.who based-on* encounter(Encounter) entity=entity*.what location(Location) patient(Patient)
        target*
    other: recorded when
Questionnaire
    concept: context=useContext*.valueCodeableConcept jurisdiction*
    coding: combo-code=code*,item*.code* context-type=useContext*.code item-code=item*.code* questionnaire-code=code*
    identifier: identifier* text: status subject-type* version uri: definition=item*.definition url
    other: context-quantity context-type-quantity context-type-value date description effective name publisher title
QuestionnaireResponse
    identifier: identifier* text: status
    reference: author based-on* encounter(Encounter) part-of* patient=subject(Patient) source subject
    canonical: questionnaire other: authored item-subject
RelatedPerson
    concept: relationship* identifier: identifier* contact: telecom* text: address-use=address*.use gender
    boolean: active reference: patient(Patient)
    other: address address-city address-country address-postalcode address-state birthdate email family given name
        phone phonetic
RequestOrchestration
    concept: code identifier: group-identifier identifier* text: intent priority status
    reference: author based-on* encounter(Encounter) participant=action*.participant*.actorReference
        patient=subject(Patient) subject
    canonical: instantiates-canonical* participant=action*.participant*.actorCanonical uri: instantiates-uri*
    other: authored
Requirements
    concept: context=useContext*.valueCodeableConcept jurisdiction* coding: context-type=useContext*.code
    identifier: identifier* text: status version canonical: actor* derived-from* uri: url
    other: context-quantity context-type-quantity context-type-value date description name publisher title
ResearchStudy
    concept: classifier* condition* focus-code=focus*.concept keyword* objective-type=objective*.type phase region*
        study-design*
    identifier: identifier* text: status
    reference: eligibility=recruitment.eligibility focus-reference=focus*.reference part-of*(ResearchStudy)
        protocol*(PlanDefinition) site*
    other: date description name objective-description recruitment-actual recruitment-target title
ResearchSubject
    concept: subject_state=progress*.subjectState identifier: identifier* text: status
    reference: patient=subject(Patient) study(ResearchStudy) subject other: date
Schedule
    concept: service-category* service-type=serviceType*.concept specialty* identifier: identifier* boolean: active
    reference: actor* service-type-reference=serviceType*.reference(HealthcareService) other: date name
SearchParameter
    concept: context=useContext*.valueCodeableConcept jurisdiction* coding: context-type=useContext*.code
    identifier: identifier* text: base* code status target* type version
    canonical: component=component*.definition derived-from uri: url
    other: context-quantity context-type-quantity context-type-value date description name publisher
ServiceRequest
    concept: body-site* category* code-concept=code.concept performer-type identifier: identifier* requisition
    text: intent priority status
    reference: based-on* body-structure(BodyStructure) code-reference=code.reference encounter(Encounter)
        patient=subject(Patient) performer* replaces*(ServiceRequest) requester specimen*(Specimen) subject
    canonical: instantiates-canonical* uri: instantiates-uri* other: authored occurrence
Slot
    concept: appointment-type* service-category* service-type=serviceType*.concept specialty* identifier: identifier*
    text: status reference: schedule(Schedule) service-type-reference=serviceType*.reference(HealthcareService)
    other: start
Specimen
    concept: type identifier: accession=accessionIdentifier identifier* text: status
    reference: bodysite=collection.bodySite.reference(BodyStructure) collector=collection.collector
        container-device=container*.device(Device) parent*(Specimen) patient=subject(Patient)
        procedure=collection.procedure(Procedure) subject
    other: collected
SpecimenDefinition
    concept: container=typeTested*.container.type type=typeCollected type-tested=typeTested*.type
    identifier: identifier text: status boolean: experimental is-derived=typeTested*.isDerived uri: url other: title
StructureDefinition
    concept: context=useContext*.valueCodeableConcept jurisdiction* coding: context-type=useContext*.code keyword*
    identifier: identifier*
    text: base-path=differential.element*.base.path,snapshot.element*.base.path derivation
        ext-context-expression=context*.expression ext-context-type=context*.type kind
        path=differential.element*.path,snapshot.element*.path status version
    boolean: abstract experimental canonical: base=baseDefinition valueset=snapshot.element*.binding.valueSet
    uri: type url
    other: context-quantity context-type-quantity context-type-value date description ext-context name publisher title
Subscription
    coding: type=channelType identifier: identifier* contact: contact*
    text: content-level=content payload=contentType status reference: owner=managingEntity uri: topic url=endpoint
    other: filter-value name
SubscriptionTopic
    concept: event=eventTrigger*.event identifier: identifier* text: status version
    uri: derived-or-self=derivedFrom*,url
        resource=canFilterBy*.resource,eventTrigger*.resource,notificationShape*.resource,resourceTrigger*.resource
        url
    other: date effective title trigger-description
Substance
    concept: category* code=code.concept,ingredient*.substanceCodeableConcept identifier: identifier* text: status
    reference: code-reference=code.reference(SubstanceDefinition)
        substance-reference=ingredient*.substanceReference(Substance)
    other: expiry quantity
SupplyRequest
    concept: category identifier: identifier* text: status
    reference: patient=deliverFor(Patient) requester subject=deliverTo supplier* other: date
Task
    concept: business-status code performer=requestedPerformer*.concept identifier: group-identifier identifier*
    text: intent priority status
    reference: actor=performer*.actor based-on* encounter(Encounter) focus output=output*.valueReference owner
        part-of*(Task) patient=for(Patient) requestedperformer-reference=requestedPerformer*.reference requester
        subject=for
    other: authored-on modified period
TerminologyCapabilities
    concept: context=useContext*.valueCodeableConcept jurisdiction* coding: context-type=useContext*.code
    identifier: identifier* text: status version uri: url
    other: context-quantity context-type-quantity context-type-value date description name publisher title
TestPlan
    identifier: identifier* text: status reference: scope* uri: url
TestReport
    identifier: identifier text: result status canonical: testscript=testScript uri: participant=participant*.uri
    other: issued tester
TestScript
    concept: context=useContext*.valueCodeableConcept jurisdiction* coding: context-type=useContext*.code
    identifier: identifier* text: status version canonical: scope-artifact=scope*.artifact uri: url
    other: context-quantity context-type-quantity context-type-value date description name publisher
        scope-artifact-conformance scope-artifact-phase testscript-capability title
Transport
    identifier: identifier* text: status
ValueSet
    concept: context=useContext*.valueCodeableConcept jurisdiction* topic* coding: context-type=useContext*.code
    identifier: identifier* text: code=compose.include*.concept*.code,expansion.contains*.code status version
    uri: expansion=expansion.identifier reference=compose.include*.system url
    other: context-quantity context-type-quantity context-type-value date derived-from description effective name
        predecessor publisher title
VerificationResult
    concept: attestation-method=attestation.communicationMethod primarysource-type=primarySource*.type* text: status
    reference: attestation-onbehalfof=attestation.onBehalfOf attestation-who=attestation.who
        primarysource-who=primarySource*.who target* validator-organization=validator*.organization(Organization)
    other: primarysource-date status-date
"""
"""Types that are new, or that have other parameters than before, or the same about other elements."""
