// The plan among others, and the end of a case.

CodeSystem: IcmCollaboration
Id: icm-collaboration
Title: "Communications about a plan"
Description: "HUSKY, Coordination & Collaboration: the plan is shared if the member agrees; the provider has the opportunity to respond back with any suggestions. CT BHP: a hard copy is printed for the member."
* insert Terms
* #plan-shared "The plan was given to somebody"
* #suggestion "Suggestion to the plan"
* #provider "Provider who suggests"

CodeSystem: IcmSharing
Id: icm-sharing
Title: "How a plan was given"
Description: "CT BHP: printed for the member."
* insert Terms
* #printed "Printed"
* #electronic "Electronic"
* #verbal "By word of mouth"

Profile: IcmPlanCommunication
Parent: Communication
Id: icm-plan-communication
Title: "Copy of a plan, suggestion to a plan"
Description: "HUSKY, Coordination & Collaboration. A suggestion changes nothing by itself: a Task asks the team to consider it."
* insert Profile
* status 1..1 MS
* category 1..1 MS
* category.coding 1..1
* category.coding.system = "http://fhirgw.org/fhir/CodeSystem/icm-collaboration"
* insert OfMember(subject)
* about 1..1 MS
* about only Reference(IcmCarePlan)
* sent 1..1 MS
* recipient 1..* MS
* sender 1..1 MS
* payload MS

Profile: IcmConnection
Parent: ServiceRequest
Id: icm-connection
Title: "Connection to a service"
Description: "CT BHP, Coordination and Collaboration: make referrals; assess barriers and support member to ensure connection. A Task follows it until it is settled, as in Gravity SDOH Clinical Care."
* insert Profile
* status 1..1 MS
* intent 1..1 MS
* category 1..1 MS
* category = IcmService#connection
* code 1..1 MS
* insert OfMember(subject)
* authoredOn 1..1 MS
* requester 1..1 MS
* performer 1..* MS
* reasonReference MS

Profile: IcmSuggestedService
Parent: ServiceRequest
Id: icm-suggested-service
Title: "Service that a provider suggests"
Description: "HUSKY, Coordination & Collaboration: the provider has the opportunity to respond back with any suggestions to the member's plan of care. It changes nothing by itself: a Task asks the team to consider it."
* insert Profile
* basedOn 1..1 MS
* basedOn only Reference(IcmCarePlan)
* status 1..1 MS
* intent = #proposal
* category 1..1 MS
* category = IcmService#suggestion
* code 1..1 MS
* code.text 1..1 MS
* insert OfMember(subject)
* authoredOn 1..1 MS
* requester 1..1 MS

Profile: IcmAftercare
Parent: ServiceRequest
Id: icm-aftercare
Title: "Aftercare"
Description: "BC ICMT 2.8: the discharge plan clearly articulates roles/activities, and all providers understand and agree to their role post-discharge. HUSKY: continued access to other services."
* insert Profile
* status 1..1 MS
* intent = #plan
* category 1..1 MS
* category = IcmService#aftercare
* code 1..1 MS
* insert OfMember(subject)
* authoredOn 1..1 MS
* requester 1..1 MS
* performer 1..* MS

Extension: WorksOnGoal
Id: icm-works-on-goal
Title: "Works on this goal"
Description: "CT BHP: establish who will be working on which goals. MCC's resource-pertainsToGoal on the CareTeam names goals, not who of the team works on them."
Context: Goal
* value[x] 1..1
* value[x] only Reference(IcmMember or IcmRelatedPerson or IcmPractitionerRole)

Extension: AlignedWith
Id: icm-aligned-with
Title: "Plan of others that this goal fits"
Description: "BC ICMT 1.5: goals complement goals developed by collaborating agencies."
Context: Goal
* value[x] 1..1
* value[x] only Reference(IcmDocumentOnFile)

Extension: AskedFor
Id: icm-asked-for
Title: "Asked for by the member"
Description: "CCBH, Individual Advocacy: if the consumer requests this service."
Context: ServiceRequest
* value[x] 1..1
* value[x] only date

