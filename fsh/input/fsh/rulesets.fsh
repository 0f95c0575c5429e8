// What is said in many profiles. The constraints of US Core 6.1.0, MCC eCare Plan 1.0.0, Gravity SDOH Clinical Care
// and IHE PCF 1.1.1 that apply are repeated here on the R4 base types; their canonicals are cited in each profile.

RuleSet: Profile
* ^status = #active
* ^experimental = false

RuleSet: OfMember(path)
* {path} 1..1 MS
* {path} only Reference(IcmMember)
* {path}.reference 1..1

RuleSet: NoActivityDetail
* activity.detail 0..0
* activity.reference 1..1 MS
