"""How messages travel: late, out of order, twice, in bursts, over connections that break, and some of them wrong.

What a receiver has to answer stands beside each (HL7 v2.5.1 ch. 2.9, tables 0008 and 0357).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random
from typing import Literal

from fhirgw.harness.hospital.events import Happening
from fhirgw.harness.hospital.messages import recorded, written

LATE, TWICE, WRONG, BROKEN, ENHANCED = 0.04, 0.05, 0.06, 0.02, 0.1
"""How often, of one."""
QUEUED = timedelta(hours=1)
"""How long the interface stood still before a burst."""

Breaking = Literal["half sent", "not waited for"]


@dataclass(frozen=True, slots=True)
class Sent:
    """A message on its way.

    Attributes:
        control_id: MSH-10, which MSA-2 has to repeat.
        raw: Its bytes.
        at: When it leaves, by the hospital's clock.
        sort: What is told together in the report: the trigger, or what is wrong with it.
        expected: MSA-1 that it must be answered with.
        error: ERR-3 beside it.
        of: Whose: messages about one record take one connection.
        breaking: The connection is lost at it first; then it is sent again.
    """

    control_id: str
    raw: bytes
    at: datetime
    sort: str
    expected: str = "AA"
    error: str | None = None
    of: str = ""
    breaking: Breaking | None = None


@dataclass(frozen=True, slots=True)
class Wrong:
    """What is done to a message that is right, and what it then has to be answered with."""

    change: Callable[[bytes], bytes]
    expected: str
    error: str


def changed(raw: bytes, segment: str, number: int, value: str) -> bytes:
    """The message with one field replaced, in the first segment of that name."""
    lines = raw.decode().split("\r")
    place = next(at for at, line in enumerate(lines) if line.startswith(segment))
    fields = lines[place].split("|")
    fields += [""] * (number + 1 - len(fields))
    fields[number - (segment == "MSH")] = value
    lines[place] = "|".join(fields)
    return "\r".join(lines).encode()


def _with(segment: str, number: int, value: str) -> Callable[[bytes], bytes]:
    return lambda raw: changed(raw, segment, number, value)


WRONGS: Mapping[str, Wrong] = {
    "without a patient identifier": Wrong(_with("PID", 3, ""), "AE", "101"),
    "with a patient class that no table has": Wrong(_with("PV1", 2, "XQ"), "AE", "103"),
    "without a processing id": Wrong(_with("MSH", 11, ""), "AE", "101"),
    "with an event that does not exist": Wrong(_with("MSH", 9, "ADT^Z99"), "AR", "201"),
    "that is no ADT": Wrong(_with("MSH", 9, "ORU^R01^ORU_R01"), "AR", "200"),
    "of a version that does not exist": Wrong(_with("MSH", 12, "9.9"), "AR", "203"),
    "with an unknown processing id": Wrong(_with("MSH", 11, "X"), "AR", "202"),
}
"""By what is wrong with it."""
REUSED = "with the control id of another"


@dataclass(slots=True)
class Traffic:
    """What is sent of what happened.

    Attributes:
        tag: In every control id.
    """

    random: Random
    tag: str
    _count: int = field(default=0)

    def of(self, happened: list[Happening]) -> list[Sent]:
        """Every message, in the order in which they leave."""
        sent: list[Sent] = []
        for happening in happened:
            sent += self._messages(happening)
        queue_from = self.random.choice(sent).at if sent else None
        if queue_from:  # the interface stands still for a while, and sends everything at once
            until = queue_from + QUEUED
            sent = [replace(one, at=until) if queue_from <= one.at < until else one for one in sent]
        return sorted(sent, key=lambda one: one.at)  # in the order of writing at the same instant

    def _control_id(self) -> str:
        self._count += 1
        return f"{self.tag}-{self._count:06d}"

    def _messages(self, happening: Happening) -> Iterator[Sent]:
        """The message, perhaps late and perhaps twice, and perhaps a wrong one beside it."""
        draw = self.random
        control_id, enhanced = self._control_id(), draw.random() < ENHANCED
        raw = written(happening, control_id, enhanced=enhanced)
        late = timedelta(hours=draw.uniform(1, 8)) if draw.random() < LATE else timedelta()
        breaking: Breaking | None = None
        if draw.random() < BROKEN:
            breaking = draw.choice(("half sent", "not waited for"))
        one = Sent(
            control_id, raw, recorded(happening) + late, happening.trigger, "CA" if enhanced else "AA",
            of=happening.said[0].person.mrn, breaking=breaking,
        )  # fmt: skip
        yield one
        if draw.random() < TWICE:
            yield replace(one, at=one.at + timedelta(hours=draw.uniform(0, 5)), sort="sent twice", breaking=None)
        if draw.random() < WRONG and happening.said[0].visit and not enhanced:
            yield self._wrong(happening, one)

    def _wrong(self, happening: Happening, right: Sent) -> Sent:
        what = self.random.choice((*WRONGS, REUSED))
        if what == REUSED:
            raw = changed(right.raw, "PID", 5, "OTHERWISE^NAMED")
            return replace(right, raw=raw, sort=what, expected="AE", error="205", breaking=None)
        wrong = WRONGS[what]
        control_id = self._control_id()
        raw = wrong.change(written(happening, control_id))
        return Sent(control_id, raw, right.at, what, wrong.expected, wrong.error, right.of)
