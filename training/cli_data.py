"""Commands that make data: ``simulate``, ``prepare``, ``join``.

Each command imports TensorFlow and its other modules itself, so that ``--help`` is fast.
"""

from pathlib import Path
from typing import Annotated, Literal, Optional

import typer

from training.cli_options import Columns, RequireDates, Workers, app, print_lines
from training.input_errors import BAD_INPUT, input_errors
from training.quiet import import_quietly

Condition = Literal[
    "none", "metal", "metal-both", "osteoarthritis", "arms", "prone", "one-hip", "abdomen"
]


@app.command()
def simulate(
    out: Annotated[Path, typer.Argument(help="Output folder; created if missing")],
    count: Annotated[int, typer.Option(min=1, max=9999, help="Number of series")] = 3,
    seed: Annotated[
        int, typer.Option(min=0, help="Random seed; the same seed gives the same bytes")
    ] = 0,
    plane: Annotated[Literal["coronal", "axial"], typer.Option(help="Slice plane")] = "coronal",
    grade: Annotated[
        Optional[Literal["normal", "osteopenia", "osteoporosis"]],  # noqa: UP045
        typer.Option(help="Grade of every patient; by default the three grades alternate"),
    ] = None,
    condition: Annotated[
        Condition, typer.Option(help="Condition of the patient, or field of view")
    ] = "none",
    thickness_mm: Annotated[
        float, typer.Option(min=0, max=10, help="Slice thickness; 0: random")
    ] = 0.0,
    cohort: Annotated[
        bool,
        typer.Option(help="Write the labeled crops of a cohort for fit, without its series"),
    ] = False,
    patients: Annotated[int, typer.Option(min=9, help="Patients of the cohort")] = 2126,
    scans: Annotated[
        int, typer.Option(min=0, help="Scans of the cohort, over all patients")
    ] = 3012,
    workers: Workers = 2,
) -> None:
    """Write simulated CT series (OUT/0001/IM0001.dcm …) with OUT/truth.json and
    OUT/manifest.csv. With --cohort, write a data set for fit instead."""
    from training import progress

    if cohort:
        _simulate_cohort(out, patients, scans, seed, workers)
        return
    with progress.ProgressBars() as bars:
        from training.simulate import command
        from worker.pipeline.results import Grade

        fixed_grade = None if grade is None else Grade(grade)
        plans = [
            command.plan_series(number, seed, plane, fixed_grade, condition, thickness_mm)
            for number in range(1, count + 1)
        ]
        slices = sum(acquisition.slices for _, acquisition in plans)
        with bars.step(f"{count} series, slices", slices) as advance:
            command.simulate(out, plans, lambda done, total: advance(1))
    typer.echo(f"{count} series, truth.json and manifest.csv written to {out}")


def _simulate_cohort(out: Path, patients: int, scans: int, seed: int, workers: int) -> None:
    from training import progress
    from training.cohort.crops import render_cohort

    with progress.ProgressBars() as bars, bars.step("patients", patients) as advance:
        hips = render_cohort(patients, scans, seed, out, workers=workers, advance=advance)
    typer.echo(f"{hips} hips written to {out}")


@app.command()
def prepare(
    manifest: Annotated[
        Path, typer.Argument(help="CSV or XLSX with series_dir, patient_id, t_score, …")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the data set; created if missing")],
    seed: Annotated[int, typer.Option(min=0, help="Key of the split")] = 0,
    require_dates: RequireDates = False,
    columns: Columns = None,
    ignore_header_ids: Annotated[
        bool, typer.Option(help="Accept one PatientID in the headers of several patients")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option(help="Print what was understood of the manifest; write nothing")
    ] = False,
    workers: Workers = 2,
) -> None:
    """Crop the hips of a site's own series and label them with DXA results."""
    from training import progress
    from training.cohort import preview
    from training.cohort.manifest import (
        by_series,
        inspect_manifest,
        read_column_map,
        read_manifest,
    )

    with input_errors():
        column_map = read_column_map(columns)
        if dry_run:
            found = inspect_manifest(manifest, column_map)
            print_lines(preview.preview_lines(found, require_dates=require_dates))
            raise typer.Exit(BAD_INPUT if found.problems else 0)
        rows = read_manifest(manifest, column_map)
        import_quietly("tensorflow")
        from training.cohort.flow import summary_lines
        from training.cohort.prepare import Options, prepare_data_set

        series = len(by_series(rows))
        with progress.ProgressBars() as bars, bars.step("series", series) as advance:
            flow = prepare_data_set(
                rows, out, workers=workers, advance=advance,
                options=Options(seed, require_dates, ignore_header_ids),
            )  # fmt: skip
    print_lines(summary_lines(flow, out))


@app.command()
def join(
    table: Annotated[Path, typer.Argument(help="CSV or XLSX with patient_id, t_score, …")],
    dicom: Annotated[Path, typer.Option(help="Folder of the exported CT, of any depth")],
    out: Annotated[Path, typer.Option(help="Folder of the manifest; created if missing")],
    columns: Columns = None,
) -> None:
    """Find the CT of DXA patients in a folder tree by PatientID and write a manifest."""
    from training.cohort import join as joining
    from training.cohort.manifest import read_column_map

    with input_errors():
        rows = joining.read_dxa(table, read_column_map(columns))
        studies, known = joining.find_studies(dicom, {row.patient_id for row in rows})
        taken, unused = joining.match(rows, studies, known)
        joining.write_join(out, taken, unused)
    print_lines(joining.summary_lines(rows, taken, unused))
