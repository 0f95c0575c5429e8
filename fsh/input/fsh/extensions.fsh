Extension: ConsentEnded
Id: icm-consent-ended
Title: "Consent ended"
Description: "When a permission that is not in force any more ended: by revocation, oral or written, or by opting out (42 CFR 2.31(a)(6): the right to revoke). R4 has no element for it; Consent.status is then inactive."
Context: Consent
* value[x] 1..1
* value[x] only dateTime

Extension: ConsentExpiryEvent
Id: icm-consent-expiry-event
Title: "Consent expiry event"
Description: "The event upon which the permission expires (45 CFR 164.508(c)(1)(v): an expiration date or an expiration event). What an event has brought to its end is said by icm-consent-ended."
Context: Consent
* value[x] 1..1
* value[x] only string

Extension: ConsentMode
Id: icm-consent-mode
Title: "Consent mode"
Description: "How the agreement was given. BC Intensive Case Management Team standards 1.6: implied, verbal or written."
Context: Consent
* value[x] 1..1
* value[x] only code
* valueCode from ConsentModes (required)

Extension: TaskStatusBefore
Id: icm-status-before
Title: "Task status before"
Description: "The status that a Task had before an event of its visit ended it, so that it can have it again when that event is undone."
Context: Task
* value[x] 1..1
* value[x] only code