Extension: Reviewed
Id: icm-reviewed
Title: "Reviewed"
Description: "Nebraska: reviewed and updated a minimum of every 90 days. BC ICMT 2.2: reviewed following every crisis incident."
Context: CarePlan
* value[x] 1..1
* value[x] only date

CodeSystem: PlanStepCodes
Id: icm-plan-step
Title: "Steps of a plan"
Description: "Nebraska: early warning signs and triggers and response; strategies. BC ICMT 1.5, 2.2: triggers and agreed to actions; prevention strategies."
* insert Terms
* #strategy "Strategy"
* #warning-sign "Early warning sign"
* #trigger "Trigger"
* #response "Response"
* #prevention "Prevention strategy"
* #after "Afterwards"

ValueSet: PlanSteps
Id: icm-plan-steps
Title: "Steps of a plan"
Description: "Strategy, warning sign, trigger, response, prevention, afterwards."
* ^experimental = false
* include codes from system PlanStepCodes

Extension: PlanStep
Id: icm-plan-step
Title: "Step of a plan"
Description: "Nebraska, Program Expectations; BC ICMT 2.2. In the words of the plan."
Context: CarePlan
* extension contains kind 1..1 and what 1..1
* extension[kind].value[x] only code
* extension[kind].valueCode from PlanSteps (required)
* extension[what].value[x] only string

Extension: OnCall
Id: icm-on-call
Title: "Service on call"
Description: "BC ICMT 2.2: a list of the services available on-call to address crisis situations."
Context: CarePlan
* extension contains name 1..1 and telecom 1..1 and hours 0..1
* extension[name].value[x] only string
* extension[telecom].value[x] only ContactPoint
* extension[hours].value[x] only string

Extension: Phase
Id: icm-phase
Title: "Step of the programme's process"
Description: "HUSKY, ICM Process; BC ICMT, Figure 2. The code is the programme's own."
Context: EpisodeOfCare
* extension contains phase 1..1 and start 1..1
* extension[phase].value[x] only Coding
* extension[start].value[x] only date

CodeSystem: ReentryCodes
Id: icm-reentry
Title: "Reasons to come back"
Description: "HUSKY, Achieving Care Plan Goals: changes in health status or conditions. BC ICMT 2.2, 2.8: crisis, relapse."
* insert Terms
* #change-in-health "Change in health status or conditions"
* #crisis "Crisis"
* #relapse "Relapse"
* #own-wish "Own wish"

ValueSet: Reentries
Id: icm-reentries
Title: "Reasons to come back"
Description: "Change in health, crisis, relapse, own wish."
* ^experimental = false
* include codes from system ReentryCodes

Extension: Reentry
Id: icm-reentry
Title: "Earlier enrolment"
Description: "HUSKY: members can seek ICM services for changes in their health status; BC ICMT 2.8: re-admission."
Context: EpisodeOfCare
* extension contains enrolment 1..1 and after 1..1
* extension[enrolment].value[x] only Identifier
* extension[after].value[x] only code
* extension[after].valueCode from Reentries (required)

Extension: ClosureReason
Id: icm-closure-reason
Title: "Reason of the closure"
Description: "CCBH, Discharge Criteria; BC ICMT 2.8; HUSKY, Follow-up and Case Closure. The code is the programme's own."
Context: EpisodeOfCare
* value[x] 1..1
* value[x] only Coding

Extension: Outcome
Id: icm-outcome
Title: "Outcome"
Description: "HUSKY: demonstrates self-advocacy, expresses understanding, successfully manages the condition; Nebraska, Individual Desired Outcome. The code is the programme's own."
Context: EpisodeOfCare
* value[x] 1..1
* value[x] only Coding

CodeSystem: IcmActivity
Id: icm-activity
Title: "Activities"
Description: "HUSKY, Achieving Care Plan Goals: the member, caregiver, and provider agree."
* insert Terms
* #closure-agreed "Agreed to the closure"

CodeSystem: IcmParty
Id: icm-party
Title: "Parties to a closure"
Description: "HUSKY: member, caregiver, provider. BC ICMT 2.8: the client and all service providers; the team lead is consulted."
* insert Terms
* #member "Member"
* #caregiver "Caregiver"
* #provider "Provider"
* #team "Team"
