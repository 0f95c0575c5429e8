Profile: AdtEncounter
Parent: Encounter
Id: adt-encounter
Title: "Hospital visit"
Description: "A visit, folded from all ADT messages about it. Follows the HL7 v2-to-FHIR guide (PV1[Encounter], PV2[Encounter]) and repeats US Core Encounter 6.1.0 but for Encounter.type, which PV1 often has not."
* insert Profile
* identifier MS
* status 1..1 MS
* statusHistory MS
* class 1..1 MS
* insert OfMember(subject)
* participant MS
* period MS
* reasonCode MS
* hospitalization MS
* hospitalization.dischargeDisposition MS
* location MS
* serviceProvider MS

Profile: AdtCondition
Parent: Condition
Id: adt-condition
Title: "Diagnosis of a hospital visit"
Description: "DG1[Condition] of the HL7 v2-to-FHIR guide; repeats US Core Condition Encounter Diagnosis 6.1.0."
* insert Profile
* clinicalStatus MS
* verificationStatus MS
* category 1..* MS
* code 1..1 MS
* subject 1..1 MS
* subject only Reference(IcmMember)
* encounter MS
* recordedDate MS

Profile: AdtLocation
Parent: Location
Id: adt-location
Title: "Bed, room, unit or facility"
Description: "PL[Location] of the HL7 v2-to-FHIR guide. Its id is a hash of its content: what an id stands for never changes."
* insert Profile
* name MS
* physicalType MS
* partOf MS
