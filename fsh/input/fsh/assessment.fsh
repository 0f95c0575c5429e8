Profile: IcmAnswers
Parent: QuestionnaireResponse
Id: icm-answers
Title: "Answers to an ICM assessment"
Description: "Items go by mnemonic; no wording of a licensed form is in it. CT BHP: Completion of SF12, Acuity Assessment; HUSKY: ICM Assessment Components; BC ICMT 1.4. Repeats US Core QuestionnaireResponse 6.1.0 and MCC QuestionnaireResponse 1.0.0."
* insert Profile
* questionnaire 1..1 MS
* status 1..1 MS
* subject 1..1 MS
* subject only Reference(IcmMember)
* authored 1..1 MS
* author MS
* encounter MS
* item MS
* item.linkId MS
* item.answer MS

Profile: IcmAssessmentResult
Parent: Observation
Id: icm-assessment-result
Title: "Result of an ICM assessment"
Description: "A score, a tier, a screening result, derived from its answers. Repeats US Core Observation Screening Assessment 6.1.0 (http://hl7.org/fhir/us/core/StructureDefinition/us-core-observation-screening-assessment|6.1.0)."
* insert Profile
* status 1..1 MS
* category 1..* MS
* category ^slicing.discriminator.type = #pattern
* category ^slicing.discriminator.path = "$this"
* category ^slicing.rules = #open
* category contains survey 1..1 MS
* category[survey] = $observation-category#survey
* code 1..1 MS
* subject 1..1 MS
* subject only Reference(IcmMember)
* effective[x] 1..1 MS
* effective[x] only dateTime
* performer MS
* value[x] MS
* obeys icm-result
* derivedFrom MS

Invariant: icm-result
Description: "A result has a value, components or members, or says why it has none (US Core 6.1.0, us-core-2 and us-core-3)."
Severity: #error
Expression: "value.exists() or component.exists() or hasMember.exists() or dataAbsentReason.exists()"

Profile: IcmConcern
Parent: Condition
Id: icm-concern
Title: "Problem, need, barrier or opportunity"
Description: "What a plan addresses. HUSKY: problems/opportunities and barriers. Repeats US Core Condition Problems and Health Concerns 6.1.0 and MCC Chronic Condition or Health Concern 1.0.0."
* insert Profile
* clinicalStatus MS
* verificationStatus MS
* category 1..* MS
* category ^slicing.discriminator.type = #value
* category ^slicing.discriminator.path = "coding.system"
* category ^slicing.rules = #open
* category contains kind 1..1 MS
* category[kind].coding 1..1
* category[kind].coding.system 1..1
* category[kind].coding.system = "http://fhirgw.org/fhir/CodeSystem/icm-concern"
* category[kind] from Concerns (required)
* code 1..1 MS
* subject 1..1 MS
* subject only Reference(IcmMember)
* recordedDate MS
