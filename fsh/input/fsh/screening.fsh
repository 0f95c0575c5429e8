// Eligibility, screens, findings: what is known of a member besides the plan.

CodeSystem: IcmAnswer
Id: icm-answer
Title: "Answers to a criterion"
Description: "Whether a criterion of admission or continued stay is met."
* insert Terms
* #yes "Yes"
* #no "No"
* #unknown "Unknown"

CodeSystem: IcmEligibility
Id: icm-eligibility
Title: "Outcomes of a screening"
Description: "BC ICMT 1.3: eligible or not. CCBH, Authorization For Services: exceptions can be granted."
* insert Terms
* #eligible "Eligible"
* #ineligible "Not eligible"
* #exception "Exception granted"

CodeSystem: IcmTaskCode
Id: icm-task
Title: "Tasks of a programme"
Description: "Nebraska: efforts to obtain the assessment, steps to minimize risk. BC ICMT 1.3: screening; 1.6: full capability assessment. A programme's file may have its triggers call for other work."
* ^experimental = false
* ^caseSensitive = true
* ^content = #fragment
* #contact-candidate "First contact" "CT BHP, ICM/Peer Engagement Process; BC ICMT 1.2."
* #screen-eligibility "Screening after a referral" "BC ICMT 1.2."
* #eligibility-review "Review of eligibility" "CCBH, Admission Criteria."
* #plan-revision "Review of the care plan" "HUSKY: such as after inpatient or ED visits."
* #outreach "Outreach" "HUSKY, ICM Process; Nebraska, Interventions."
* #follow-up "Follow-up after discharge" "CT BHP, Coordination and Collaboration."
* #readmission-review "Review after readmission" "HUSKY."
* #closure-review "Review of the closure of the case"
* #visit-undone "The visit behind this work is undone"
* #match-review "Say whom messages are about"
* #merge-review "Confirm that two people are one"
* #obtain-mental-health-assessment "Obtain the mental health assessment"
* #obtain-substance-use-assessment "Obtain the substance use assessment"
* #screening-admission "Screening for eligibility"
* #screening-continued-stay "Screening for continued stay"
* #full-capability-assessment "Full capability assessment"
* #safety "See to the member's safety"
* #connect "See that the member is connected" "CT BHP, Coordination and Collaboration."
* #consider-suggestion "Consider a suggestion" "HUSKY, Coordination & Collaboration."
* #sign-off "Sign the plan" "Nebraska; BC ICMT B.2."
* #caseload "Caseload over its maximum" "BC ICMT B.5: management is made aware."
* #incident-follow-up "Follow up an incident" "BC ICMT B.4."
* #incident-review "Review an incident" "BC ICMT 2.2, B.6."
* #record-access "Access to the record" "BC ICMT 1.6."
* #appeal "Appeal of a plan decision" "BC ICMT 1.6."
* #complaint "Complaint" "BC ICMT 1.6."
* #emergency-review "Review access in an emergency" "42 CFR 2.51(c): what was claimed is documented at once."
* #consent-review "Settle what a consent leaves open"

CodeSystem: IcmUndone
Id: icm-undone
Title: "Why work is withdrawn"
Description: "What the gateway learned that ended work which a hospital visit had called for."
* insert Terms
* #the-person-has-died "The person has died"
* #the-visit-was-cancelled-or-corrected "The visit was cancelled or corrected"
* #the-visit-was-another-person's "The visit was another person's"
* #the-visit-stands-again "The visit stands again"

CodeSystem: IcmTaskInput
Id: icm-task-input
Title: "Dates of a task"
Description: "BC ICMT 1.3, Guidelines: attempts to contact. Nebraska: efforts to obtain."
* insert Terms
* #contact-attempt "Attempt to contact"
* #effort "Effort to obtain"
* #assessed "Day of the assessment"

CodeSystem: IcmRecommends
Id: icm-recommends
Title: "Whether an assessment recommends this level of care"
Description: "Nebraska, Program Expectations: recommends this level of care."
* insert Terms
* #true "Recommends this level of care"
* #false "Does not recommend this level of care"

CodeSystem: IcmFinding
Id: icm-finding
Title: "Kinds of finding"
Description: "BC ICMT 1.4 to 1.6, 2.5, 2.7; HUSKY: strengths, preferences; CCBH: functional impairment; Nebraska: screenings."
* insert Terms
* #strength "Strength" "What the client brings."
* #preference-cultural "Cultural preference"
* #preference-spiritual "Spiritual preference"
* #preference-sexual "Sexual preference"
* #preference-gender "Gender preference"
* #preference-care "Preference about care"
* #function-educational "Educational functioning"
* #function-social "Social functioning"
* #function-vocational "Vocational functioning"
* #function-self-maintenance "Self-maintenance"
* #stage-of-change "Stage of change"
* #pattern-of-use "Pattern of use"
* #housing "Housing"
* #housing-affordable "At most 30 % of income"
* #housing-good-repair "In good repair"
* #housing-uncrowded "Not overcrowded"
* #circumstance "Circumstance that services are adapted to"
* #suicide-risk "Suicide risk"
* #reading-blood-pressure "Blood pressure"
* #reading-systolic "Systolic blood pressure"
* #reading-diastolic "Diastolic blood pressure"
* #reading-blood-glucose "Blood glucose"
* #reading-cholesterol "Cholesterol"
* #reading-weight "Weight"
* #reading-peak-flow "Peak flow"
* #crisis "Crisis"
* #critical-incident "Critical incident"
* #incident-response "Response to an incident"
* #capability "Ability to decide"
* #capability-personal-safety "Personal safety"
* #capability-access-basic-services "Ability to access basic services"
* #capability-recognise-consequences "Ability to recognize consequences of actions and behaviours"

