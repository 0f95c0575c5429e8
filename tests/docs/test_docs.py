"""What the documents say is so: modules, commands, settings, links."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import orjson
import pytest
import typer.main

from fhirgw.cli import app
from fhirgw.settings import Sender, Settings

ROOT = Path(__file__).parent.parent.parent
DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
ARCHITECTURE = (ROOT / "docs/architecture.md").read_text("utf-8")
SETTINGS = (ROOT / "docs/settings.md").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")
COMMAND = typer.main.get_command(app)
FILES_ONLY = {
    ("map", "adt"),
    ("map", "icm"),
    ("lint",),
    ("validate",),
    ("sf12",),
    ("consent", "decide"),
    ("consent", "lint"),
}
"""Commands without a store or a socket: these are run."""
FENCE = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`(fhirgw [^`]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def modules():
    """Modules and packages of the top two levels, as the architecture page writes them."""
    for path in sorted((ROOT / "fhirgw").iterdir()):
        if (path / "__init__.py").exists():
            yield path.name, path.name
            for inner in sorted(path.iterdir()):
                package = (inner / "__init__.py").exists()
                if package or (inner.suffix == ".py" and inner.stem != "__init__"):
                    yield f"{path.name}.{inner.stem}", inner.stem
        elif path.suffix == ".py" and path.stem != "__init__":
            yield path.stem, path.stem


def table_row(package):
    """The row of the modules' table that begins with this module."""
    return next((line for line in ARCHITECTURE.splitlines() if re.match(rf"\|[^|]*`{package}/?`", line)), "")


def command_lines():
    """Every ``fhirgw …`` a reader may type, with the document it is in."""
    for path in DOCS:
        text = path.read_text("utf-8")
        lines = [line for block in FENCE.findall(text) for line in block.replace("\\\n", " ").splitlines()]
        lines += CODE.findall(text)
        for line in lines:
            words = shlex.split(line, comments=True)
            while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
                words = words[1:]
            if words[:1] == ["fhirgw"] and len(words) > 1:
                yield pytest.param(words[1:], id=f"{path.name}: {shlex.join(words)[:70]}")


def parsed(words):
    """The command that the first words name, with its path, and the words that are left for it to read."""
    command, path, rest = COMMAND, (), list(words)
    while subcommands(command):
        assert rest, "a command is missing"
        assert rest[0] in subcommands(command), f"there is no command {rest[0]}"
        command, path, rest = subcommands(command)[rest[0]], (*path, rest[0]), rest[1:]
    return path, command, rest


def subcommands(command):
    """By name; nothing for a command that runs. (Typer may carry a click of its own: no isinstance here.)"""
    listed = getattr(command, "list_commands", None)
    return {name: command.get_command(None, name) for name in listed(None)} if listed else {}


def leaves(command=COMMAND, path=()):
    for name, inner in subcommands(command).items():
        yield from leaves(inner, (*path, name)) if subcommands(inner) else [((*path, name), inner)]


def tracked():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:  # an unpacked source archive: what is documented is still checked
        return DOCS
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


@pytest.mark.parametrize("dotted", [dotted for dotted, _ in modules()])
def test_every_module_is_on_the_architecture_page(dotted):
    package, _, stem = dotted.partition(".")
    row = table_row(package)
    assert row, f"docs/architecture.md has no row for {package}"
    assert not stem or f"`{stem}`" in row, f"docs/architecture.md does not name {stem} in the row of {package}"


def test_the_layers_on_the_architecture_page_are_the_contract():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    [layers] = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    # In brackets: modules that may be missing.
    there = [" | ".join(part for part in layer.split(" | ") if not part.startswith("(")) for layer in layers]
    assert "\n".join(there) in ARCHITECTURE


def test_the_architecture_page_names_every_table():
    text = (ROOT / "fhirgw/store/schema.py").read_text("utf-8")
    tables = re.findall(r"^(\w+) = (?:Table|_index)\(", text, re.MULTILINE)
    assert tables
    assert [name for name in tables if f"`{name}`" not in ARCHITECTURE] == []


