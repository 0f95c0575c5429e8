"""What is tried on a server, capability by capability: each gives evidence, or says what is wrong by an exception.

See: http://hl7.org/fhir/R4/http.html; the sections are named at each.
"""

from collections.abc import Callable, Sequence
from itertools import chain

import orjson

from fhirgw.harness import findings
from fhirgw.harness.comparison import Difference, Json, compare, untolerated
from fhirgw.harness.result import Evidence, NotOffered, Unmet
from fhirgw.harness.session import CREATED, Session
from fhirgw.harness.synthetic import SCRATCH, Sample, references
from fhirgw.profiles import npm

Check = Callable[[Session], Evidence]

DEFINITION_KINDS = ("CodeSystem", "ValueSet", "StructureDefinition")
"""In the order in which they build on each other."""
PAGE = 5
MOST_TOLD = 5


def statement(session: Session) -> Evidence:
    """The CapabilityStatement is one of R4 (#capabilities)."""
    if session.offers.fhir != "4.0.1":
        raise Unmet(f"fhirVersion is {session.offers.fhir}, not 4.0.1.")
    return Evidence([session.offers.software])


def package(session: Session) -> Evidence:
    """Our definitions, written where the server has not got them yet."""
    lacking = [kind for kind in DEFINITION_KINDS if not session.offers.interaction(kind, "update")]
    if lacking:
        raise NotOffered(f"No update of {', '.join(lacking)} is offered.")
    definitions = [orjson.loads(one) for one in npm.definitions().values()]
    written = 0
    for kind in DEFINITION_KINDS:
        of_kind = [one for one in definitions if one["resourceType"] == kind]
        known = _known(session, kind, [one["url"] for one in of_kind])
        missing = [
            {**one, "id": f"{one['id'][:40]}-{session.run.tag}"} for one in of_kind if one["url"] not in known
        ]
        if missing:
            session.put_all([session.run.marked(one) for one in missing])
            written += len(missing)
    return Evidence([f"{written} definitions written, the others were there"])


def _known(session: Session, kind: str, urls: Sequence[str]) -> set[str]:
    """Those of the canonical URLs that the server has."""
    asked = {"url": ",".join(urls), "_count": "100"}
    pages = session.pages(f"{kind}/_search", asked)
    return {entry["resource"]["url"] for page in pages for entry in page.get("entry", [])}


def validate(session: Session, sample: Sample, resources: Sequence[Json]) -> Evidence:
    """``$validate`` finds no error in the resources (resource-operation-validate.html)."""
    offered = [one for one in resources if session.offers.operation(one["resourceType"], "validate")]
    if not offered:
        raise NotOffered("No $validate is offered.")
    errors: list[str] = []
    explained: set[str] = set()
    warnings = 0
    for one in offered:
        answer = session.target.request("POST", f"{one['resourceType']}/$validate", one)
        issues = answer.require(200, 400, 412, 422).get("issue", [])
        warnings += sum(issue["severity"] == "warning" for issue in issues)
        for issue in issues:
            where, text = " ".join(issue.get("expression", [])), issue.get("diagnostics", "")
            if issue["severity"] not in ("error", "fatal"):
                continue
            if known := findings.reason(where, text):
                explained.add(known)
            else:
                errors.append(f"{where}: {text}")
    if errors:
        raise Unmet(*errors[:MOST_TOLD], f"{len(errors)} errors in {sample.name}")
    return Evidence([f"{len(offered)} resources, 0 errors, {warnings} warnings", *sorted(explained)])


def write(session: Session, sample: Sample) -> Evidence:
    """The transaction is taken whole (#transaction); resource by resource where there are none."""
    session.put_all(sample.resources)
    how = "in a transaction" if session.offers.has_transactions else "one by one"
    return Evidence([f"{len(sample.resources)} resources written {how}"])


def read_back(session: Session, sample: Sample) -> Evidence:
    """What was written comes back as it was sent (#read)."""
    refs = [one for one in references(sample.resources) if one in session.sent]
    if not refs:
        raise NotOffered("Nothing of it was written.")
    problems: list[str] = []
    found: dict[str, list[Difference]] = {}
    for reference in refs:
        answer = session.target.request("GET", reference)
        if answer.status != 200 or answer.resource is None:
            problems.append(f"{reference}: {answer.told}")
        else:
            sent = session.as_read(session.sent[reference])
            found[reference] = compare(sent, answer.resource, session.target.base)
    wrong = {reference: list(untolerated(some)) for reference, some in found.items()}
    problems += [f"{reference}: {len(some)} differences" for reference, some in wrong.items() if some]
    if problems:
        raise Unmet(*problems[:MOST_TOLD], differences=[*chain(*wrong.values())])
    return Evidence([f"{len(refs)} resources as they were sent"], [*chain(*found.values())])


def paging(session: Session) -> Evidence:
    """The pages of a search hold everything once (#paging)."""
    expected = {one for one in session.sent if one.startswith("Observation/")}
    if not expected:
        raise NotOffered("No Observation was written.")
    pages = list(session.pages(session.scoped("Observation", f"_count={PAGE}")))
    found = [one for page in pages for one in references(entry["resource"] for entry in page.get("entry", []))]
    if len(found) != len(set(found)):
        raise Unmet("Something is on two pages.")
    if not expected <= set(found) or (session.has_tags and len(found) > len(expected)):
        raise Unmet(f"{len(expected)} were written, and {len(found)} are on {len(pages)} pages.")
    return Evidence([f"{len(found)} on {len(pages)} pages of {PAGE}"])


