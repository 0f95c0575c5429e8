"""SF-12 version 1: the two summary scores from the twelve answers.

The weights are those that two open ports agree on in all 70 places: awell-health/awell-score,
``src/scores/sf12/sf12.ts`` (MIT; Copyright Awell Health), and PharmCat/SF36HealthSurvey.jl (MIT), save one
fifth-decimal slip in the latter (BP2 answer 2, MCS). US 1990 norms, mean 50, standard deviation 10.

No wording of the form is here: a site needs its own licence for it. A score is never clamped: the best answers
to every item are not the highest score, and the attainable range is PCS 9.94738 to 70.13284, MCS 5.89058 to
72.28379.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from fhirgw.errors import InvalidElement, MissingElement

PCS_CONSTANT, MCS_CONSTANT = 56.57706, 60.75781

WEIGHTS: Mapping[str, tuple[tuple[float, float], ...]] = {
    "GH1": ((0.0, 0.0), (-1.31872, -0.06064), (-3.02396, 0.03482), (-5.56461, -0.16891), (-8.37399, -1.71175)),
    "PF02": ((-7.23216, 3.93115), (-3.45555, 1.8684), (0.0, 0.0)),
    "PF04": ((-6.24397, 2.68282), (-2.73557, 1.43103), (0.0, 0.0)),
    "RP2": ((-4.61617, 1.4406), (0.0, 0.0)),
    "RP3": ((-5.51747, 1.66968), (0.0, 0.0)),
    "RE2": ((3.04365, -6.82672), (0.0, 0.0)),
    "RE3": ((2.32091, -5.69921), (0.0, 0.0)),
    "BP2": ((0.0, 0.0), (-3.8013, 0.90384), (-6.50522, 1.49384), (-8.38063, 1.76691), (-11.25544, 1.48619)),
    "MH3": (
        (0.0, 0.0),
        (0.66514, -1.94949),
        (1.36689, -4.09842),
        (2.37241, -6.31121),
        (2.90426, -7.92717),
        (3.46638, -10.19085),
    ),
    "VT2": (
        (0.0, 0.0),
        (-0.42251, -0.92057),
        (-1.14387, -1.65178),
        (-1.6185, -3.29805),
        (-2.02168, -4.88962),
        (-2.44706, -6.02409),
    ),
    "MH4": (
        (4.61446, -16.15395),
        (3.41593, -10.77911),
        (2.34247, -8.09914),
        (1.28044, -4.59055),
        (0.41188, -1.95934),
        (0.0, 0.0),
    ),
    "SF2": ((-0.33682, -6.29724), (-0.94342, -8.26066), (-0.18043, -5.63286), (0.11038, -3.13896), (0.0, 0.0)),
}
"""Item mnemonic to the (PCS, MCS) weight of answer 1, 2, …"""

ITEMS = tuple(WEIGHTS)
_ROLE_ITEMS = frozenset({"RP2", "RP3", "RE2", "RE3"})


@dataclass(frozen=True, slots=True)
class Scores:
    """Physical and mental component summary."""

    pcs12: float
    mcs12: float


def score(answers: Mapping[str, int]) -> Scores:
    """The scores of a complete answer set; the location of an error is the item's mnemonic.

    Answers are coded from 1 in the form's order: GH1 1 excellent to 5 poor; PF 1 limited a lot to 3 not limited;
    RP and RE 1 yes, 2 no; BP2 1 not at all to 5 extremely; MH3, VT2, MH4 1 all to 6 none; SF2 1 all to 5 none.

    Raises:
        MissingElement: An item has no answer: then there is no score.
        InvalidElement: An answer or an item of another instrument.
    """
    for item in answers:
        if item not in WEIGHTS:
            raise InvalidElement("SF-12 version 1 has no such item.", location=item)
    for item in ITEMS:
        _require_answer(item, answers)
    chosen = [WEIGHTS[item][answers[item] - 1] for item in ITEMS]
    return Scores(
        pcs12=round(PCS_CONSTANT + sum(pcs for pcs, _ in chosen), 5),
        mcs12=round(MCS_CONSTANT + sum(mcs for _, mcs in chosen), 5),
    )


def _require_answer(item: str, answers: Mapping[str, int]) -> None:
    if item not in answers:
        raise MissingElement("This item has no answer, and without it there is no score.", location=item)
    answer, highest = answers[item], len(WEIGHTS[item])
    if type(answer) is not int:
        raise InvalidElement("An answer is a whole number.", location=item)
    if item in _ROLE_ITEMS and highest < answer <= 5:
        raise InvalidElement(
            "A five-level answer is SF-12 version 2's, another instrument; version 1 has 1 (yes) and 2 (no).",
            location=item,
        )
    if not 1 <= answer <= highest:
        raise InvalidElement(f"The answers of this item are 1 to {highest}.", location=item)