@pytest.mark.parametrize("words", list(command_lines()))
def test_every_command_in_the_documents_is_one(words):
    path, command, rest = parsed(words)
    if not rest:  # named in a sentence, not to be typed as it stands
        return
    command.make_context(" ".join(path), list(rest))


def is_run(words):
    """Whether a command is over files alone, and names files that are here."""
    path, _, rest = parsed(words)
    return path in FILES_ONLY and any((ROOT / word).is_file() for word in rest)


@pytest.mark.parametrize("words", [one for one in command_lines() if is_run(one.values[0])])
def test_commands_over_files_do_what_the_documents_say(words, tmp_path):
    done = subprocess.run(
        [str(Path(sys.executable).parent / "fhirgw"), *words],
        cwd=ROOT,
        env={**os.environ, "FHIRGW_DATA_DIR": str(tmp_path)},
        capture_output=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr.decode()  # 1: with findings
    assert b"Traceback" not in done.stderr
    assert all(isinstance(orjson.loads(line), dict) for line in done.stdout.splitlines())
    assert done.stdout or done.returncode == 0


def test_every_setting_that_is_named_exists_and_every_setting_is_listed():
    known = {f"FHIRGW_{name.upper()}" for name in Settings.model_fields}
    named = {name for path in DOCS for name in re.findall(r"FHIRGW_[A-Z_]+", path.read_text("utf-8"))}
    assert named - known == set()
    listed = dict(re.findall(r"^\| `(FHIRGW_[A-Z_]+)` \| `?([^`|]*?)`? \|", SETTINGS, re.MULTILINE))
    defaults = {f"FHIRGW_{name.upper()}": field.default for name, field in Settings.model_fields.items()}
    assert listed == {
        name: "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in defaults.items()
    }


def test_every_key_of_the_senders_file_is_listed():
    table = SETTINGS.partition("## The senders file")[2]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(Sender.model_fields)


def test_every_relative_link_leads_somewhere():
    broken = [
        f"{path.name}: {target}"
        for path in DOCS
        for target in LINK.findall(path.read_text("utf-8"))
        if "://" not in target and not (path.parent / target.partition("#")[0]).exists()
    ]
    assert broken == []


def test_every_decision_is_in_the_index():
    index = (ROOT / "docs/decisions/README.md").read_text("utf-8")
    for path in sorted((ROOT / "docs/decisions").glob("0*.md")):
        lines = path.read_text("utf-8").splitlines()
        number, title = lines[0].removeprefix("# ").split(" ", 1)
        assert f"- [{number}]({path.name}) {title}" in " ".join(index.split()), path.name
        assert number == path.name[:4]
        assert len(lines) <= 25, path.name


@pytest.mark.parametrize(("path", "command"), list(leaves()), ids=str)
def test_every_command_has_help_with_an_example_that_parses(path, command):
    text = " ".join((command.help or "").split())
    example = text.partition("Example:")[2]
    assert example, " ".join(path)
    words = shlex.split(example)
    while not words[0].startswith("fhirgw"):
        words = words[1:]  # settings in front
    sentence = [at for at, word in enumerate(words) if word == "Numbers"]  # what follows an example
    words = words[1 : sentence[0] if sentence else None]
    found, parser, rest = parsed(words)
    assert found == path
    parser.make_context(" ".join(path), list(rest))


MACHINE = re.compile(
    r"(?<![\w.:/])/(?:home|root|work|Users)/\w|https?://[^\s\"'`)]*(?:artifactory|nexus|/simple/|/pypi/)"
    r"|--(?:extra-)?index-url"
)


def test_no_tracked_file_names_a_machine_or_a_registry():
    found = []
    for path in tracked():
        if path == Path(__file__):
            continue
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(ROOT)}: {match[0]}" for match in MACHINE.finditer(text)]
    assert found == []


def test_the_readme_claims_no_compliance_and_gives_no_legal_advice():
    assert "Nothing here is legal advice" in README
    for path in DOCS:
        text = " ".join(path.read_text("utf-8").split())
        claims = re.findall(r"[^.]*\b(?:compliant|compliance|certified|guarantees?)\b[^.]*\.", text, re.IGNORECASE)
        assert [claim for claim in claims if not re.search(r"\b(?:no|not|never|does not)\b", claim)] == []
