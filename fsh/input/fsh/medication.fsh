// Conditions, medicines and their reviews.

Extension: Treated
Id: icm-treated
Title: "Treated"
Description: "BC ICMT 2.3: chronic medical conditions are being treated."
Context: Condition
* value[x] 1..1
* value[x] only boolean

Profile: IcmCondition
Parent: Condition
Id: icm-condition
Title: "Condition"
Description: "What the member has, whether or not the plan addresses it. HUSKY, ICM Care Teams. Repeats US Core Condition Problems and Health Concerns 6.1.0."
* insert Profile
* clinicalStatus 1..1 MS
* verificationStatus 1..1 MS
* category 1..* MS
* code 1..1 MS
* insert OfMember(subject)
* onset[x] MS
* recordedDate 1..1 MS
* extension contains Treated named treated 0..1 MS

Profile: IcmMedicine
Parent: MedicationStatement
Id: icm-medicine
Title: "Medicine"
Description: "BC ICMT 2.3: all medications are documented on the client file. HUSKY, plan of care: medications."
* insert Profile
* status 1..1 MS
* medication[x] 1..1 MS
* medication[x] only CodeableConcept
* insert OfMember(subject)
* effective[x] MS
* dateAsserted 1..1 MS
* informationSource 1..1 MS
* dosage MS

CodeSystem: IcmList
Id: icm-list
Title: "Kinds of list"
Description: "BC ICMT 2.3: medication reviews."
* insert Terms
* #medicine-review "Medication review"

Profile: IcmMedicineReview
Parent: List
Id: icm-medicine-review
Title: "Medication review"
Description: "BC ICMT 2.3: at least every six months by the most responsible physician."
* insert Profile
* status 1..1 MS
* mode = #snapshot
* code = IcmList#medicine-review
* insert OfMember(subject)
* date 1..1 MS
* source 1..1 MS
* entry MS
* note MS
