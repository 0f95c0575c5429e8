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
