"""What is printed for people: ``CarePlan/$document``, ``Patient/$disclosures``, and the privacy officer's page.

``assembly`` gathers what the requester may see of a plan and makes the document Bundle; ``plan`` reads from it what
a member wants to know; ``disclosed`` tells what was disclosed of them; ``wording`` says that in the member's
language; ``pages`` prints it as HTML and PDF. ``officer`` is for the privacy officer alone, and no exit.
"""

from fhirgw.document.assembly import Document, assemble
from fhirgw.document.disclosed import Disclosures, disclosed
from fhirgw.document.pages import Presentation
from fhirgw.document.wording import LANGUAGES

__all__ = ["LANGUAGES", "Disclosures", "Document", "Presentation", "assemble", "disclosed"]
