"""Scripts in a process without the hook that checks annotations, which would be compiled too."""

import os
import subprocess
import sys
from pathlib import Path


def run_unchecked(script: str) -> str:
    """What a script prints, which sees the library and the modules beside this one."""
    here = Path(__file__).parent
    folders = [str(here.parent / "lib"), str(here)]
    result = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(folders)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout
