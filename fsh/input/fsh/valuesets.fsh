ValueSet: ConsentModes
Id: icm-consent-modes
Title: "Consent modes"
Description: "Implied, verbal or written."
* ^experimental = false
* include codes from system ConsentModeCodes

ValueSet: Concerns
Id: icm-concerns
Title: "Kinds of concern"
Description: "Problem, need, barrier or opportunity."
* ^experimental = false
* include codes from system IcmConcern

ValueSet: GoalTerms
Id: icm-goal-terms
Title: "Terms of a goal"
Description: "Long-term or short-term."
* ^experimental = false
* include codes from system IcmGoalTerm

ValueSet: ContactModes
Id: icm-contact-modes
Title: "Contact modes"
Description: "Face to face, telephone or video."
* ^experimental = false
* include codes from system IcmContactMode

ValueSet: ReferralSources
Id: icm-referral-sources
Title: "Referral sources"
Description: "Where a referral came from."
* ^experimental = false
* include codes from system IcmReferralSource

ValueSet: ClockStatuses
Id: icm-clock-statuses
Title: "Clock status"
Description: "How a due time stands."
* ^experimental = false
* include codes from system IcmClockStatus
