// Staff: qualifications, lived experience, supervision, caseloads, consultations.

CodeSystem: IcmQualification
Id: icm-qualification
Title: "Kinds of qualification"
Description: "CT BHP, Training, Credentials, and Supervision; Nebraska, Staffing; CCBH: two-week training."
* insert Terms
* #license "License"
* #certification "Certification"
* #training "Training"
* #education "Education"

CodeSystem: LivedExperienceCodes
Id: icm-lived-experience
Title: "Lived experience"
Description: "CT BHP, Peer Specialist Role: for themselves, or in support of someone in their lives. Nebraska, Staffing: parent or care-giver of a child."
* insert Terms
* #self "For themselves"
* #family "In support of someone"
* #parent "As a parent or caregiver of a child"

ValueSet: LivedExperiences
Id: icm-lived-experiences
Title: "Lived experience"
Description: "Own, in support of someone, as a parent."
* ^experimental = false
* include codes from system LivedExperienceCodes

Extension: LivedExperience
Id: icm-lived-experience
Title: "Lived experience"
Description: "What a peer says of themselves, for their role. CT BHP, Peer Specialist Role; Nebraska, Staffing."
Context: PractitionerRole
* value[x] 1..1
* value[x] only code
* valueCode from LivedExperiences (required)

Extension: Supervisor
Id: icm-supervisor
Title: "Supervisor"
Description: "CT BHP: the Director of Peer Services provides supervision, oversight and support to peer staff."
Context: PractitionerRole
* value[x] 1..1
* value[x] only Reference(IcmPractitionerRole)

Extension: MembersServed
Id: icm-caseload
Title: "Caseload"
Description: "How many members somebody serves. Nebraska: must not exceed 1:25; BC ICMT B.5: 1:16, not over 1:20."
Context: CareTeam.participant
* value[x] 1..1
* value[x] only unsignedInt

CodeSystem: IcmConsultationCode
Id: icm-consultation
Title: "Kinds of consultation"
Description: "Nebraska: clinical consultation every 90 days. BC ICMT B.2: teams meet weekly to review individual cases. CT BHP: individual and group/team supervision."
* insert Terms
* #clinical-consultation "Clinical consultation"
* #case-review "Case review"
* #supervision "Supervision"

Profile: IcmConsultation
Parent: Communication
Id: icm-consultation
Title: "Consultation among staff"
Description: "Nebraska, Program Expectations; BC ICMT B.2; CT BHP, Administrative Oversight and Support of Peers."
* insert Profile
* status 1..1 MS
* category 1..1 MS
* category.coding 1..1
* category.coding.system = "http://fhirgw.org/fhir/CodeSystem/icm-consultation"
* insert OfMember(subject)
* sent 1..1 MS
* recipient MS
* sender 1..1 MS
* payload MS
