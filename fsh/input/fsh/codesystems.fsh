RuleSet: Terms
* ^experimental = false
* ^caseSensitive = true
* ^content = #complete

CodeSystem: IcmConsentCategory
Id: icm-consent-category
Title: "Kinds of Consent in an ICM programme"
Description: "What a Consent is for. The seeds: opt-in and release of information (CT BHP, Initial meeting), the right to refuse certain people (BC ICMT 1.6), domestic violence safety (HUSKY, ICM Assessment Components)."
* insert Terms
* #opt-in "Opt-in" "The member's agreement to take part in the programme. Never itself a permission to disclose."
* #roi "Release of information" "The member's permission to disclose to named recipients."
* #named-person-refusal "Refusal of a person" "The member refuses that a named person is involved or informed."
* #dv-safety-list "Safety list" "People who must not learn where the member is."
* #care-decision "Decision about care" "Accepted or refused; never a permission to disclose."

CodeSystem: ConsentModeCodes
Id: icm-consent-mode
Title: "Consent modes"
Description: "How an agreement was given: BC Intensive Case Management Team standards 1.6."
* insert Terms
* #implied "Implied"
* #verbal "Verbal"
* #written "Written"

CodeSystem: IcmConcern
Id: icm-concern
Title: "Kinds of concern"
Description: "HUSKY, care plan: problems/opportunities, barriers."
* insert Terms
* #problem "Problem"
* #need "Need"
* #barrier "Barrier"
* #opportunity "Opportunity"

CodeSystem: IcmGoalTerm
Id: icm-goal-term
Title: "Terms of a goal"
Description: "CT BHP, Care Plan Development: long term and short term goals together."
* insert Terms
* #long-term "Long-term"
* #short-term "Short-term"

CodeSystem: IcmContactMode
Id: icm-contact-mode
Title: "Contact modes"
Description: "HUSKY, How member outreach is conducted: face-to-face, phone, video."
* insert Terms
* #face-to-face "Face to face"
* #phone "Telephone"
* #video "Video"
* #email "E-mail"

CodeSystem: IcmContactSetting
Id: icm-contact-setting
Title: "Contact settings"
Description: "CT BHP, Settings for initial meetings; Nebraska Peer Support, settings; BC ICMT 1.1, street outreach."
* insert Terms
* #home "Home"
* #office "Office or clinic"
* #hospital "Hospital"
* #observation-unit "Observation unit"
* #emergency "Emergency department"
* #skilled-nursing "Skilled nursing facility"
* #shelter "Shelter"
* #transitional-housing "Transitional housing"
* #corrections "Correctional facility"
* #respite "Respite"
* #community "Community"
* #public-place "Public place"

CodeSystem: IcmContactType
Id: icm-contact-type
Title: "Contact types"
Description: "Nebraska Peer Support: individual and group services."
* insert Terms
* #individual "Individual"
* #group "Group"
* #collateral "With people beside the member, without the member"

CodeSystem: IcmService
Id: icm-service
Title: "Kinds of planned service"
Description: "What a ServiceRequest of a plan asks for."
* insert Terms
* #contact "Contact" "Contacts of the member with the team, at the tier's cadence."
* #intervention "Intervention" "What somebody does for a goal."
* #connection "Connection to a service" "CT BHP: referral, and support to ensure the connection."
* #aftercare "Aftercare" "BC ICMT 2.8: who does what after the discharge."
* #link-out "Link to another service" "BC ICMT 1.3: what suits somebody better who is not eligible."
* #suggestion "Suggestion" "HUSKY: the provider has the opportunity to respond back with any suggestions."

CodeSystem: IcmReferralSource
Id: icm-referral-source
Title: "Referral sources"
Description: "HUSKY: a variety of sources; BC ICMT 1.2: referrals from all sources, self included."
* insert Terms
* #self "Self"
* #family-community "Family or community"
* #provider "Provider"
* #hospital "Hospital"
* #agency "Agency"
* #analytics "Analytics"
* #state-agency "State agency"
* #social-service "Social service"
* #member-services "Member services"
* #police "Police"
* #faith-community "Faith community"
* #shelter "Shelter"
* #outreach-team "Outreach team"
* #physician-recommendation "Physician's recommendation" "CCBH: beside the referral."

CodeSystem: IcmRelationship
Id: icm-relationship
Title: "Relationships that v3-RoleCode has not"
Description: "BC ICMT 1.6: name of the substitute decision maker."
* insert Terms
* #substitute-decision-maker "Substitute decision maker"
* #head-of-household "Head of household"
* #client-identified-family "Family as the client identifies it"
* #support-person "Support person or advocate"
* #directive-agent "Agent of a directive"

CodeSystem: IcmScore
Id: icm-score
Title: "Scores and results"
Description: "What an ICM assessment results in, where LOINC has no code. No LOINC code for SF-12 summary scores was found; those of the VR-12 are another instrument's."
* insert Terms
* #sf12v1-pcs "SF-12 v1 physical component summary"
* #sf12v1-mcs "SF-12 v1 mental component summary"
* #tier "ICM tier" "The tier that an acuity assessment led to."
* #eligibility "Eligibility" "What a screening came to."
* #vr12-phone-pcs "VR-12 physical component summary, by telephone"
* #vr12-phone-mcs "VR-12 mental component summary, by telephone"
* #vr12-mail-pcs "VR-12 physical component summary, by mail"
* #vr12-mail-mcs "VR-12 mental component summary, by mail"
* #phq2-total "PHQ-2 total"
* #phq9-total "PHQ-9 total"
* #pss10-total "PSS-10 total"
* #hits-total "HITS total"
* #hark-total "HARK total"

CodeSystem: IcmClockStatus
Id: icm-clock-status
Title: "Clock status"
Description: "How a due time stands."
* insert Terms
* #open "Open"
* #met "Met"
* #breached "Breached"
* #extenuating "Not met, with the circumstances documented"

CodeSystem: IcmTextReview
Id: icm-text-review
Title: "Review of free text"
Description: "Free text carries every sensitivity that its patient has, unless a person has read and cleared it."
* insert Terms
* #cleared "Cleared" "A person has read the text: it says nothing more sensitive than the resource's labels do."
* #unreviewed "Not reviewed" "Nobody has read the text yet."

CodeSystem: IcmAccounting
Id: icm-accounting
Title: "Why a disclosure is in an accounting"
Description: "Which law has a disclosure listed in the accounting that a member may ask for; beside it, members are told of every disclosure."
* insert Terms
* #hipaa "45 CFR 164.528" "Of the last six years: neither for treatment, payment or operations, nor authorized by the member."
* #part2 "42 CFR 2.25" "Of the last three years: records under 42 CFR Part 2, disclosed with the member's consent."

CodeSystem: IcmNotice
Id: icm-notice
Title: "Notices of the gateway"
Description: "What the gateway tells registered systems of, beside visits (those are Da Vinci notification events)."
* insert Terms
* #emergency-claimed "Emergency access claimed" "Told to the programme's own systems: there is a Task to review it."
* #release-ended "A release has ended" "Told to whoever received something under it: nothing more than whose release it was."

CodeSystem: IcmAudience
Id: icm-audience
Title: "Whom a record is for"
Description: "Security labels of work about consent itself, which is released to nobody outside."
* insert Terms
* #staff "Staff of the programme"
