"""``CarePlan/$document``: a care plan as one document, and as pages that the member can read.

``assembly`` gathers what the requester may see of a plan and makes the document Bundle; ``plan`` reads from it what
a member wants to know; ``wording`` says that in the member's language; ``pages`` prints it as HTML and PDF.
"""

from fhirgw.document.assembly import Document, assemble
from fhirgw.document.pages import Presentation
from fhirgw.document.wording import LANGUAGES

__all__ = ["LANGUAGES", "Document", "Presentation", "assemble"]
