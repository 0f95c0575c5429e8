"""What the operator's files say: senders, programmes, matching, agreements, the minimum necessary."""

import time
import tomllib
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import structlog

from fhirgw import matching, programs
from fhirgw.consent.minimum import read_profiles, shipped
from fhirgw.consent.model import Agreement, Profile
from fhirgw.consent.wire import read_agreements
from fhirgw.errors import InvalidElement
from fhirgw.programs import Program
from fhirgw.settings import ZONE, Senders, Settings

log = structlog.get_logger(__name__)
LOOK_SECONDS = 0.01
"""A look at a file takes as long as the rest of what is asked of a message at the door."""


class SendersFile:
    """The senders file, read again only when it changed; it is looked at once in ``LOOK_SECONDS``."""

    def __init__(self, settings: Settings, *, seconds: Callable[[], float] = time.monotonic) -> None:
        """Watch the file the settings name."""
        self._seconds = seconds
        self._due = 0.0
        self._settings = settings
        self._path = settings.senders_file or settings.data_dir / "senders.toml"
        self._seen: tuple[int, int] | None = None
        self._senders = Senders()

    def __call__(self) -> Senders:
        """The senders as the file states them now."""
        now = self._seconds()
        if now < self._due:
            return self._senders
        self._due = now + LOOK_SECONDS
        try:
            stat = self._path.stat()
            stamp = (stat.st_mtime_ns, stat.st_size)
        except FileNotFoundError:
            stamp = (0, 0)
        if stamp != self._seen:
            first, self._seen = self._seen is None, stamp
            try:
                self._senders = self._settings.senders()
            except (OSError, ValueError) as error:  # half written, or a slip of the pen: hospitals go on sending
                if first:
                    raise InvalidElement(f"The senders file cannot be read: {error}", location="senders") from None
                log.error("senders file not read; the last one counts", error=type(error).__name__)  # noqa: TRY400
        return self._senders


def load_programs(folder: Path | None) -> dict[str, Program]:
    """The programmes that ship with fhirgw, and those of the operator's folder."""
    texts = [
        entry.read_text("utf-8")
        for entry in resources.files("fhirgw.programs").iterdir()
        if entry.name.endswith(".toml")
    ]
    texts += [path.read_text("utf-8") for path in sorted(folder.glob("*.toml"))] if folder else []
    loaded = [programs.load(text) for text in texts]
    return {program.id: program for program in loaded}


def load_matching(file: Path | None) -> matching.Model:
    """The weights of matching that ship with fhirgw, and what the operator's file says otherwise.

    Raises:
        InvalidElement: The file cannot be read, or what it says is no model.
    """
    try:
        return matching.load(file.read_text("utf-8") if file else "")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidElement(f"The matching file cannot be read: {error}", location="matching") from None


def load_agreements(file: Path | None, zone: str = ZONE) -> tuple[Agreement, ...]:
    """Under which agreements the law has data disclosed without a release: those of the operator's file.

    Args:
        file: Of the operator; None: there are none.
        zone: Of their first and last days.

    Raises:
        InvalidElement: The file cannot be read, or an agreement lacks something.
    """
    return read_agreements(_tables(file, "agreements").get("agreement", []), "agreement", zone)


def load_minimum(file: Path | None) -> tuple[Profile, ...]:
    """What is the minimum necessary, for whom: as fhirgw ships it, and as the operator's file says otherwise.

    Raises:
        InvalidElement: The file cannot be read, or a profile in it is none.
    """
    own = read_profiles(_tables(file, "minimum").get("profile", []), "profile")
    return (*(one for one in shipped() if one.name not in {mine.name for mine in own}), *own)


def _tables(file: Path | None, location: str) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8")) if file else {}
    except (OSError, ValueError) as error:
        raise InvalidElement(f"The file of the {location} cannot be read: {error}", location=location) from None
