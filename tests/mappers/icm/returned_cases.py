"""Cases as they are mapped out, so that what is written of them can be read back."""

from functools import cached_property

import pytest
from icm_cases import CASES, KEY, program_of, stated

from fhirgw.icm.model import Case
from fhirgw.icm.statements import statement
from fhirgw.mappers.icm import map_case
from fhirgw.mappers.icm.returning import Home, returned
from fhirgw.mappers.icm.returning.reading import held
from fhirgw.mappers.icm.shape import Scope

BASE = "http://fhirgw.org/fhir"


class World:
    """A case and what it is mapped to, once that is asked for."""

    def __init__(self, case):
        self.case = case
        self.program = program_of(case)

    @cached_property
    def resources(self):
        return map_case(self.case, self.program, KEY)

    @cached_property
    def by_reference(self):
        return {f"{one['resourceType']}/{one['id']}": one for one in self.resources}

    @cached_property
    def home(self):
        return Home(self.case, self.program, self.of("Patient")[0]["id"])

    def id(self, *parts):
        return Scope(self.case, self.program, KEY, self.home.patient).id(*parts)

    def of(self, *kinds):
        return [one for one in self.resources if one["resourceType"] in kinds]

    def back(self, resource, *, fresh="fresh", known=None):
        find = {**self.by_reference, **(known or {})}.get
        return returned(resource, [self.home], KEY, fresh=fresh, find=find)

    def taken(self, one):
        """The case, once its system has taken what came back."""
        body = self.case.model_dump_json(exclude_unset=True).encode()
        return statement(one.records.model_dump(mode="json")).case(body)


def world(name, **changes):
    return World(Case.model_validate({**stated(name), **changes}))


WORLDS = {name: world(name) for name in CASES}


def told(error):
    return {one.location for one in error.value.exceptions}


def records_of(path):
    """(fixture, its world, the record) of every record of a list."""
    for name, here in WORLDS.items():
        for one in held(here.case, path):
            yield pytest.param(here, one, id=f"{name} {one.id}")


def lacking(here, path=None, record=None):
    """The case, open again, without one record of a list and without problems that show in it."""
    problems = [{**one, "evidence": []} for one in stated_plan(here.case).get("problems", ())]
    plan = {"care_plan": {"problems": problems}} if problems and record else {}
    again = (
        {"status": "active", "closure": None, "opt_in": {"withdrawn_at": None}}
        if here.case.status == "finished"
        else {}
    )
    remove = {path: [record.id]} if record else {}
    change = {"case": here.case.key, "version": 1, "records": plan | again, "remove": remove}
    return World(statement(change).case(here.case.model_dump_json(exclude_unset=True).encode()))


def stated_plan(case):
    return case.care_plan.model_dump(mode="json", exclude_unset=True) if case.care_plan else {}


def new(resource):
    """As it would be sent first: no id, nothing but what its writer knows."""
    return {name: value for name, value in resource.items() if name != "id"}


def refused(here, resource, **how):
    with pytest.raises(ExceptionGroup) as error:
        here.back(resource, **how)
    return {(one.location, one.text) for one in error.value.exceptions}
