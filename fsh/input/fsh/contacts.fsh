// Contacts, attempts to reach somebody, past visits, incidents.

CodeSystem: IcmContactPurpose
Id: icm-contact-purpose
Title: "Purposes of a contact"
Description: "CT BHP, Initial meeting and ICM/Peer Tiered Approach: engagement, assessment, education, care plan, monitoring, coordination & reassessment; collaterals for aftercare. BC ICMT 2.1, 2.4."
* insert Terms
* #introduction "Introduction"
* #engagement "Engagement"
* #goals-discussion "Discussion about goals"
* #assessment "Assessment"
* #education "Education"
* #care-planning "Care planning"
* #monitoring "Monitoring"
* #coordination "Coordination"
* #reassessment "Reassessment"
* #motivational-interviewing "Motivational interviewing"
* #coaching "Coaching"
* #accompaniment "Accompaniment"
* #aftercare "Aftercare"
* #discharge-planning "Discharge planning"
* #crisis "Crisis"

Extension: GroupParticipants
Id: icm-group-participants
Title: "Participants of the group"
Description: "Nebraska, Staffing Ratio: groups are a minimum of three participants and a maximum of twelve. The session's identifier is the same on the contacts of all who took part."
Context: Encounter
* value[x] 1..1
* value[x] only positiveInt

CodeSystem: IcmAttemptCode
Id: icm-attempt
Title: "Attempts to reach somebody"
Description: "CCBH, Discharge Criteria: letters, engagement in services contract, appointments that are more convenient. BC ICMT 2.8: attempt to re-engage."
* insert Terms
* #letter "Letter"
* #phone "Telephone call"
* #visit "Visit"
* #message "Message"
* #engagement-contract "Engagement in services contract"
* #convenient-appointment "Appointment that is more convenient"

Profile: IcmAttempt
Parent: Communication
Id: icm-attempt
Title: "Attempt to reach the member"
Description: "CCBH, Discharge Criteria; BC ICMT 2.8. Answered when received is there."
* insert Profile
* status 1..1 MS
* category 1..1 MS
* category.coding 1..1
* category.coding.system = "http://fhirgw.org/fhir/CodeSystem/icm-attempt"
* insert OfMember(subject)
* sent 1..1 MS
* received MS
* recipient 1..* MS
* sender 1..1 MS
* payload MS

CodeSystem: IcmPastVisitKind
Id: icm-past-visit
Title: "Kinds of past visit"
Description: "CCBH, Admission Criteria, A: state mental hospital, inpatient psychiatric unit, crisis residential, walk-in, mobile, or emergency services."
* insert Terms
* #inpatient "Hospital"
* #inpatient-psychiatric "Psychiatric unit"
* #crisis-residential "Crisis residential"
* #state-hospital "State mental hospital"
* #emergency "Emergency service"
* #walk-in-crisis "Walk-in crisis service"
* #mobile-crisis "Mobile crisis service"

Profile: IcmPastVisit
Parent: Encounter
Id: icm-past-visit
Title: "Visit that came with the referral"
Description: "Treatment history for look-backs. CCBH, Admission Criteria, A."
* insert Profile
* status 1..1 MS
* class 1..1 MS
* type 1..1 MS
* type.coding 1..1
* type.coding.system = "http://fhirgw.org/fhir/CodeSystem/icm-past-visit"
* insert OfMember(subject)
* period 1..1 MS

CodeSystem: IcmObservationCategory
Id: icm-observation-category
Title: "Categories of observation"
Description: "What HL7's categories have not. BC ICMT B.6: critical incidents."
* insert Terms
* #incident "Crisis or critical incident"

CodeSystem: IcmIncidentResponse
Id: icm-incident-response
Title: "Responses to an incident"
Description: "BC ICMT 2.2: the emergency department only where the crisis cannot be resolved by the crisis response protocol. Nebraska: other crisis response services."
* insert Terms
* #crisis-plan "The member's own crisis plan"
* #team "The team"
* #crisis-service "Crisis service"
* #emergency-department "Emergency department"
* #police "Police"

Profile: IcmIncident
Parent: Observation
Id: icm-incident
Title: "Crisis or critical incident"
Description: "BC ICMT 2.2 and B.6: reviewed after every crisis incident; all critical incidents are recorded and reviewed by the team. Follow-up and review are Tasks."
* insert Profile
* status 1..1 MS
* category 1..1 MS
* category = IcmObservationCategory#incident
* code 1..1 MS
* code from Incidents (required)
* insert OfMember(subject)
* effective[x] 1..1 MS
* effective[x] only dateTime
* performer MS
* note MS
* component MS

ValueSet: Incidents
Id: icm-incidents
Title: "Kinds of incident"
Description: "Crisis, critical incident."
* ^experimental = false
* IcmFinding#crisis
* IcmFinding#critical-incident
