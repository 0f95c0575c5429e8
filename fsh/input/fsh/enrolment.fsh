Profile: IcmEnrolment
Parent: EpisodeOfCare
Id: icm-enrolment
Title: "Enrolment in an ICM programme"
Description: "From candidate to graduation. No published profile of an enrolment was found. CT BHP: the opt-in begins it; HUSKY: case is closed when the goals are met; BC ICMT 2.8: inactive up to three months; B.5: a wait list."
* insert Profile
* status 1..1 MS
* statusHistory MS
* type 1..1 MS
* type.coding 1..1
* type.coding.system = "http://fhirgw.org/fhir/CodeSystem/icm-program"
* insert OfMember(patient)
* managingOrganization 1..1 MS
* period MS
* obeys icm-enrolled
* referralRequest MS
* careManager MS
* team MS
* extension contains Phase named phase 0..* MS and Reentry named reentry 0..1 MS and ClosureReason named reason 0..1 MS and Outcome named outcome 0..* MS

Profile: IcmReferral
Parent: ServiceRequest
Id: icm-referral
Title: "Referral to an ICM programme"
Description: "From any source, the member included. BC ICMT 1.2: referrals from all sources; CCBH: admission requires a physician's recommendation as well as a referral by another individual. Repeats US Core ServiceRequest 6.1.0."
* insert Profile
* status 1..1 MS
* intent 1..1 MS
* category 1..* MS
* category from ReferralSources (extensible)
* code 1..1 MS
* code.coding 1..1
* code.coding.system = "http://fhirgw.org/fhir/CodeSystem/icm-program"
* insert OfMember(subject)
* authoredOn 1..1 MS
* requester MS
* performer 1..* MS
* reasonCode MS

Profile: IcmTask
Parent: Task
Id: icm-task
Title: "Something to be done, by when"
Description: "A programme's clock, the contact that a referral calls for, the revision that a hospital visit calls for, a review by a person. restriction.period.end is the due time. BC ICMT 1.2: contacted within three days; Nebraska: WRSP within 30 days."
* insert Profile
* status 1..1 MS
* intent 1..1 MS
* code 1..1 MS
* businessStatus MS
* focus MS
* for 1..1 MS
* for only Reference(IcmMember)
* authoredOn 1..1 MS
* owner MS
* restriction MS
* restriction.period MS

Invariant: icm-enrolled
Description: "An enrolment that was ever active says since when."
Severity: #error
Expression: "status = 'planned' or status = 'waitlist' or status = 'cancelled' or status = 'entered-in-error' or period.start.exists()"
