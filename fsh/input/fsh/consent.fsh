RuleSet: IcmConsentCommon
* insert Profile
* status 1..1 MS
* scope 1..1 MS
* category 1..* MS
* patient 1..1 MS
* patient only Reference(IcmMember)
* dateTime 1..1 MS
* performer 1..* MS
* organization 1..1 MS
* verification 0..0

Profile: IcmOptIn
Parent: Consent
Id: icm-opt-in
Title: "Opt-in to an ICM programme"
Description: "CT BHP, Initial meeting: member agreement to participate/'opt-in'. A precondition of care management; never itself a permission to disclose, so it has no provision."
* insert IcmConsentCommon
* scope = $consent-scope#treatment
* category.coding 1..1
* category.coding = IcmConsentCategory#opt-in
* policyRule 1..1 MS
* provision 0..0
* extension contains ConsentMode named mode 0..1 MS and ConsentEnded named ended 0..1 MS

Profile: IcmRelease
Parent: Consent
Id: icm-release
Title: "Release of information (ROI)"
Description: "The member's permission to disclose: every element of 45 CFR 164.508(c) and 42 CFR 2.31. Conforms to IHE PCF 1.1.1, Explicit Advanced (https://profiles.ihe.net/ITI/PCF/StructureDefinition/IHE.PCF.consentAdvanced): no action, class or code; one level of provisions; recipients with role IRCP. Repeats Gravity SDOHCC Consent."
* insert IcmConsentCommon
* scope = $consent-scope#patient-privacy
* category ^slicing.discriminator.type = #pattern
* category ^slicing.discriminator.path = "$this"
* category ^slicing.rules = #open
* category contains loinc 1..1 MS and disclosure 1..1 MS and roi 1..1 MS
* category[loinc] = $loinc#64292-6
* category[disclosure] = $act#IDSCL
* category[roi] = IcmConsentCategory#roi
* source[x] MS
* policy 1..1 MS
* policy.uri 1..1 MS
* policyRule MS // BC FIPPA has no published code: policy.uri stands for it
* provision 1..1 MS
* provision.type 1..1 MS
* provision.type = #permit
* provision.period 1..1 MS
* provision.actor 1..* MS
* provision.actor.role = $participation#IRCP
* provision.action 0..0
* provision.class 0..0
* provision.code 0..0
* provision.purpose 1..* MS
* provision.securityLabel MS
* provision.provision MS
* provision.provision.type = #deny
* provision.provision.provision 0..0
* extension contains ConsentEnded named ended 0..1 MS and ConsentExpiryEvent named expiryEvent 0..1 MS and RevokedIn named revokedIn 0..1 MS and DisclosingParty named discloser 0..1 MS and Intermediary named intermediary 0..1 MS and RepresentativeAuthority named authority 0..1 MS

Profile: IcmRefusal
Parent: Consent
Id: icm-refusal
Title: "Refusal of a person, or safety list"
Description: "Whom the member refuses, and who must not learn where the member is. BC ICMT 1.6: refuse to have certain people involved in their care. A refusal is not undone by a permission."
* insert IcmConsentCommon
* scope = $consent-scope#patient-privacy
* category.coding.system = "http://fhirgw.org/fhir/CodeSystem/icm-consent-category"
* policy 1..1 MS
* provision 1..1 MS
* provision.type = #deny
* provision.actor 1..* MS
* provision.actor.role = $participation#IRCP
* provision.provision 0..0

Profile: IcmSignedForm
Parent: DocumentReference
Id: icm-signed-form
Title: "Signed form"
Description: "The scanned agreement or release: very restricted, since it names recipients and content. CT BHP: Explanation and signing of Release Of Information forms."
* insert Profile
* status 1..1 MS
* type 1..1 MS
* category 1..* MS
* subject 1..1 MS
* subject only Reference(IcmMember)
* date MS
* content 1..* MS
* content.attachment MS
