"""The only way in: parse ► map ► label ► validate ► store ► refer.

A hospital's message, kept and acknowledged by ``intake``, is processed in a transaction of its own (``messages``).
An ICM case (``cases``) and a resource written through the API (``resources``) go the same way into the same store;
what none of them can undo is said once (``precedence``). (DESIGN §1, §4.)
"""

from collections.abc import Callable, Mapping

from fhirgw.audit import Ledger
from fhirgw.ingest.cases import Cases
from fhirgw.ingest.messages import Messages
from fhirgw.ingest.persons import Persons
from fhirgw.ingest.pulled import Pulled
from fhirgw.ingest.records import Records
from fhirgw.ingest.resources import Resources, Written, register_organization
from fhirgw.ingest.returns import Returns
from fhirgw.ingest.reviews import Reviews
from fhirgw.matching import Model, load
from fhirgw.programs import Program
from fhirgw.settings import Senders
from fhirgw.store.database import Database

__all__ = ["Ingest", "Written", "register_organization"]


class Ingest:
    """What is stored goes through here. One instance serves the journal, the API and the command line.

    Attributes:
        messages: Kept ADT messages become resources.
        cases: ICM cases become resources.
        resources: Resources written through the API, and what a person does to them.
        pulled: What another FHIR server holds becomes resources.
        persons: Who is who: merges, links, and what a person says of them.
        reviews: Messages that wait until a person has said whom they are about.
    """

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        *,
        programs: Mapping[str, Program],
        senders: Callable[[], Senders],
        id_key: bytes,
        new_id: Callable[[], str],
        matching: Model | None = None,
        alert_days: int | None = None,
    ) -> None:
        """Compose.

        Args:
            database: The store.
            ledger: This process's chain: what staff and operators do is accounted for.
            programs: The programmes by id.
            senders: Reads the senders file, so that a corrected map counts at the next message or replay.
            id_key: Key of the deterministic resource ids.
            new_id: Fresh opaque ids, for server-assigned resource ids.
            matching: Weights and thresholds of matching; None: those that ship with fhirgw.
            alert_days: What happened longer ago is told to nobody; None: everything is told.
        """
        model = matching or load()
        self.reviews = Reviews(database, ledger, model=model, id_key=id_key, new_id=new_id)
        records = Records(programs=programs, senders=senders, id_key=id_key, alert_days=alert_days)
        self.persons = Persons(database, ledger, records, id_key=id_key, new_id=new_id)
        self.messages = Messages(
            database,
            senders=senders,
            id_key=id_key,
            reviews=self.reviews,
            records=records,
            persons=self.persons,
        )
        self.cases = Cases(database, programs=programs, id_key=id_key)
        self.pulled = Pulled(database, programs=programs, id_key=id_key)
        returns = Returns(programs=programs, id_key=id_key)
        self.resources = Resources(database, ledger, returns, new_id=new_id)
