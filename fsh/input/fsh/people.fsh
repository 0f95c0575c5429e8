Profile: IcmMember
Parent: Patient
Id: icm-member
Title: "ICM member"
Description: "A member or candidate of an Intensive Care Management programme, as the programme and the hospitals know them: a number of a hospital may come without the system it is of. Else this repeats US Core Patient 6.1.0 (http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient|6.1.0); race, ethnicity and birth sex are US Core's extensions; for BC, Indigenous identity is CA Baseline's. HUSKY, ICM Process; BC ICMT 1.1 meets people before they are identified."
* insert Profile
* identifier 1..* MS
* identifier.system MS
* identifier.value MS
* active MS
* name 1..* MS
* obeys icm-name
* telecom MS
* gender 1..1 MS
* birthDate MS
* address MS
* communication MS
* communication.language MS
* link MS
* generalPractitioner MS

Invariant: icm-name
Description: "A name is a family name, a given name or a text (US Core 6.1.0, us-core-6)."
Severity: #error
Expression: "name.all(family.exists() or given.exists() or text.exists() or extension.exists())"

Profile: IcmRelatedPerson
Parent: RelatedPerson
Id: icm-related-person
Title: "Caregiver, family, substitute decision maker"
Description: "Who stands by the member. HUSKY: the member's caregiver or the head of household; BC ICMT: family is whomever the client identifies; 1.6: the substitute decision maker's name and relationship are recorded. Repeats US Core RelatedPerson 6.1.0."
* insert Profile
* active 1..1 MS
* insert OfMember(patient)
* relationship MS
* name MS
* telecom MS
* address MS

Profile: IcmPractitioner
Parent: Practitioner
Id: icm-practitioner
Title: "ICM practitioner or peer"
Description: "Somebody of the team, or a clinician whom a hospital names. CT BHP: Certification as a Recovery Support Specialist. Repeats US Core Practitioner 6.1.0, but for the identifier, which a peer has not, and the family name, where only the whole is known."
* insert Profile
* identifier MS
* name 1..* MS
* name.family MS
* qualification MS
* qualification.code MS
* qualification.period MS

Profile: IcmPractitionerRole
Parent: PractitionerRole
Id: icm-practitioner-role
Title: "ICM role"
Description: "What somebody is in a programme: an NUCC code beside the programme's own. Repeats US Core PractitionerRole 6.1.0."
* insert Profile
* active MS
* practitioner 1..1 MS
* practitioner only Reference(IcmPractitioner)
* organization 1..1 MS
* code 1..* MS
* extension contains LivedExperience named livedExperience 0..1 MS and Supervisor named supervisor 0..1 MS

Profile: IcmOrganization
Parent: Organization
Id: icm-organization
Title: "Organization"
Description: "A programme's agency, a hospital, a practice, a payer. Repeats US Core Organization 6.1.0."
* insert Profile
* identifier MS
* active 1..1 MS
* name 1..1 MS

Profile: IcmCareTeam
Parent: CareTeam
Id: icm-care-team
Title: "ICM care team"
Description: "Who works with the member, the member first. CT BHP: establish who will be working on which goals. Repeats US Core CareTeam 6.1.0 and MCC Care Team 1.0.0 (http://hl7.org/fhir/us/mcc/StructureDefinition/MCCCareTeam): the member is a participant with role 116154003, caregivers 133932002."
* insert Profile
* status 1..1 MS
* insert OfMember(subject)
* participant 1..* MS
* participant.role 1..1 MS
* participant.member 1..1 MS
* participant.period MS
* participant.extension contains MembersServed named caseload 0..1 MS

Profile: IcmCoverage
Parent: Coverage
Id: icm-coverage
Title: "Coverage"
Description: "Who pays. CCBH pays for services with authorization."
* insert Profile
* status 1..1 MS
* insert OfMember(beneficiary)
* payor 1..* MS
