Instance: CarePlan-document
InstanceOf: OperationDefinition
Usage: #definition
* name = "CarePlanDocument"
* title = "Care plan as a document"
* status = #active
* kind = #operation
* description = "A care plan, its parts and what they refer to, as far as the requester may see them: a document Bundle; or, by Accept or _format, the member's own copy as HTML or PDF, in plain language."
* affectsState = false
* code = #document
* resource = #CarePlan
* system = false
* type = false
* instance = true
* parameter[0].name = #language
* parameter[=].use = #in
* parameter[=].min = 0
* parameter[=].max = "1"
* parameter[=].documentation = "What is said around the member's own words is said in this language: en (the default) or es."
* parameter[=].type = #code
* parameter[+].name = #largePrint
* parameter[=].use = #in
* parameter[=].min = 0
* parameter[=].max = "1"
* parameter[=].documentation = "Whether what is printed is printed large."
* parameter[=].type = #boolean
* parameter[+].name = #return
* parameter[=].use = #out
* parameter[=].min = 1
* parameter[=].max = "1"
* parameter[=].documentation = "The document."
* parameter[=].type = #Bundle

Instance: Patient-disclosures
InstanceOf: OperationDefinition
Usage: #definition
* name = "PatientDisclosures"
* title = "Accounting of disclosures"
* status = #active
* kind = #operation
* description = "What was disclosed of a member outside the programme, for the programme's own staff, who hand it to the member: a Bundle of AuditEvents; or, by Accept or _format, the accounting printed as HTML or PDF. What a law has listed (45 CFR 164.528, 42 CFR 2.25) is tagged, and printed first."
* affectsState = false
* code = #disclosures
* resource = #Patient
* system = false
* type = false
* instance = true
* parameter[0].name = #start
* parameter[=].use = #in
* parameter[=].min = 0
* parameter[=].max = "1"
* parameter[=].documentation = "The first day, in UTC. Without it: six years ago."
* parameter[=].type = #date
* parameter[+].name = #end
* parameter[=].use = #in
* parameter[=].min = 0
* parameter[=].max = "1"
* parameter[=].documentation = "The last day, in UTC. Without it: today."
* parameter[=].type = #date
* parameter[+].name = #language
* parameter[=].use = #in
* parameter[=].min = 0
* parameter[=].max = "1"
* parameter[=].documentation = "Of what is printed: en (the default) or es."
* parameter[=].type = #code
* parameter[+].name = #largePrint
* parameter[=].use = #in
* parameter[=].min = 0
* parameter[=].max = "1"
* parameter[=].documentation = "Whether what is printed is printed large."
* parameter[=].type = #boolean
* parameter[+].name = #return
* parameter[=].use = #out
* parameter[=].min = 1
* parameter[=].max = "1"
* parameter[=].documentation = "The AuditEvents, oldest first."
* parameter[=].type = #Bundle

Instance: consent-decision
InstanceOf: OperationDefinition
Usage: #definition
* name = "ConsentDecision"
* title = "Decide whether a disclosure is permitted"
* status = #active
* kind = #operation
* description = "Whether the consents of a member, and what stands beside them, permit a disclosure now. The programme's own system asks about any recipient and is told why; a client outside asks about itself, for the purpose of its token, and is told whether, and nothing else."
* affectsState = false
* code = #consent-decision
* system = true
* type = false
* instance = false
* parameter[0].name = #patient
* parameter[=].use = #in
* parameter[=].min = 1
* parameter[=].max = "1"
* parameter[=].documentation = "Whom it is about: valueReference or valueIdentifier."
* parameter[=].type = #Element
* parameter[+].name = #actor
* parameter[=].use = #in
* parameter[=].min = 0
* parameter[=].max = "1"
* parameter[=].documentation = "The organization that would receive; none: who asks."
* parameter[=].type = #Identifier
* parameter[+].name = #purposeOfUse
* parameter[=].use = #in
* parameter[=].min = 0
* parameter[=].max = "1"
* parameter[=].documentation = "A code of v3-ActReason; none: that of the token."
* parameter[=].type = #code
* parameter[+].name = #action
* parameter[=].use = #in
* parameter[=].min = 0
* parameter[=].max = "1"
* parameter[=].documentation = "access, disclose (the default), collect or correct."
* parameter[=].type = #code
* parameter[+].name = #class
* parameter[=].use = #in
* parameter[=].min = 0
* parameter[=].max = "*"
* parameter[=].documentation = "Types of resources; all of them must be permitted. None: the Patient."
* parameter[=].type = #code
* parameter[+].name = #securityLabel
* parameter[=].use = #in
* parameter[=].min = 0
* parameter[=].max = "*"
* parameter[=].documentation = "Sensitivity (v3-ActCode) and confidentiality (v3-Confidentiality) of what is asked about. For the programme's own system."
* parameter[=].type = #code
* parameter[+].name = #resource
* parameter[=].use = #in
* parameter[=].min = 0
* parameter[=].max = "1"
* parameter[=].documentation = "Something that is here, instead of types and labels."
* parameter[=].type = #Reference
* parameter[+].name = #decision
* parameter[=].use = #out
* parameter[=].min = 1
* parameter[=].max = "1"
* parameter[=].documentation = "permit or deny."
* parameter[=].type = #code
* parameter[+].name = #text
* parameter[=].use = #out
* parameter[=].min = 1
* parameter[=].max = "1"
* parameter[=].documentation = "The same whatever was decided."
* parameter[=].type = #string
* parameter[+].name = #reason
* parameter[=].use = #out
* parameter[=].min = 0
* parameter[=].max = "1"
* parameter[=].documentation = "Why. For the programme's own system, as is all that follows."
* parameter[=].type = #code
* parameter[+].name = #obligation
* parameter[=].use = #out
* parameter[=].min = 0
* parameter[=].max = "*"
* parameter[=].documentation = "What the recipient's copy must carry, and what is to be counted."
* parameter[=].type = #string
* parameter[+].name = #basedOn
* parameter[=].use = #out
* parameter[=].min = 0
* parameter[=].max = "*"
* parameter[=].documentation = "The Consents that decided, with their versions."
* parameter[=].type = #Reference
* parameter[+].name = #expires
* parameter[=].use = #out
* parameter[=].min = 0
* parameter[=].max = "1"
* parameter[=].documentation = "When it may be decided otherwise because a consent begins or ends."
* parameter[=].type = #instant
