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
