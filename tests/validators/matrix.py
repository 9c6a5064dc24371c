"""``python -m tests.validators.matrix --out FOLDER``: the table of readers and results.

Opens each result in OHIF and reads its report back with cornerstone's adapters, dcmqi,
highdicom and dcmtk. A row is a result; a cell says ``yes``, or how many faults there are. The
faults follow the table. FOLDER gets screenshots of OHIF.
"""

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tests.validators.finding import Finding
from tests.validators.run import (
    check_cornerstone,
    run_validator,
    write_objects,
)
from tests.validators.varied import VariedResult, varied_result
from tests.validators.viewer import view, viewer_site

OHIF_COLUMNS = ("regions", "labels", "prompt", "pictures", "console")
READERS = ("dcmqi", "highdicom", "dcmtk")
COLUMNS = (*(f"OHIF {name}" for name in OHIF_COLUMNS), "cornerstone", *READERS)

Fault = tuple[int, str, str]
"""Index of the result among those of the table, column, text."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table and the faults; return 1 if there is a fault."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.validators.matrix", description=__doc__
    )
    parser.add_argument("--count", type=int, default=24, help="number of results")
    parser.add_argument("--start", type=int, default=0, help="number of the first result")
    parser.add_argument("--out", type=Path, required=True, help="folder for screenshots")
    options = parser.parse_args(arguments)
    numbers = range(options.start, options.start + options.count)
    results = [varied_result(number) for number in numbers]
    faults = [*_read_back(results), *_opened(results, options.out, options.start)]
    _print_table(results, faults)
    for number, column, text in sorted(faults):
        print(f"- {numbers[number]}, {column}: {text}")
    return 1 if faults else 0


def _read_back(results: Sequence[VariedResult]) -> Iterator[Fault]:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        paths = write_objects(results, folder)
        reports = [path for path in paths if path.name.endswith(".sr.dcm")]
        yield from _faults("cornerstone", check_cornerstone(results, folder).errors)
        for reader in READERS:
            summary = run_validator(reader, reports)
            yield from _faults(reader, [*summary.errors, *summary.unknown_warnings])


def _faults(column: str, findings: Iterable[Finding]) -> Iterator[Fault]:
    for finding in findings:
        if ".comprehensive." not in finding.path.name:
            yield int(finding.path.name.partition(".")[0]), column, finding.text


def _opened(results: Sequence[VariedResult], out: Path, start: int) -> Iterator[Fault]:
    with tempfile.TemporaryDirectory() as folder, viewer_site(Path(folder), out) as site:
        for number, result in enumerate(results):
            print(f"OHIF: {result.name}", file=sys.stderr, flush=True)
            for kind, text in view(site, result, f"{start + number:03d}"):
                yield number, f"OHIF {kind}", text


def _print_table(results: Sequence[VariedResult], faults: Sequence[Fault]) -> None:
    counts = Counter((number, column) for number, column, _ in faults)
    print(f"| result | {' | '.join(COLUMNS)} |\n|---{'|---' * len(COLUMNS)}|")
    for number, result in enumerate(results):
        cells = (counts[number, column] or "yes" for column in COLUMNS)
        print(f"| {result.name} | {' | '.join(map(str, cells))} |")


if __name__ == "__main__":
    sys.exit(main())