def history(session: Session) -> Evidence:
    """Each version is kept, the newest first, and can be read (#history, #vread)."""
    if not session.offers.interaction("Patient", "history-instance"):
        raise NotOffered("No history of Patient is offered.")
    first = _scratch(session, "history")
    second = {**first, "active": True}
    for version in (first, second):
        session.put(version).require(*CREATED)
    reference = references([first])[0]
    pages = list(session.pages(f"{reference}/_history"))
    versions = [entry["resource"] for page in pages for entry in page.get("entry", []) if "resource" in entry]
    if [one.get("active") for one in versions] != [True, None]:
        raise Unmet(f"Two versions were written, and the history has {len(versions)}, or in another order.")
    older = f"{reference}/_history/{versions[1]['meta']['versionId']}"
    if session.target.request("GET", older).require(200).get("active"):
        raise Unmet("An older version is read as the newer one.")
    return Evidence(["2 versions, the newest first; the older one read"])


def version_conflict(session: Session) -> Evidence:
    """An update of a version that is the current one no more is refused (#concurrency)."""
    patient = _scratch(session, "conflict")
    session.put(patient).require(*CREATED)
    reference = references([patient])[0]
    etag = session.target.request("GET", reference).headers.get("etag")
    if etag is None:
        raise Unmet("A read has no ETag.")
    session.put({**patient, "active": True}, {"If-Match": etag}).require(200)
    answer = session.put({**patient, "active": False}, {"If-Match": etag})
    if answer.status not in (409, 412):
        raise Unmet(f"An update of an old version is answered by {answer.told}")
    return Evidence([f"refused with HTTP {answer.status}"])


def conditional_create(session: Session) -> Evidence:
    """What is there is not created again (#ccreate)."""
    _require(session, "conditionalCreate")
    patient = session.run.scratch("create")
    condition = f"identifier={SCRATCH}|{session.run.tag}-create"
    headers = {"If-None-Exist": condition}
    statuses = [session.create("POST", "Patient", patient, headers).status for _ in range(2)]
    if statuses != [201, 200]:
        raise Unmet(f"Created twice, it is answered by HTTP {statuses[0]} and {statuses[1]}, not 201 and 200.")
    return _found_once(session, condition)


def conditional_update(session: Session) -> Evidence:
    """What a search finds is updated, what it does not find created (#cond-update)."""
    _require(session, "conditionalUpdate")
    patient = session.run.scratch("update")
    condition = f"identifier={SCRATCH}|{session.run.tag}-update"
    for version in (patient, {**patient, "active": True}):
        session.create("PUT", f"Patient?{condition}", version).require(*CREATED)
    return _found_once(session, condition)


def conditional_delete(session: Session) -> Evidence:
    """What a search finds is deleted (#3.1.0.7.1)."""
    _require(session, "conditionalDelete")
    session.put(_scratch(session, "delete")).require(*CREATED)
    condition = f"identifier={SCRATCH}|{session.run.tag}-delete"
    session.target.request("DELETE", f"Patient?{condition}").require(200, 202, 204)
    if any(page.get("entry") for page in session.pages(f"Patient?{condition}")):
        raise Unmet("It is found after its deletion.")
    return Evidence(["1 deleted"])


def delete(session: Session) -> Evidence:
    """What is deleted is gone, and says so (#delete)."""
    if not session.offers.interaction("Patient", "delete"):
        raise NotOffered("No delete of Patient is offered.")
    patient = _scratch(session, "gone")
    session.put(patient).require(*CREATED)
    reference = references([patient])[0]
    session.target.request("DELETE", reference).require(200, 202, 204)
    status = session.target.request("GET", reference).status
    if status not in (404, 410):
        raise Unmet(f"After its deletion it is read with HTTP {status}.")
    return Evidence([f"HTTP {status} afterwards"])


def refusals(session: Session) -> Evidence:
    """What is wrong is refused with an OperationOutcome (#Status-Codes, search.html#errors)."""
    unknown = session.target.request("GET", f"Patient/{session.run.tag}-nobody")
    wrong = f"Patient/{session.run.tag}-wrong"
    session.note([wrong])  # it should not be taken, and may be
    other = session.target.request("PUT", wrong, {**_scratch(session, "other"), "gender": 7})
    strict = session.target.request("GET", "Patient?no-such-parameter=1", headers={"Prefer": "handling=strict"})
    problems = [
        f"{what} is answered by {answer.told}"
        for what, answer, statuses in (
            ("An unknown id", unknown, {404, 410}),
            ("A resource under another id", other, {400, 422}),
            ("An unknown search parameter, strictly", strict, {400, 403, 422}),
        )
        if answer.status not in statuses or (answer.resource or {}).get("resourceType") != "OperationOutcome"
    ]
    if problems:
        raise Unmet(*problems)
    return Evidence(["unknown id, wrong id and unknown parameter refused, each with an OperationOutcome"])


def _scratch(session: Session, name: str) -> Json:
    """A Patient with an id of ours."""
    return {**session.run.scratch(name), "id": f"{session.run.tag}-{name}"}


def _require(session: Session, what: str) -> None:
    if not session.offers.conditional("Patient", what):
        raise NotOffered(f"No {what} of Patient is offered.")


def _found_once(session: Session, condition: str) -> Evidence:
    found = [entry for page in session.pages(f"Patient?{condition}") for entry in page.get("entry", [])]
    if len(found) != 1:
        raise Unmet(f"{len(found)} are found afterwards, not 1.")
    return Evidence(["found once"])
