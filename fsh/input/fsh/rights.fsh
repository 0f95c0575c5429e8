// The member's rights: explanations, decisions about care, directives, and what a release states besides.

CodeSystem: IcmExplanationTopic
Id: icm-explanation
Title: "What was explained"
Description: "CT BHP, Initial meeting: description of Peer and ICM roles, explanation of release forms. BC ICMT 1.1, 1.3, 1.6."
* insert Terms
* #eligibility-decision "Decision about eligibility"
* #peer-role "Role of the peer"
* #icm-role "Role of the ICM"
* #team-care "Team care"
* #who-provides-care "Who provides care"
* #what-to-expect "What can be expected of services"
* #rights "Rights"
* #privacy "Privacy and confidentiality"
* #release-form "Release of information form"
* #impacts-of-refusal "Impacts of a refusal"
* #substitute-decision-maker-role "Role of the substitute decision maker"
* #complaints "Appeals and complaints"
* #care-plan-roles "Roles and responsibilities in the care plan"
* #crisis-plan "Crisis plan" "BC ICMT 2.2: articulated and provided to the client."
* #way-back "How to come back" "BC ICMT 2.8: a clear re-admission process."

Profile: IcmExplanation
Parent: Communication
Id: icm-explanation
Title: "Explanation"
Description: "What was explained to the member. CT BHP: description of Peer and ICM roles; BC ICMT 1.3, 1.6: the decision is explained; information about rights."
* insert Profile
* status 1..1 MS
* category 1..* MS
* medium 1..1 MS
* insert OfMember(subject)
* sent 1..1 MS
* recipient MS
* sender 1..1 MS
* payload MS
* extension contains ExplainedTo named to 0..* MS

Profile: IcmCareDecision
Parent: Consent
Id: icm-care-decision
Title: "Decision about care"
Description: "BC ICMT 1.6: consent throughout the process, refusal of services, decisions of the substitute decision maker. About care: never a permission to disclose."
* insert IcmConsentCommon
* scope = $consent-scope#treatment
* category.coding 1..1
* category.coding = IcmConsentCategory#care-decision
* policyRule 1..1 MS
* provision 1..1 MS
* provision.type 1..1 MS
* provision.actor 0..0
* extension contains ConsentMode named mode 1..1 MS and DecisionAbout named about 1..1 MS and ImpactsExplained named impacts 0..1 MS

Extension: DecisionAbout
Id: icm-decision-about
Title: "Decision about"
Description: "What was decided. BC ICMT 1.6: the decision made is recorded."
Context: Consent
* value[x] 1..1
* value[x] only string

Extension: ImpactsExplained
Id: icm-impacts-explained
Title: "Impacts explained"
Description: "When the impacts of a refusal were explained. BC ICMT 1.6: impacts of those rights are clearly explained to clients."
Context: Consent
* value[x] 1..1
* value[x] only dateTime

CodeSystem: RevokedInCodes
Id: icm-revoked-in
Title: "How a release was revoked"
Description: "45 CFR 164.508(b)(5): in writing; a programme may heed the spoken word too."
* insert Terms
* #writing "In writing"
* #speech "By word of mouth"

ValueSet: RevokedInKinds
Id: icm-revoked-in
Title: "How a release was revoked"
Description: "In writing or by word of mouth."
* ^experimental = false
* include codes from system RevokedInCodes

Extension: RevokedIn
Id: icm-revoked-in
Title: "Revoked in"
Description: "45 CFR 164.508(b)(5)."
Context: Consent
* value[x] 1..1
* value[x] only code
* valueCode from RevokedInKinds (required)

Extension: DisclosingParty
Id: icm-disclosing-party
Title: "Who may disclose"
Description: "42 CFR 2.31(a): the person, or class of persons, permitted to disclose, in the form's words. Absent: the organization of the Consent."
Context: Consent
* value[x] 1..1
* value[x] only string

Extension: Intermediary
Id: icm-intermediary
Title: "Intermediary"
Description: "42 CFR 2.31(a): an intermediary through which the recipient gets the information."
Context: Consent
* value[x] 1..1
* value[x] only Reference(IcmOrganization)

