"""``python -m tests.validators --count 200``: the table of ``docs/validators.md``."""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.validators.run import (
    VALIDATORS,
    Summary,
    check_cornerstone,
    check_encoder_version,
    check_rebuild,
    check_report_rules,
    run_validator,
    write_objects,
)
from tests.validators.varied import VariedResult, varied_result

MAX_PRINTED = 5


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; return 1 if there is an error or an unknown warning."""
    parser = argparse.ArgumentParser(prog="python -m tests.validators", description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="number of results")
    parser.add_argument("--start", type=int, default=0, help="number of the first result")
    parser.add_argument("--validators", nargs="*", choices=VALIDATORS, default=list(VALIDATORS))
    parser.add_argument("--keep", type=Path, help="folder for the DICOM files")
    options = parser.parse_args(arguments)
    numbers = range(options.start, options.start + options.count)
    results = [varied_result(number) for number in numbers]
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        paths = write_objects(results, folder)
        print(f"{len(results)} results, {len(paths)} objects\n")
        print("| validator | objects | errors | unknown warnings | known warnings | seconds |")
        print("|---|--:|--:|--:|--:|--:|")
        summaries = []
        for summary in _summaries(results, paths, folder, options.validators):
            summaries.append(summary)
            known = summary.known_warnings.total()
            counts = f"{len(summary.errors)} | {len(summary.unknown_warnings)} | {known}"
            row = f"{summary.validator} | {summary.objects} | {counts}"
            print(f"| {row} | {summary.seconds:.0f} |", flush=True)
    print("\n| validator | known warning | count |\n|---|---|--:|")
    for summary in summaries:
        for reason, count in summary.known_warnings.most_common():
            print(f"| {summary.validator} | {reason} | {count} |")
    failures = [one for row in summaries for one in (*row.errors, *row.unknown_warnings)]
    for finding in failures[:MAX_PRINTED]:
        print(f"{finding.path.name}: {finding.text}", file=sys.stderr)
    return 1 if failures else 0


def _summaries(
    results: Sequence[VariedResult],
    paths: Sequence[Path],
    folder: Path,
    validators: Sequence[str],
) -> Iterator[Summary]:
    yield check_report_rules(results, folder)
    yield check_rebuild(results, folder)
    yield check_encoder_version(results, folder)
    yield check_cornerstone(results, folder)
    for validator in validators:
        yield run_validator(validator, paths)


if __name__ == "__main__":
    sys.exit(main())
