"""What the ledger is told of an answer: an entry for each patient, with what it was decided from.

What a decision about somebody was made from is read once for a visibility that is kept, and told again with every
answer under it: while the policy has not moved, which is asked before each account, it is the same.
(docs/decisions/0310)
"""

from collections.abc import Callable
from dataclasses import replace
from weakref import WeakKeyDictionary

from sqlalchemy import Connection

from fhirgw import emergency
from fhirgw.answer import Answer, Shown
from fhirgw.asks import Requester
from fhirgw.audit import Entry, Ledger
from fhirgw.audit_event import Basis, released_under
from fhirgw.consent.labels import TABLE_VERSION
from fhirgw.consent.predicate import Visibility
from fhirgw.emergency import Claim
from fhirgw.store import clients, past
from fhirgw.store.database import Transaction
from fhirgw.visibility import PolicyMovedError, has_moved

Unit = Callable[[Transaction], bool]
"""True, when it is done."""
_Asked = tuple[str, str, str]
"""Client, channel, patient."""


class Books:
    """The accounts of what was answered. To be kept from any thread."""

    def __init__(self, ledger: Ledger, settings: str) -> None:
        """In this ledger, of a gateway whose switches have this digest."""
        self._ledger = ledger
        self._settings = settings
        self._bases: WeakKeyDictionary[Visibility, dict[_Asked, Basis]] = WeakKeyDictionary()

    def account(self, requester: Requester, visibility: Visibility, answer: Answer, now: int) -> Unit:
        """The unit of work that enters an answer, which was decided at an instant (microseconds).

        It raises PolicyMovedError where the policy is not the one that the answer was decided under.
        """
        asked = _entry(requester, disclosure=not visibility.inside, interaction=answer.interaction)
        patients = _by_patient(answer)

        def unit(tx: Transaction) -> bool:
            if has_moved(tx.connection, visibility):
                raise PolicyMovedError
            entries = [
                replace(
                    asked,
                    patient=patient,
                    resources=tuple(one.reference for one in shown),
                    consents=released_under(visibility, patient),
                    part2=tuple(one.reference for one in shown if one.part2),
                    basis=self._basis(tx.connection, requester, visibility, patient, now),
                )
                for patient, shown in patients.items()
            ]
            self._ledger.append(tx, entries)
            return True

        return unit

    def claim(self, requester: Requester, claim: Claim) -> Callable[[Transaction], None]:
        """The unit of work that documents an emergency claim."""
        entry = _entry(requester, disclosure=False, interaction="emergency-claim")
        return lambda tx: self._ledger.append(tx, [emergency.documented(tx, claim, entry)])

    def _basis(
        self, connection: Connection, requester: Requester, visibility: Visibility, patient: str, now: int
    ) -> Basis | None:
        """What was read of a patient for the decision; None where consent decided nothing."""
        if visibility.inside:
            return None
        known = self._bases.setdefault(visibility, {}) if patient in (visibility.about or ()) else {}
        asked = (requester.client, requester.channel, patient)
        basis = known.get(asked)
        if basis is None:
            client = clients.find(connection, requester.client)
            classes = tuple(sorted(client.classes)) if client else ()
            read, labels = past.read(connection, patient), TABLE_VERSION
            basis = known[asked] = Basis(
                now, requester.channel, classes, *read, settings=self._settings, labels=labels
            )
        return basis._replace(decided=now)


def _by_patient(answer: Answer) -> dict[str, list[Shown]]:
    """What is shown of each patient; what is about nobody is not accounted for."""
    found: dict[str, list[Shown]] = {answer.about: []} if answer.about else {}
    for one in answer.shown:
        if one.stored.patient is not None:
            found.setdefault(one.stored.patient, []).append(one)
    return found


def _entry(requester: Requester, *, disclosure: bool, interaction: str) -> Entry:
    """Who asked; about whom, and what they got, is put in."""
    return Entry(
        patient=None,
        recipient=requester.client,
        organization=f"Organization/{requester.organization}",
        purpose=requester.purpose,
        disclosure=disclosure,
        interaction=interaction,
        resources=(),
        consents=(),
        request_id=requester.request_id,
        emergency=emergency.account(requester.emergency) if requester.emergency else None,
    )
