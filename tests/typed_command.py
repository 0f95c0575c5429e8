"""A command line as ``main`` takes it, in this process: a new one would load the gateway anew for each."""

import os
import sys
from contextlib import chdir
from pathlib import Path
from subprocess import CompletedProcess

from typer.testing import CliRunner

from fhirgw.cli import main


def typed(*words, data, folder=Path(), stdin=None, **settings):
    """Type ``fhirgw words…`` in a folder; its exit code and the bytes of stdout and stderr.

    What a process would end with in a traceback is raised.
    """
    environment = {"FHIRGW_DATA_DIR": str(data), **settings}
    argv, mask, code = sys.argv, os.umask(0o022), 0
    with chdir(folder), CliRunner().isolation(stdin, environment) as (stdout, stderr, _):
        sys.argv = ["fhirgw", *words]
        try:
            main()
        except SystemExit as ended:
            code = ended.code or 0
        finally:
            sys.argv = argv
            os.umask(mask)
        sys.stdout.flush()
        sys.stderr.flush()
        return CompletedProcess(words, code, stdout.getvalue(), stderr.getvalue())
