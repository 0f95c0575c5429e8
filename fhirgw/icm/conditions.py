"""Conditions, the cohorts they put a member in, cautions, medicines and their reviews."""

from datetime import date
from typing import Literal

from fhirgw.icm.base import Classified, Coded, Line, LocalId, Provider


class Diagnosis(Classified):
    """A condition that the programme knows of, whether or not the plan addresses it.

    HUSKY, ICM Care Teams: members with chronic conditions; BC 2.3: "chronic medical conditions are being treated".
    """

    id: LocalId
    code: Coded | None = None
    text: Line
    status: Literal["active", "remission", "resolved"] = "active"
    verified: bool = True
    """Nebraska and CCBH ask for a diagnosis by a clinician; else it is what the member says."""
    treated: bool | None = None
    onset_on: date | None = None
    noted_on: date


class Cohort(Classified):
    """The group that a member's conditions put them in. HUSKY, ICM Care Teams; ICM and Rare Diseases."""

    id: LocalId
    code: Line
    """Code of one of the programme's cohorts."""
    starts_on: date
    ends_on: date | None = None


class Caution(Classified):
    """What everybody who meets the member must know.

    BC 2.5: trauma-informed practice, settings that re-traumatise; BC 2.8: high risk.
    """

    id: LocalId
    kind: Literal["safety", "trauma", "communication"]
    text: Line
    starts_on: date
    ends_on: date | None = None


class Medicine(Classified):
    """BC 2.3: "all medications are documented on the client file"; HUSKY: the plan includes "medications"."""

    id: LocalId
    code: Coded | None = None
    text: Line
    dose: str | None = None
    status: Literal["active", "on-hold", "stopped", "completed", "not-taken"] = "active"
    """CT BHP, Acuity Assessment: "Medication knowledge and adherence": not taken is not the same as stopped."""
    starts_on: date | None = None
    ends_on: date | None = None
    noted_on: date
    source: LocalId | None = None
    """Care team member who prescribes or noted it. Absent: the member says so."""


class MedicineReview(Classified):
    """BC 2.3: "at least every six months by the most responsible physician"."""

    id: LocalId
    on: date
    by: Provider
    medicines: tuple[LocalId, ...] = ()
    note: str | None = None
