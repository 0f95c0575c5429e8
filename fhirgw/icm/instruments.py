"""Screening instruments beside the SF-12: what a complete answer set scores, and what the score says.

No wording of any form is here. Items go by mnemonic or number, answers by the integer of the form. A site needs its
own licence or permission where there is one: PSS-10 is free for "nonprofit academic research or educational
purposes" only.

Sources: VR-12: anchorlytics/anchorUtils, ``inst/extdata/VR12_coefs.csv`` (MIT), for answer sets without a gap.
PHQ: LOINC 44249-1, 55757-9; bands of awell-health/awell-score, ``phq9_interpretation.ts`` (MIT). PSS-10: LOINC
106875-8. HITS: LOINC 95619-3, "more than 10". HARK: LOINC 76499-3, any yes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from fhirgw.errors import InvalidElement, MissingElement

Mode = Literal["phone", "mail"]
"""How the VR-12 was given: each mode has constants of its own."""


@dataclass(frozen=True, slots=True)
class Item:
    """One question.

    Attributes:
        lowest: The lowest answer.
        highest: The highest answer.
        loinc: Its LOINC code, where one was found.
    """

    lowest: int
    highest: int
    loinc: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What an answer set amounts to.

    Attributes:
        scores: Score code → value; the codes are those of ``Instrument.scores``.
        positive: Whether the screen is positive; None where the instrument has no cut-off.
        band: Severity in the instrument's words; None where it has no bands.
        danger: An answer that calls for a person at once, whatever the total.
    """

    scores: Mapping[str, float]
    positive: bool | None = None
    band: str | None = None
    danger: bool = False


@dataclass(frozen=True, slots=True)
class Instrument:
    """A form with its items and its score.

    Attributes:
        name: For people.
        panel: LOINC code of the whole; None where none was found.
        items: By mnemonic, in the form's order.
        scores: Score code → LOINC code of it.
        evaluate: A complete answer set, checked, to its result.
        sensitivity: v3-ActCode labels of the answers and the score, whatever they are.
    """

    name: str
    panel: str | None
    items: Mapping[str, Item]
    scores: Mapping[str, str]
    evaluate: Callable[[Mapping[str, int]], Result]
    sensitivity: tuple[str, ...] = ()


def score(code: str, answers: Mapping[str, int]) -> Result:
    """The result of a complete answer set; nothing is guessed for a missing answer.

    Args:
        code: A key of INSTRUMENTS.
        answers: Item mnemonic → the form's integer.

    Raises:
        MissingElement: An item has no answer; the location is the item.
        InvalidElement: No such instrument or item, or an answer that it does not have.
    """
    instrument = INSTRUMENTS.get(code)
    if instrument is None:
        raise InvalidElement(f"The instruments are {', '.join(INSTRUMENTS)}.", location="instrument")
    for name in answers:
        if name not in instrument.items:
            raise InvalidElement(f"{instrument.name} has no such item.", location=name)
    for name, item in instrument.items.items():
        if name not in answers:
            raise MissingElement("This item has no answer, and without it there is no score.", location=name)
        if type(answers[name]) is not int:
            raise InvalidElement("An answer is a whole number.", location=name)
        if not item.lowest <= answers[name] <= item.highest:
            text = f"The answers of this item are {item.lowest} to {item.highest}."
            raise InvalidElement(text, location=name)
    return instrument.evaluate(answers)


# --- VR-12 --------------------------------------------------------------------------------------------------------

_VR12_PCS = {
    "GH1": 0.07825237513, "PF02": 0.065064013, "PF04": 0.07483613491, "RP2": 0.07169783115, "RP3": 0.07415413857,
    "RE2": -0.05759826303, "RE3": -0.0322689414, "BP2": 0.1339749098, "MH3": -0.0424118638, "VT2": 0.02996896207,
    "MH4": -0.05336239934, "SF2": 0.004609677941,
}  # fmt: skip
_VR12_MCS = {
    "GH1": -0.0009159268811, "PF02": -0.03549864888, "PF04": -0.03157714009, "RP2": -0.02517348528,
    "RP3": -0.02465222776, "RE2": 0.1266860962, "RE3": 0.08087235689, "BP2": -0.02437137067, "MH3": 0.1094084978,
    "VT2": 0.06942713261, "MH4": 0.1493788958, "SF2": 0.1085734367,
}  # fmt: skip
_VR12_CONSTANTS: Mapping[Mode, tuple[float, float]] = {
    "phone": (17.75544739, 11.51387024),
    "mail": (21.04685974, 12.66204834),
}
_GH1 = (100, 85, 60, 35, 0)
_VR12_HIGHEST = {
    "GH1": 5, "PF02": 3, "PF04": 3, "RP2": 5, "RP3": 5, "RE2": 5, "RE3": 5, "BP2": 5, "MH3": 6, "VT2": 6, "MH4": 6,
    "SF2": 5,
}  # fmt: skip
_PERCENT: Mapping[str, Callable[[int], int]] = {
    "GH1": lambda answer: _GH1[answer - 1],
    "PF02": lambda answer: (answer - 1) * 50,
    "PF04": lambda answer: (answer - 1) * 50,
    "MH3": lambda answer: (6 - answer) * 20,
    "VT2": lambda answer: (6 - answer) * 20,
    "MH4": lambda answer: (answer - 1) * 20,
    "SF2": lambda answer: (answer - 1) * 25,
}
"""Answer to 0 … 100, 100 the best; the role and pain items count down from 1."""


