"""A town of invented people, and how hospitals write them down: the panel that matching is measured on.

Names come in Zipf's proportions from syllables, beside the most frequent real ones, so that a common name is as
common as one is. People live in households: partners, children, twins, parents who gave a child their own name.
Some addresses are shelters, with many people who have nothing else in common.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, TypeVar

from fhirgw.matching.traits import NICKNAMES

Json = dict[str, Any]
T = TypeVar("T")
Address = tuple[str, str, str]
"""Street, postal code, town."""
ZIPS = 60
STREETS = 900
ERRORS = {
    # chance that it happens when somebody is written down; a nickname only where the name has one
    "given typo": 0.025, "given nickname": 0.3, "given initial": 0.01, "middle for given": 0.02,
    "family typo": 0.025, "married": 0.04, "hyphen part": 0.4, "names swapped": 0.005,
    "birth swapped": 0.008, "birth digit": 0.015, "birth year": 0.006, "birth missing": 0.01, "birth wrong": 0.004,
    "sex wrong": 0.004, "sex missing": 0.01, "moved": 0.18, "address typo": 0.05, "address missing": 0.06,
    "phone changed": 0.3, "phone typo": 0.02, "phone missing": 0.15,
}  # fmt: skip
HURRIED = 0.1
"""Share of the people who come in a state in which everything goes wrong three times as often."""

_FAMILIES = """
smith johnson williams brown jones garcia miller davis rodriguez martinez hernandez lopez gonzalez wilson anderson
thomas taylor moore jackson martin lee perez thompson white harris sanchez clark ramirez lewis robinson walker
young allen king wright scott torres nguyen hill flores green adams nelson baker hall rivera campbell mitchell
"""
_WOMEN = """
maria mary jennifer linda patricia elizabeth barbara susan jessica sarah karen nancy margaret lisa betty dorothy
sandra ashley kimberly donna carol michelle emily amanda helen melissa deborah stephanie laura rebecca
"""
_MEN = """
james john robert michael william david richard joseph thomas charles christopher daniel matthew anthony donald mark
paul steven andrew kenneth jose juan luis carlos joshua kevin brian george edward ronald
"""
_SYLLABLES = "ba be bo da de do fa fe ga go ha he ja ka ke ki la le lo lu ma me mi mo na ne no pa pe ra re ri ro"
_ENDS = "n r s t l k nd rt x th son ski ez man well ford ham"


@dataclass
class Person:
    """Somebody, as they are."""

    key: int
    household: int
    family: str
    given: tuple[str, ...]
    birth: date
    sex: str
    address: Address
    phone: str
    twin: int | None = None


class Town:
    """Everybody, made from one seed."""

    def __init__(self, people: int, seed: int = 1) -> None:
        self.random = random.Random(seed)
        self.syllables, self.ends = _SYLLABLES.split(), _ENDS.split()
        self.families = self._names(_FAMILIES.split(), 4000)
        self.given = {"female": self._names(_WOMEN.split(), 900), "male": self._names(_MEN.split(), 900)}
        self.streets = [f"{self._coin().title()} {self._pick(('St', 'Ave', 'Rd', 'Lane'))}" for _ in range(STREETS)]
        self.zips = [f"{6001 + at * 7:05d}" for at in range(ZIPS)]
        self.people: list[Person] = []
        households = 0
        while len(self.people) < people:
            self._household(households)
            households += 1
        del self.people[people:]

    def _pick(self, some: Sequence[T]) -> T:
        return some[int(self.random.random() * len(some))]

    def _coin(self) -> str:
        return "".join(self._pick(self.syllables) for _ in range(2)) + self._pick(self.ends)

    def _names(self, first: list[str], count: int) -> tuple[list[str], list[float]]:
        names = list(dict.fromkeys([*first, *(self._coin() for _ in range(count))]))
        total, weights = 0.0, []
        for rank in range(len(names)):
            total += 1 / (rank + 25)
            weights.append(total)
        return names, weights

    def _drawn(self, names: tuple[list[str], list[float]]) -> str:
        return self.random.choices(names[0], cum_weights=names[1])[0]

    def _given(self, sex: str) -> tuple[str, ...]:
        first = self._drawn(self.given[sex])
        return (first, self._drawn(self.given[sex])) if self.random.random() < 0.5 else (first,)

    def _born(self, youngest: int, oldest: int) -> date:
        if self.random.random() < 0.01:  # many whose birthday nobody knows
            return date(2026 - self.random.randint(youngest, oldest), 1, 1)
        return date(2026, 1, 1) - timedelta(days=self.random.randint(youngest * 365, oldest * 365))

    def _phone(self) -> str:
        return f"860{self.random.randint(2_000_000, 9_999_999)}"

    def address(self) -> Address:
        at = self.random.randrange(ZIPS)
        street = self.streets[(at * 15 + self.random.randrange(60)) % STREETS]
        return f"{self.random.randint(1, 400)} {street}", self.zips[at], f"Town{at // 6}"

    def _household(self, number: int) -> None:
        if self.random.random() < 0.03:  # a place in a shelter
            shelter = self.random.randrange(12)
            address = (f"{shelter + 1} Harbor St", self.zips[shelter], f"Town{shelter // 6}")
        else:
            address = self.address()
        family, phone = self._drawn(self.families), self._phone()
        if self.random.random() < 0.06:
            family = f"{family}-{self._drawn(self.families)}"
        adults = 2 if self.random.random() < 0.5 and "Harbor" not in address[0] else 1
        parents = []
        for at in range(adults):
            sex = self._pick(("male", "female"))
            own = family if at == 0 or self.random.random() < 0.7 else self._drawn(self.families)
            parents.append(
                self._add(number, own, self._given(sex), self._born(20, 90), sex, address, self._phone())
            )
        oldest = parents[0]
        children = self.random.choices((0, 1, 2, 3), (6, 2, 2, 1))[0] if adults == 2 else 0
        for _ in range(children):
            sex = self._pick(("male", "female"))
            given = oldest.given if self.random.random() < 0.02 and sex == oldest.sex else self._given(sex)
            born = self._born(0, 30)
            one = self._add(number, family, given, born, sex, address, phone)
            if self.random.random() < 0.03:
                other = sex if self.random.random() < 0.65 else self._pick(("male", "female"))
                second = self._add(number, family, self._unlike(one, other), born, other, address, phone)
                one.twin, second.twin = second.key, one.key

    def _unlike(self, one: Person, sex: str) -> tuple[str, ...]:
        while True:
            given = self._given(sex)
            if given[0] != one.given[0]:
                return given

    def _add(
        self,
        household: int,
        family: str,
        given: tuple[str, ...],
        birth: date,
        sex: str,
        address: Address,
        phone: str,
    ) -> Person:
        one = Person(len(self.people), household, family, given, birth, sex, address, phone)
        self.people.append(one)
        return one

    # --- how somebody is written down -------------------------------------------------------------------------

    def patient(self, one: Person) -> Json:
        """The programme's own picture: right, but for what is missing."""
        return _patient(one.family, one.given, one.birth.isoformat(), one.sex, one.address, one.phone)

    def written(self, one: Person) -> Json:
        """One hospital's picture, with what goes wrong."""
        often = 3 if self.random.random() < HURRIED else 1
        wrong = {name for name, chance in ERRORS.items() if self.random.random() < chance * often}
        family, given = self._family(one, wrong), self._called(one, wrong)
        if "names swapped" in wrong:
            family, given = given[0], (family,)
        sex = None if "sex missing" in wrong else one.sex
        if "sex wrong" in wrong:
            sex = "male" if one.sex == "female" else "female"
        address = self.address() if "moved" in wrong else one.address
        if "address typo" in wrong:
            address = (self._slip(address[0]), *address[1:])
        phone = self._phone() if "phone changed" in wrong else one.phone
        if "phone typo" in wrong:
            at = self.random.randrange(3, 10)
            phone = f"{phone[:at]}{self.random.randint(0, 9)}{phone[at + 1 :]}"
        return _patient(
            family, given, self._birth(one, wrong), sex,
            None if "address missing" in wrong else address, None if "phone missing" in wrong else phone,
        )  # fmt: skip

    def _family(self, one: Person, wrong: set[str]) -> str:
        family = one.family
        if "married" in wrong and one.sex == "female":
            family = self._drawn(self.families)
        if "hyphen part" in wrong and "-" in family:
            family = self._pick(family.split("-"))
        return self._slip(family) if "family typo" in wrong else family

    def _called(self, one: Person, wrong: set[str]) -> tuple[str, ...]:
        given = one.given
        also = sorted(NICKNAMES.get(given[0], ()))
        if "given nickname" in wrong and also:
            group = self._pick(also)
            given = (self._pick(sorted(name for name, groups in NICKNAMES.items() if group in groups)),)
        if "middle for given" in wrong and len(given) > 1:
            given = (given[1],)
        if "given initial" in wrong:
            given = (given[0][0],)
        return (self._slip(given[0]), *given[1:]) if "given typo" in wrong else given

    def _birth(self, one: Person, wrong: set[str]) -> str | None:
        birth = one.birth
        if "birth missing" in wrong:
            return None
        if "birth wrong" in wrong:
            return self._born(0, 90).isoformat()
        if "birth swapped" in wrong and birth.day <= 12:
            return birth.replace(month=birth.day, day=birth.month).isoformat()
        if "birth year" in wrong:
            return (birth - timedelta(days=365)).isoformat()
        if "birth digit" in wrong:
            return self._digit(birth)
        return birth.isoformat()

    def _digit(self, birth: date) -> str:
        while True:
            text = list(birth.isoformat())
            text[self._pick((2, 3, 5, 6, 8, 9))] = str(self.random.randint(0, 9))
            try:
                return date.fromisoformat("".join(text)).isoformat()
            except ValueError:
                continue

    def _slip(self, text: str) -> str:
        """One slip of the hand: a letter left out, doubled, another, or two in each other's place."""
        at = self.random.randrange(max(1, len(text) - 1))
        match self.random.randrange(4):
            case 0:
                return text[:at] + text[at + 1 :] or text
            case 1:
                return text[: at + 1] + text[at:]
            case 2:
                return text[:at] + self._pick("abcdefghijklmnopqrstuvwxyz") + text[at + 1 :]
            case _:
                return text[:at] + text[at : at + 2][::-1] + text[at + 2 :]


def _patient(
    family: str,
    given: tuple[str, ...],
    birth: str | None,
    sex: str | None,
    address: Address | None,
    phone: str | None,
) -> Json:
    patient: Json = {"resourceType": "Patient", "name": [{"family": family.title(), "given": list(given)}]}
    if birth:
        patient["birthDate"] = birth
    if sex:
        patient["gender"] = sex
    if address:
        patient["address"] = [{"line": [address[0]], "postalCode": address[1], "city": address[2]}]
    if phone:
        patient["telecom"] = [{"system": "phone", "value": f"({phone[:3]}) {phone[3:6]}-{phone[6:]}"}]
    return patient
