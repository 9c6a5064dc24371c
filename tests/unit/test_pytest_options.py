"""What ``make test`` gives pytest besides pyproject.toml."""

import re
import subprocess
import sys
from pathlib import Path

MAKEFILE = Path(__file__).parents[2] / "Makefile"
DIES = "import os\n\ndef test_dies():\n    os.abort()\n"
OTHERS = "import time\n\ndef test_one():\n    time.sleep(0.5)\n\ndef test_two():\n    pass\n"


def test_process_that_dies_ends_the_run_with_the_name_of_its_test(tmp_path: Path) -> None:
    options = re.search(r"^PARALLEL := (.*)", MAKEFILE.read_text(), re.MULTILINE)
    assert options is not None
    (tmp_path / "test_dying.py").write_text(DIES)
    for number in range(6):
        (tmp_path / f"test_other{number}.py").write_text(OTHERS)

    parallel = options[1].replace("$(PROCESSES)", "2").split()
    command = [sys.executable, "-m", "pytest", *parallel, "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)

    assert done.returncode == 1, done.stdout
    assert re.search(r"worker 'gw\d+' crashed while running '\S*::test_dies'", done.stdout)
