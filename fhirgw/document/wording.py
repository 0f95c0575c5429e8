"""A plan in words: the sections of the member's copy, in a language, for whatever prints them.

``words.toml`` has every phrase; the member's own words are never translated.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from babel.dates import format_date

from fhirgw.consent.notice import STATEMENT
from fhirgw.document.plan import Aim, Coded, Helper, Often, Part, Plan, Step

LANGUAGES = ("en", "es")
Words = Mapping[str, Any]
"""Phrases by key, with the tables ``units``, ``kinds``, ``steps-of`` and ``codes``."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What somebody outside the programme saw on a day."""

    on: date
    to: str
    kinds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Item:
    """A paragraph with a lead, and lines under it.

    Attributes:
        lead: Its first line.
        lines: Further ones.
        of: ``Type/id`` of the resource that it is from; None: of the gateway's own books.
    """

    lead: str
    lines: tuple[str, ...] = ()
    of: str | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what is under it. ``key``: of which kind it is."""

    key: str
    heading: str
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """What is printed, in order."""

    language: str
    title: str
    lines: tuple[str, ...]
    sections: tuple[Section, ...]
    foot: tuple[str, ...]


def page(
    plan: Plan, language: str, shared: Sequence[Shared] | None, released_for: Sequence[str] | None = None
) -> Page:
    """The member's copy.

    Args:
        plan: What is in it.
        language: One of ``LANGUAGES``.
        shared: What was shared with whom; None: this copy does not say.
        released_for: With records under 42 CFR Part 2, what the releases say of them: the notice of 2.32 goes
            with it. None: there are no such records.
    """
    speaker = Speaker(language, words_of(language))
    sections = [*speaker.sections(plan, shared), speaker.notice(released_for)]
    return Page(
        language,
        speaker.say("title"),
        tuple(speaker.opening(plan)),
        tuple(one for one in sections if one.items),
        (speaker.say("emergency"), speaker.say("own")),
    )


@cache
def words_of(language: str) -> Words:
    """Every phrase in a language."""
    whole = tomllib.loads(files(__package__).joinpath("words.toml").read_text("utf-8"))
    return MappingProxyType(whole[language])


@dataclass(frozen=True, slots=True)
class Speaker:
    """Says things in one language."""

    language: str
    words: Words

    def say(self, key: str, **values: object) -> str:
        """A phrase, with what is put into it."""
        return str(self.words[key]).format(**values)

    def opening(self, plan: Plan) -> Iterator[str]:
        """Whose plan it is, and when it was made."""
        yield self.say("for", name=plan.name)
        if plan.created and plan.program:
            yield self.say("from", date=self.day(plan.created), program=plan.program)
        elif plan.created:
            yield self.say("made", date=self.day(plan.created))
        if plan.summary:
            yield plan.summary

    def sections(self, plan: Plan, shared: Sequence[Shared] | None) -> Iterator[Section]:
        """All of them; those without items are not printed."""
        pursued, reached = ([aim for aim in plan.aims if aim.reached is is_] for is_ in (False, True))
        yield self._section("aims", (self._aim(aim) for aim in pursued))
        for part in plan.parts:
            yield Section("parts", self.code(part.kind), tuple(self._part(part)))
        yield self._section("helpers", (self._helper(helper) for helper in plan.helpers))
        yield self._section("steps", (Item(self._step(step.text, step), of=step.of) for step in plan.steps))
        met = (Item(self._step(self.say("contact"), one), of=one.of) for one in plan.meetings)
        yield self._section("meetings", met)
        yield self._section("reached", (Item(aim.words, of=aim.of) for aim in reached))
        if shared is not None:
            told = [Item(self._share(one)) for one in shared] or [Item(self.say("none-shared"))]
            yield self._section("shared", iter(told))

    def notice(self, released_for: Sequence[str] | None) -> Section:
        """The notice of 42 CFR 2.32 in its own words, and the scope of the release."""
        items = []
        if released_for is not None:
            said = self.say("part2")
            items.append(Item(said, () if said == STATEMENT else (STATEMENT,)))
            items += [Item(self.say("scope"), tuple(released_for))] if released_for else []
        return self._section("notice", iter(items))

    def _section(self, key: str, items: Iterator[Item]) -> Section:
        return Section(key, self.say(key), tuple(items))

    def _aim(self, aim: Aim) -> Item:
        lines = [self.say(aim.term)] if aim.term else []
        lines += [self.say("measure", measure=aim.measure)] if aim.measure else []
        lines += [self.say("due", date=self.day(aim.due))] if aim.due else []
        return Item(aim.words, (*lines, *(self._step(step.text, step) for step in aim.steps)), aim.of)

    def _part(self, part: Part) -> Iterator[Item]:
        """What it says, its steps under their kinds, whom to call."""
        yield from (Item(line, of=part.of) for line in part.lines)
        for kind in dict.fromkeys(kind for kind, _ in part.steps):
            steps = tuple(what for of, what in part.steps if of == kind)
            yield Item(str(self.words["steps-of"][kind]), steps, part.of)
        for call in part.calls:
            hours = (call.hours,) if call.hours else ()
            yield Item(call.name, (self.say("phone", phone=call.phone), *hours), part.of)

    def _helper(self, helper: Helper) -> Item:
        phones = (self.say("phone", phone=phone) for phone in helper.phones)
        return Item(helper.name, (*(self.code(one) for one in helper.roles), *phones), helper.of)

    def _step(self, what: str, step: Step) -> str:
        said = self.say("often", what=what.rstrip("."), often=self._often(step.often)) if step.often else what
        return self.say("by", what=said.rstrip("."), by=self.say("and").join(step.by)) if step.by else said

    def _often(self, often: Often) -> str:
        one, many, between = self.words["units"][often.unit].split("|")
        form = between if often.most else many if often.period > 1 else one
        period = form.format(n=often.period, m=often.most)
        return self.say("once" if often.times == 1 else "times", times=often.times, period=period)

    def _share(self, shared: Shared) -> str:
        kinds = self.words["kinds"]
        what = sorted({kinds.get(kind, kinds["other"]) for kind in shared.kinds})
        return self.say("share", date=self.day(shared.on.isoformat()), to=shared.to, what=", ".join(what))

    def code(self, coded: Coded) -> str:
        """A code of a programme, ``ct-bhp.peer``, in this language; else its display."""
        return str(self.words["codes"].get(coded.code.rpartition(".")[2], coded.display))

    def day(self, when: str) -> str:
        """A FHIR date, as far as it goes: a year or a month stays one."""
        match when[:10].split("-"):
            case [year, month, day]:
                return format_date(date(int(year), int(month), int(day)), "long", locale=self.language)
            case [year, month]:
                return format_date(date(int(year), int(month), 1), "MMMM y", locale=self.language)
            case _:
                return when
