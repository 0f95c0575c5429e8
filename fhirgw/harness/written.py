"""What a run puts on a server: on disk before it is sent, so that this run or any later one can remove it."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import orjson

from fhirgw.errors import InvalidElement

SUFFIX = ".written.ndjson"
KEPT = ".kept.ndjson"


@dataclass(frozen=True, slots=True)
class Group:
    """What was sent in one request.

    Attributes:
        references: ``Type/id`` that the harness chose.
        types: Types of resources whose ids the server chose: found again by their tag.
    """

    references: tuple[str, ...] = ()
    types: tuple[str, ...] = ()


class Written:
    """The journal of one run: a header line, and a line for each request that writes."""

    def __init__(self, path: Path, target: str, run: str) -> None:
        """Of a file that is there, or will be.

        Args:
            path: The file.
            target: Base URL of the server.
            run: The run's tag.
        """
        self.path = path
        self.target = target
        self.run = run
        self.groups: list[Group] = []

    @classmethod
    def begin(cls, folder: Path, target: str, run: str) -> Self:
        """Of a new run.

        Raises:
            InvalidElement: The folder cannot be written to.
        """
        written = cls(folder / f"{run}{SUFFIX}", target, run)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            written._append({"target": target, "run": run})
        except OSError as error:
            raise InvalidElement(f"{written.path}: {error.strerror}") from None
        return written

    @classmethod
    def read(cls, path: Path) -> Self:
        """Of a run that ended before it had cleaned up; a line that was cut off had not been acted on.

        Raises:
            InvalidElement: It is no such file.
        """
        try:
            head, *lines = path.read_bytes().splitlines()
            header = orjson.loads(head)
            written = cls(path, header["target"], header["run"])
            written.groups = list(_groups(lines))
        except (OSError, ValueError, KeyError, TypeError):
            raise InvalidElement(f"{path} is no journal of the harness.") from None
        return written

    @classmethod
    def unfinished(cls, folder: Path, target: str) -> list[Self]:
        """The runs against this server that have not cleaned up, of this folder."""
        found = [cls.read(path) for path in sorted(folder.glob(f"*{SUFFIX}"))]
        return [one for one in found if one.target == target]

    def note(self, references: Iterable[str] = (), types: Iterable[str] = ()) -> None:
        """Say what is about to be written."""
        group = Group(tuple(references), tuple(types))
        self._append({"references": group.references, "types": group.types})
        self.groups.append(group)

    def all_types(self) -> list[str]:
        """Every type of which something was written."""
        types = {one.partition("/")[0] for group in self.groups for one in group.references}
        return sorted(types.union(*(group.types for group in self.groups)))

    def done(self) -> None:
        """Everything is removed: so is the journal."""
        self.path.unlink()

    def keep(self) -> None:
        """What was written stays, and so does the journal, under a name that no later run acts on by itself."""
        self.path = self.path.rename(self.path.with_name(f"{self.run}{KEPT}"))

    def _append(self, line: object) -> None:
        with self.path.open("ab") as file:
            file.write(orjson.dumps(line) + b"\n")
            file.flush()
            os.fsync(file.fileno())


def _groups(lines: Iterable[bytes]) -> Iterator[Group]:
    for line in lines:
        try:
            group = orjson.loads(line)
        except orjson.JSONDecodeError:
            return
        yield Group(tuple(group["references"]), tuple(group["types"]))
