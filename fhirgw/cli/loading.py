"""Commands that are loaded when they are asked for: all of them together take a second and more to load."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, ClassVar

import typer
from typer.core import TyperGroup
from typer.main import get_group


class Commands(TyperGroup):
    """A group that knows in which module of ``fhirgw.cli`` each of its commands is, and loads only that."""

    homes: ClassVar[Mapping[str, str]] = {}

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the signature is Click's
        """The names, in the order of the help."""
        return list(self.homes)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - as above
        """The command. One that is not there has all loaded, so that a like one can be suggested."""
        for name in [cmd_name] if cmd_name in self.homes else self.homes:
            if name not in self.commands:
                holder = typer.Typer()
                import_module(f"fhirgw.cli.{self.homes[name]}").register(holder)
                self.commands.update(get_group(holder).commands)
        return self.commands.get(cmd_name)


def commands_in(homes: Mapping[str, str]) -> type[Commands]:
    """The class of a group of commands.

    Args:
        homes: Command ► the module below ``fhirgw.cli`` whose ``register`` adds it.
    """
    return type("Commands", (Commands,), {"homes": homes})