def _down(answer: int) -> int:
    return (5 - answer) * 25


def _vr12(mode: Mode) -> Callable[[Mapping[str, int]], Result]:
    def evaluate(answers: Mapping[str, int]) -> Result:
        percent = {item: _PERCENT.get(item, _down)(answer) for item, answer in answers.items()}
        pcs, mcs = _VR12_CONSTANTS[mode]
        pcs += sum(_VR12_PCS[item] * percent[item] for item in _VR12_PCS)
        mcs += sum(_VR12_MCS[item] * percent[item] for item in _VR12_MCS)
        return Result({"pcs": round(pcs, 5), "mcs": round(mcs, 5)})

    return evaluate


# --- sums ---------------------------------------------------------------------------------------------------------

PHQ9_BANDS = ((0, "minimal"), (5, "mild"), (10, "moderate"), (15, "moderately severe"), (20, "severe"))
"""From which total on."""


def _sum(answers: Mapping[str, int]) -> int:
    return sum(answers.values())


def _phq9(answers: Mapping[str, int]) -> Result:
    total = _sum(answers)
    band = next(name for lowest, name in reversed(PHQ9_BANDS) if total >= lowest)
    return Result({"total": total}, positive=total >= 10, band=band, danger=answers["9"] > 0)


def _pss10(answers: Mapping[str, int]) -> Result:
    """Items 4, 5, 7 and 8 ask for the good: they count the other way round."""
    return Result({"total": sum(4 - answer if item in _PSS_GOOD else answer for item, answer in answers.items())})


_PSS_GOOD = frozenset({"4", "5", "7", "8"})
_PHQ_LOINC = (
    "44250-9", "44255-8", "44259-0", "44254-1", "44251-7", "44258-2", "44252-5", "44253-3", "44260-8"
)  # fmt: skip
_HITS_LOINC = ("95618-5", "95617-7", "95616-9", "95615-1")
_HARK_LOINC = ("76500-8", "76501-6", "76502-4", "76503-2")


def _numbered(loinc: tuple[str | None, ...], lowest: int, highest: int) -> Mapping[str, Item]:
    return {str(number): Item(lowest, highest, code) for number, code in enumerate(loinc, 1)}


_VR12_ITEMS = {name: Item(1, highest) for name, highest in _VR12_HIGHEST.items()}
_VR12_LOINC = {"pcs": "72027-6", "mcs": "72028-4"}

INSTRUMENTS: Mapping[str, Instrument] = MappingProxyType(
    {
        "vr12-phone": Instrument("VR-12 (telephone)", None, _VR12_ITEMS, _VR12_LOINC, _vr12("phone")),
        "vr12-mail": Instrument("VR-12 (mail)", None, _VR12_ITEMS, _VR12_LOINC, _vr12("mail")),
        "phq2": Instrument(
            "PHQ-2",
            "55757-9",
            _numbered(_PHQ_LOINC[:2], 0, 3),
            {"total": "55758-7"},
            lambda answers: Result({"total": _sum(answers)}, positive=_sum(answers) >= 3),
            ("MH",),
        ),
        "phq9": Instrument("PHQ-9", "44249-1", _numbered(_PHQ_LOINC, 0, 3), {"total": "44261-6"}, _phq9, ("MH",)),
        "pss10": Instrument(
            "PSS-10", "106875-8", _numbered((None,) * 10, 0, 4), {"total": "106860-0"}, _pss10, ("MH",)
        ),
        "hits": Instrument(
            "HITS",
            "95619-3",
            _numbered(_HITS_LOINC, 1, 5),
            {"total": "95614-4"},
            lambda answers: Result({"total": _sum(answers)}, positive=_sum(answers) > 10),
            ("SDV",),
        ),
        "hark": Instrument(
            "HARK",
            "76499-3",
            _numbered(_HARK_LOINC, 0, 1),
            {"total": "76504-0"},
            lambda answers: Result({"total": _sum(answers)}, positive=_sum(answers) >= 1),
            ("SDV",),
        ),
    }
)
"""By code. Intimate-partner-violence results carry SDV: what tells of them endangers."""
