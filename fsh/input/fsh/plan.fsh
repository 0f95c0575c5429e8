Profile: IcmCarePlan
Parent: CarePlan
Id: icm-care-plan
Title: "ICM care plan"
Description: "The plan, or a section of it (crisis, wellness, discharge plan). Follows MCC eCare Plan 1.0.0 (http://hl7.org/fhir/us/mcc/StructureDefinition/mccCarePlan): no activity.detail, every activity a referenced request. Repeats US Core CarePlan 6.1.0: category assess-plan. HUSKY: problems/opportunities, medications, barriers, strengths, interventions, and SMART goals; Nebraska: Wellness and Recovery Service Plan."
* insert Profile
* status 1..1 MS
* intent 1..1 MS
* category 2..* MS
* category ^slicing.discriminator.type = #pattern
* category ^slicing.discriminator.path = "$this"
* category ^slicing.rules = #open
* category contains assessPlan 1..1 MS
* category[assessPlan] = $careplan-category#assess-plan
* subject 1..1 MS
* subject only Reference(IcmMember)
* period MS
* contributor MS
* careTeam MS
* addresses MS
* addresses only Reference(Condition)
* supportingInfo MS
* goal MS
* goal only Reference(IcmGoal)
* partOf MS
* activity MS
* insert NoActivityDetail
* author 0..0
* extension contains Reviewed named reviewed 0..* MS and PlanStep named step 0..* MS and OnCall named onCall 0..* MS

Profile: IcmGoal
Parent: Goal
Id: icm-goal
Title: "Goal in the member's own words"
Description: "CT BHP: goals are phrased in first person (\"I am receiving the treatment and support resources I need.\"); members have a choice in which goals they want to work on. Repeats US Core Goal 6.1.0 and MCC Goal 1.0.0: goal-acceptance and goal-reasonRejected."
* insert Profile
* lifecycleStatus 1..1 MS
* achievementStatus MS
* category MS
* priority MS
* description 1..1 MS
* description.text 1..1 MS
* subject 1..1 MS
* subject only Reference(IcmMember)
* start[x] MS
* target MS
* target.due[x] MS
* addresses MS
* expressedBy 1..1 MS
* statusDate MS
* note MS
* extension contains WorksOnGoal named worksOn 0..* MS and AlignedWith named alignedWith 0..* MS

Profile: IcmIntervention
Parent: ServiceRequest
Id: icm-intervention
Title: "Contact or intervention of a plan"
Description: "What is planned, by whom, how often: the cadence is in occurrenceTiming, since MCC has no activity.detail. CT BHP, tiers: multiple contacts per week by Peer & ICM. Repeats US Core ServiceRequest 6.1.0."
* insert Profile
* status 1..1 MS
* intent 1..1 MS
* intent = #plan
* category 1..* MS
* category.coding 1..*
* code 1..1 MS
* subject 1..1 MS
* subject only Reference(IcmMember)
* occurrence[x] MS
* authoredOn 1..1 MS
* requester 1..1 MS
* performer MS
* locationCode MS
* extension contains AskedFor named askedFor 0..1 MS

Profile: IcmContact
Parent: Encounter
Id: icm-contact
Title: "Contact of the team with the member"
Description: "Where, how and with whom. HUSKY, How member outreach is conducted; Nebraska: telephone is acceptable with documentation regarding the barriers. Repeats US Core Encounter 6.1.0."
* insert Profile
* status 1..1 MS
* class 1..1 MS
* type 1..* MS
* insert OfMember(subject)
* participant MS
* period 1..1 MS
* reasonCode MS
* extension contains GroupParticipants named participants 0..1 MS

Profile: IcmProvenance
Parent: Provenance
Id: icm-provenance
Title: "Who says so, who signed"
Description: "Where a resource comes from, and who signed it off. Nebraska: the clinical consultant is responsible for reviewing and signing off; BC ICMT B.2: Team Lead and Psychiatrist sign. Repeats US Core Provenance 6.1.0."
* insert Profile
* target 1..* MS
* recorded 1..1 MS
* agent 1..* MS
* agent.type MS
* agent.who 1..1 MS
* activity MS