Extension: RepresentativeAuthority
Id: icm-representative-authority
Title: "Representative's authority"
Description: "45 CFR 164.508(c)(1)(vi): a description of such representative's authority to act for the individual."
Context: Consent
* value[x] 1..1
* value[x] only string

CodeSystem: FormStatementCodes
Id: icm-form-statement
Title: "Statements of a form"
Description: "45 CFR 164.508(c)(2) and (4), 42 CFR 2.31(a), BC FIPPA s.27."
* insert Terms
* #right-to-revoke "Right to revoke, and how"
* #conditioning "Whether services are conditioned on it"
* #redisclosure "It may be redisclosed"
* #redisclosure-except-proceedings "It may be redisclosed, except in proceedings against the patient"
* #consequences-of-refusal "Consequences of a refusal"
* #copy-to-member "A copy is given"
* #purpose-and-authority-of-collection "Purpose and authority of collection"

ValueSet: FormStatements
Id: icm-form-statements
Title: "Statements of a form"
Description: "What a form tells the member."
* ^experimental = false
* include codes from system FormStatementCodes

Extension: FormStatement
Id: icm-form-statement
Title: "Statement of a form"
Description: "What this version of the form states. 45 CFR 164.508(c)(2), 42 CFR 2.31(a)."
Context: DocumentReference
* value[x] 1..1
* value[x] only code
* valueCode from FormStatements (required)

Extension: CopyGiven
Id: icm-copy-given
Title: "Copy given"
Description: "45 CFR 164.508(c)(4): the individual is given a copy of the signed authorization."
Context: DocumentReference
* value[x] 1..1
* value[x] only date

CodeSystem: SignatureKindCodes
Id: icm-signature-kind
Title: "Kinds of signature"
Description: "45 CFR 164.508(c)(1)(vi)."
* insert Terms
* #handwritten "Handwritten"
* #electronic "Electronic"
* #mark "Mark"

ValueSet: SignatureKinds
Id: icm-signature-kinds
Title: "Kinds of signature"
Description: "Handwritten, electronic or a mark."
* ^experimental = false
* include codes from system SignatureKindCodes

Extension: SignatureKind
Id: icm-signature-kind
Title: "Kind of signature"
Description: "How a release was signed."
Context: Provenance
* value[x] 1..1
* value[x] only code
* valueCode from SignatureKinds (required)

CodeSystem: IcmDocument
Id: icm-document
Title: "Kinds of document"
Description: "BC ICMT 1.6: representation agreements, Ulysses Agreements. Nebraska, Program Expectations: the assessment that must be there before."
* insert Terms
* #representation-agreement "Representation agreement"
* #ulysses-agreement "Ulysses Agreement"
* #mental-health-assessment "Mental health assessment"
* #substance-use-assessment "Substance use disorder assessment"
* #treatment-plan "Treatment plan of another provider"
* #service-plan "Service plan of another provider"

CodeSystem: IcmDocumentCategory
Id: icm-document-category
Title: "Categories of document"
Description: "Nebraska: a copy of the assessment in the file."
* insert Terms
* #assessment "Assessment"
* #plan "Plan of another provider" "Nebraska: copies of treatment/service plans."

Profile: IcmDocumentOnFile
Parent: DocumentReference
Id: icm-document
Title: "Document on file"
Description: "A directive made before (BC ICMT 1.6; type and category of HL7 PACIO ADI), or the assessment that had to be there (Nebraska)."
* insert Profile
* status 1..1 MS
* type 1..1 MS
* category 1..* MS
* insert OfMember(subject)
* date 1..1 MS
* content 1..* MS
* content.attachment MS
* context MS

CodeSystem: IcmPrimaryCare
Id: icm-primary-care
Title: "Primary care"
Description: "HUSKY, ICM Approach: the primary care practice acts as the hub; recognition as a patient-centered medical home."
* insert Terms
* #primary-care "Primary care"
* #pcmh-ncqa "Medical home recognised by NCQA"
* #pcmh-joint-commission "Medical home recognised by the Joint Commission"
* #fqhc "Federally qualified health center"
