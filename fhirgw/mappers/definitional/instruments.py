"""Questionnaires of the answers that a case holds: items by mnemonic or number, as they are answered.

No wording of any form is here: SF-12 and VR-12 by their items' mnemonics, the others by number. A site that has a
licence for a form loads its own Questionnaire.
"""

from collections.abc import Iterator, Mapping
from typing import get_args

from fhirgw.icm.assessment import ACUITY_DOMAINS
from fhirgw.icm.eligibility import Answer, Screening
from fhirgw.icm.instruments import INSTRUMENTS, Instrument
from fhirgw.icm.sf12 import WEIGHTS
from fhirgw.mappers.definitional.canonical import citations, head, of_program
from fhirgw.mappers.icm.shape import Json, coding, compact, local
from fhirgw.programs import Program
from fhirgw.terminology import LOINC

_SF12_RIGHTS = (
    "The form, its wording and its layout belong to their holders, and none of it is here: whoever uses the form "
    "needs a licence of their own."
)
_ACUITY: Mapping[str, str] = {
    "safety": "Safety",
    "mental-health-substance-use": "Mental Health / Substance Use Disorder Status",
    "medical-conditions": "Medical health conditions",
    "medication": "Medication knowledge and adherence",
    "treatment-participation": "Treatment Participation",
    "care-coordination": "Care Coordination needs",
    "financial-transportation-housing": "Financial, transportation, housing needs",
    "cultural-social-support": "Cultural issues and social support",
}
"""CT BHP, Care Plan Development: the eight domains in the source's words."""
_EXTENSION = "http://hl7.org/fhir/StructureDefinition/"
_KINDS: tuple[str, ...] = get_args(Screening.model_fields["kind"].annotation)
_ANSWERS: tuple[str, ...] = get_args(Answer.model_fields["met"].annotation)


def instruments() -> Iterator[Json]:
    """SF-12, the Acuity Assessment, and every other instrument that is scored."""
    sf12 = [_number(item, item, 1, len(weights)) for item, weights in WEIGHTS.items()]
    text = "The twelve items by their mnemonics, answered with the integers of the form."
    yield _questionnaire("sf12v1", "SF-12 version 1", text, sf12) | {"copyright": _SF12_RIGHTS}
    text = "Eight domains, each from 0 (none) to 3 (acute); the source names no scale."
    acuity = [_number(domain, _ACUITY[domain], 0, 3) for domain in ACUITY_DOMAINS]
    yield _questionnaire("icm-acuity", "Acuity Assessment", text, acuity)
    for code, instrument in INSTRUMENTS.items():
        yield _scored(code, instrument)


def screenings(program: Program) -> Iterator[Json]:
    """The criteria of admission and of continued stay, to be answered when somebody comes, and when they stay.

    Either asks whichever criteria matter then: whoever stays may have to meet those of admission still.
    """
    criteria = {one.code: one for one in (*program.admission, *program.continued)}
    items = [
        {
            "linkId": code,
            "text": one.text,
            "type": "choice",
            "answerOption": [{"valueCoding": local("icm-answer", answer)} for answer in _ANSWERS],
        }
        for code, one in criteria.items()
    ]
    for kind in _KINDS:
        title = f"{program.name}: {kind.replace('-', ' ')}"
        passages = [one["citation"] for fact in criteria.values() for one in citations(program, fact)]
        text = " ".join([f"After: {program.document}.", *(f"“{words}”" for words in passages)])
        made = _questionnaire(f"icm-screening-{program.id}-{kind}", title, text, items)
        yield made | of_program(program)


def _scored(code: str, instrument: Instrument) -> Json:
    items = [
        _number(name, f"{instrument.name}, item {name}", item.lowest, item.highest, item.loinc)
        for name, item in instrument.items.items()
    ]
    text = "Items by mnemonic or number, answered with the integers of the form."
    panel = [coding(LOINC, instrument.panel)] if instrument.panel else []
    return compact(_questionnaire(code, instrument.name, text, items) | {"code": panel})


def _questionnaire(id: str, title: str, text: str, items: list[Json]) -> Json:
    return compact(head("Questionnaire", id, title, text) | {"subjectType": ["Patient"], "item": items})


def _number(link: str, text: str, lowest: int, highest: int, loinc: str | None = None) -> Json:
    return compact(
        {
            "extension": [
                {"url": f"{_EXTENSION}minValue", "valueInteger": lowest},
                {"url": f"{_EXTENSION}maxValue", "valueInteger": highest},
            ],
            "linkId": link,
            "code": [coding(LOINC, loinc)] if loinc else [],
            "text": text,
            "type": "integer",
            "required": True,
        }
    )
