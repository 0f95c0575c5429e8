"""The shape that keeps member data inside: who may make what a sender accepts, and who may send."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "fhirgw"
MAKERS = {
    "Released": {"share.py"},
    "Public": {
        "api/metadata.py",  # capability statement, SMART configuration
        "api/health.py",  # health and metrics
        "api/smart.py",  # token answers
        "api/icm.py",  # whether what was stated is stored
        "send.py",  # errors; what an operator types for a partner client
        "intake.py",  # ACKs that were kept
        "keeping.py",  # ACKs
        "batches.py",  # batch answers
    },
}
"""The only modules that may construct each type (DESIGN §1)."""
FRAMEWORKS = {"starlette", "fastapi"}


def constructed(tree: ast.AST, name: str) -> Iterator[int]:
    """Lines on which ``name`` is called, imported under another name, subclassed, or reached by ``replace``."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=called)) if called == name:
                yield node.lineno
            case ast.Call(func=ast.Attribute(attr=called)) if called == name:
                yield node.lineno
            case ast.ImportFrom(names=names) if any(one.name == name and one.asname for one in names):
                yield node.lineno
            case ast.ClassDef(bases=bases) if any(isinstance(b, ast.Name) and b.id == name for b in bases):
                yield node.lineno


def violations(package: Path) -> list[str]:
    """Constructor calls outside the makers."""
    found = []
    for path in sorted(package.rglob("*.py")):
        module = path.relative_to(package).as_posix()
        tree = ast.parse(path.read_text("utf-8"))
        for name, makers in MAKERS.items():
            if module not in makers:
                found += [f"{module}:{line} makes a {name}" for line in constructed(tree, name)]
    return found


def response_importers(package: Path) -> list[str]:
    """Modules that import a response class of the web framework, or its modules whole."""
    found = []
    for path in sorted(package.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.ImportFrom(module=str(module), names=names) if module.split(".")[0] in FRAMEWORKS:
                    named = [one.name for one in names if one.name.endswith(("Response", "responses"))]
                    found += [path.relative_to(package).as_posix()] * bool(named or module.endswith("responses"))
                case ast.Import(names=names) if any(one.name.split(".")[0] in FRAMEWORKS for one in names):
                    found.append(path.relative_to(package).as_posix())
    return found


def test_only_send_makes_responses():
    assert set(response_importers(PACKAGE)) == {"send.py"}


@pytest.mark.parametrize(
    "source",
    [
        "from fastapi.responses import JSONResponse\n",
        "from starlette import responses\n",
        "from fastapi import Response\n",
        "import starlette.responses\n",
    ],
)
def test_a_planted_response_is_found(tmp_path, source):
    (tmp_path / "planted.py").write_text(source)
    assert response_importers(tmp_path)


def test_only_the_named_makers_construct_what_a_sender_accepts():
    assert violations(PACKAGE) == []


def test_every_named_maker_exists():
    assert [one for makers in MAKERS.values() for one in makers if not (PACKAGE / one).exists()] == []


@pytest.mark.parametrize(
    "source",
    [
        "from fhirgw.released import Released\n\nleak = Released(b'a member')\n",
        "import fhirgw.released\n\nleak = fhirgw.released.Public(b'a member')\n",
        "from fhirgw.released import Released as Fine\n\nleak = Fine(b'a member')\n",
        "from fhirgw.released import Released\n\nclass Fine(Released):\n    pass\n",
    ],
)
def test_a_planted_maker_is_found(tmp_path, source):
    (tmp_path / "planted.py").write_text(source)
    assert violations(tmp_path)


@pytest.fixture
def planted(tmp_path):
    """A copy of the package with room for one more module."""
    subprocess.run(["cp", "-r", str(PACKAGE), str(tmp_path / "fhirgw")], check=True)
    subprocess.run(["cp", str(ROOT / "pyproject.toml"), str(tmp_path)], check=True)
    return tmp_path


def test_a_planted_module_that_speaks_http_breaks_the_import_contract(planted):
    (planted / "fhirgw" / "planted.py").write_text(
        '"""Planted."""\n\nimport httpx\n\nhttpx.get("http://localhost")\n'
    )
    checked = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"],
        cwd=planted,
        env={"PYTHONPATH": str(planted), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode != 0
    assert "fhirgw.planted -> httpx" in checked.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "call",
    ["respond(b'a member')", "respond({'resourceType': 'Patient'})", "respond('a member')"],
)
def test_a_planted_sender_of_anything_else_fails_the_type_check(planted, call):
    (planted / "fhirgw" / "planted.py").write_text(f'"""Planted."""\n\nfrom fhirgw.send import respond\n\n{call}\n')
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml", "-p", "fhirgw"],
        cwd=planted,
        env={"PATH": "/usr/bin:/bin", "MYPYPATH": str(planted)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode != 0
    assert 'planted.py:5: error: Argument 1 to "respond"' in checked.stdout
