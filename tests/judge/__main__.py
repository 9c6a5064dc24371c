"""``python -m tests.judge --count 200``: the table of ``docs/judges.md``."""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.judge.bench import JUDGES, Row, by_our_rules, judged, rebuilt, renamed, write
from tests.judge.varied import Result, varied

SHOWN = 5


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 1 where a judge found an error or a warning that is not known."""
    parser = argparse.ArgumentParser(prog="python -m tests.judge", description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="how many results")
    parser.add_argument("--judges", nargs="*", choices=JUDGES, default=list(JUDGES))
    parser.add_argument("--keep", type=Path, help="folder for the files")
    options = parser.parse_args(arguments)
    results = [varied(number) for number in range(options.count)]
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        paths = write(results, folder)
        print(f"{len(results)} results, {len(paths)} objects\n")
        print("| judge | objects | errors | new warnings | known warnings | seconds |")
        print("|---|--:|--:|--:|--:|--:|")
        rows = []
        for row in _rows(results, paths, folder, options.judges):
            rows.append(row)
            known = row.known_warnings.total()
            counts = f"{row.objects} | {len(row.errors)} | {len(row.new_warnings)} | {known}"
            print(f"| {row.judge} | {counts} | {row.seconds:.0f} |", flush=True)
    print("\n| judge | warning that stays | times |\n|---|---|--:|")
    for row in rows:
        for reason, times in row.known_warnings.most_common():
            print(f"| {row.judge} | {reason} | {times} |")
    unwanted = [one for row in rows for one in (*row.errors, *row.new_warnings)]
    for finding in unwanted[:SHOWN]:
        print(f"{finding.path.name}: {finding.text}", file=sys.stderr)
    return 1 if unwanted else 0


def _rows(
    results: Sequence[Result], paths: Sequence[Path], folder: Path, judges: Sequence[str]
) -> Iterator[Row]:
    yield by_our_rules(results, folder)
    yield rebuilt(results, folder)
    yield renamed(results, folder)
    for judge in judges:
        yield judged(judge, paths)


if __name__ == "__main__":
    sys.exit(main())