CodeSystem: IcmSeverity
Id: icm-severity
Title: "Severity"
Description: "Impairment, bands of the PHQ-9, risk. Nebraska names imminent danger; the other levels of risk are ours."
* insert Terms
* #none "None"
* #minimal "Minimal"
* #mild "Mild"
* #moderate "Moderate"
* #moderately-severe "Moderately severe"
* #severe "Severe"
* #risk-none "No risk"
* #risk-low "Low risk"
* #risk-moderate "Moderate risk"
* #risk-high "High risk"
* #risk-imminent "Imminent danger"

CodeSystem: IcmStageOfChange
Id: icm-stage-of-change
Title: "Stages of change"
Description: "BC ICMT, Stages of Change: precontemplative, contemplative, preparation, action and maintenance."
* insert Terms
* #precontemplation "Precontemplation"
* #contemplation "Contemplation"
* #preparation "Preparation"
* #action "Action"
* #maintenance "Maintenance"

CodeSystem: IcmHousing
Id: icm-housing
Title: "Housing categories"
Description: "BC ICMT 1.4, Canadian Definition of Homelessness, and housed."
* insert Terms
* #unsheltered "Unsheltered"
* #emergency-sheltered "Emergency sheltered"
* #provisionally-accommodated "Provisionally accommodated"
* #at-risk "At risk of homelessness"
* #housed "Housed"

CodeSystem: IcmCircumstance
Id: icm-circumstance
Title: "Circumstances that services are adapted to"
Description: "Nebraska, Program Expectations: such as veterans, transitional age youth, families, and those with law enforcement contact."
* insert Terms
* #veteran "Veteran"
* #transition-age-youth "Transitional age youth"
* #family "Family"
* #law-enforcement-contact "Law enforcement contact"

CodeSystem: IcmAuthorizationCode
Id: icm-authorization
Title: "A payer's decisions"
Description: "CCBH, Authorization For Services."
* insert Terms
* #requested "Requested"
* #approved "Approved"
* #exception "Exception granted"
* #denied "Denied"

ValueSet: Authorizations
Id: icm-authorizations
Title: "A payer's decisions"
Description: "Requested, approved, exception granted or denied."
* ^experimental = false
* include codes from system IcmAuthorizationCode

Extension: AuthorizationDecision
Id: icm-authorization
Title: "Decision on an authorization"
Description: "CCBH: authorization for individuals who meet medical necessity criteria; exceptions can be granted. ClaimResponse.outcome tells of processing only."
Context: ClaimResponse
* value[x] 1..1
* value[x] only code
* valueCode from Authorizations (required)

CodeSystem: IcmExplainedTo
Id: icm-explained-to
Title: "To whom a decision was explained"
Description: "BC ICMT 1.3: client/family/referral source."
* insert Terms
* #client "Client"
* #family "Family"
* #referral-source "Referral source"

ValueSet: ExplainedToParties
Id: icm-explained-to
Title: "To whom a decision was explained"
Description: "Client, family, referral source."
* ^experimental = false
* include codes from system IcmExplainedTo

Extension: ExplainedTo
Id: icm-explained-to
Title: "Explained to"
Description: "BC ICMT 1.3: explain to client/family/referral source reason for the decision. A family or a source is not always on record, so it is no recipient."
Context: Communication
* value[x] 1..1
* value[x] only code
* valueCode from ExplainedToParties (required)

Extension: ReferringOrganization
Id: icm-referring-organization
Title: "Organization behind a referrer"
Description: "HUSKY: hospital staff, providers, state agencies. ServiceRequest.requester names the person."
Context: ServiceRequest
* value[x] 1..1
* value[x] only Reference(IcmOrganization)

Profile: IcmRecommendation
Parent: ServiceRequest
Id: icm-recommendation
Title: "Physician's recommendation"
Description: "CCBH, Referrals: admission requires a physician's recommendation as well as a referral by another individual."
* insert Profile
* status 1..1 MS
* intent 1..1 MS
* category 1..1 MS
* category = IcmReferralSource#physician-recommendation
* code 1..1 MS
* insert OfMember(subject)
* authoredOn 1..1 MS
* requester 1..1 MS
* reasonCode MS

Profile: IcmLinkOut
Parent: ServiceRequest
Id: icm-link-out
Title: "Link to another service"
Description: "BC ICMT 1.3: actively linked by the team to services that are best suited to meet their needs."
* insert Profile
* status 1..1 MS
* intent 1..1 MS
* category 1..1 MS
* code 1..1 MS
* insert OfMember(subject)
* authoredOn 1..1 MS
* requester 1..1 MS
* performer 1..* MS

Profile: IcmAuthorization
Parent: ClaimResponse
Id: icm-authorization-response
Title: "Authorization"
Description: "The payer's word before the service. CCBH, Authorization For Services."
* insert Profile
* use = #preauthorization
* insert OfMember(patient)
* preAuthRef MS
* preAuthPeriod MS
* processNote MS
* extension contains AuthorizationDecision named decision 1..1 MS

Profile: IcmFlag
Parent: Flag
Id: icm-flag
Title: "Cohort or caution"
Description: "HUSKY, ICM Care Teams: whom a member is cared for with. BC ICMT 2.5: what everybody who meets the client must know."
* insert Profile
* status 1..1 MS
* category 1..1 MS
* code 1..1 MS
* insert OfMember(subject)
* period 1..1 MS

CodeSystem: IcmFlagKind
Id: icm-flag
Title: "Kinds of flag"
Description: "HUSKY: cohorts. BC ICMT 2.5: safety, trauma."
* insert Terms
* #cohort "Cohort"
* #safety "Safety"
* #trauma "Trauma"
* #communication "Communication"
