"""What the programme's own system may delete: what it wrote itself, where nothing is held up by it.

What a hospital told, what a case states and what a rule raised would come again with the next message or statement:
whoever said it takes it back (A11, A23, A29; a statement; the Task's status). See: FHIR R4 http.html#delete.
"""

from fhirgw.consent.vocabulary import MARKS
from fhirgw.errors import StillNeeded
from fhirgw.ingest.returns import Returns
from fhirgw.referral import is_raised
from fhirgw.store import identity, repository, visits
from fhirgw.store.compartment import INCIDENTAL
from fhirgw.store.database import Transaction
from fhirgw.store.held import held
from fhirgw.store.repository import Stored


def remove(tx: Transaction, stored: Stored, returns: Returns) -> Stored:
    """Delete a resource; its versions remain. The version that says so.

    Raises:
        StillNeeded: It would come again, or holds something else up.
    """
    kind, logical, patient = stored.type, stored.id, stored.patient
    if kind == "Patient":
        _require_alone(tx, logical)
    elif patient and returns.states(tx, patient, f"{kind}/{logical}"):
        raise StillNeeded("A case states it: its system takes it back with a statement.")
    if visits.scopes_with(tx.direct, kind, logical):
        raise StillNeeded("A hospital told of it: its messages take it back.")
    if is_raised(stored.body):
        raise StillNeeded("A rule of the programme called for it: its status closes it.")
    unit, key = held(tx), (kind, logical)
    before = {one: unit.level(one) for one in sorted(unit.referrers(key))}
    if kind in INCIDENTAL and any(before.values()):
        raise StillNeeded("Something refers to it.")
    removed = repository.delete(tx, kind, logical) or stored
    for one, level in before.items():
        now = unit.level(one)
        if level and now and (level[0] & ~now[0] & ~MARKS or now[1] < level[1]):
            # INVARIANT: what is as sensitive as what it refers to never becomes less so because that is gone.
            raise StillNeeded(
                "Something that refers to it is sensitive because of it: delete or change that first."
            )
    return removed


def _require_alone(tx: Transaction, patient: str) -> None:
    """Nothing else is known of the person, who is nobody here from now on."""
    others = [one for one in repository.compartment(tx.connection, patient) if one.type != "Patient"]
    if others or identity.cases(tx.connection, patient):
        raise StillNeeded("There is more of this person here: a case, or a record.")
    if not identity.forget(tx, patient):
        raise StillNeeded("Somebody said who this person is: the merge or link is taken back first.")
