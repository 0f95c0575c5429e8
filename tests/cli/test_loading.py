"""Each command's module is loaded when it is asked for, and no command is forgotten."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest
import typer
from typer.main import get_command, get_group
from typer.testing import CliRunner

from fhirgw import cli

ROOT = Path(__file__).parent.parent.parent
TOP = get_command(cli.app)
GROUPS = {"fhirgw": TOP, "map": TOP.get_command(None, "map"), "consent": TOP.get_command(None, "consent")}


@pytest.mark.parametrize("group", GROUPS)
def test_every_command_is_where_the_table_says(group):
    known = GROUPS[group]
    assert {name: known.get_command(None, name) and known.get_command(None, name).name for name in known.homes} == {
        name: name for name in known.homes
    }


def test_every_command_that_a_module_registers_is_in_a_table():
    registered = set()
    for module in iter_modules(cli.__path__):
        loaded = import_module(f"fhirgw.cli.{module.name}")
        if hasattr(loaded, "register"):
            holder = typer.Typer()
            loaded.register(holder)
            registered |= {(module.name, name) for name in get_group(holder).commands}
    assert registered == {(home, name) for known in GROUPS.values() for name, home in known.homes.items()}


def test_a_mistyped_command_is_told_which_is_like_it():
    told = CliRunner().invoke(cli.app, ["jornal", "list"])
    assert told.exit_code == 2
    assert "Did you mean 'journal'?" in told.output


def test_a_decision_over_files_loads_no_store():
    script = (
        "import sys; sys.argv = ['fhirgw', 'consent', 'decide', '--batch', 'fixtures/consent/cases.ndjson'];"
        "from fhirgw.cli import app; app(standalone_mode=False);"
        "sys.exit(int('sqlalchemy' in sys.modules))"
    )
    assert (
        subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, check=False).returncode == 0
    )
