"""Third-party validators of SR, SC and parametric map on 24 varied results.

A test fails on any error, and on any warning without a reason in ``tests.validators.finding``.
``python -m tests.validators --count 200`` does the same on 200 results (figures in
``docs/validators.md``). Not covered: DICOM tables newer than the validators'.
"""

import re
from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path

import pytest
from pydicom import DataElement, Dataset, config, dcmread

from tests.support.report_cases import AT, CASES, built
from tests.support.report_tree import groups, named
from tests.support.servers import require_tool
from tests.support.spine_results import make_spine_screening
from tests.validators import run
from tests.validators.finding import KNOWN_WARNINGS
from tests.validators.programs import run_program
from tests.validators.varied import (
    HEADERS,
    HIPS,
    HISTORIES,
    NAMES,
    SOURCES,
    VariedResult,
    varied_result,
)
from worker.pipeline.capture.secondary_capture import build_captures
from worker.pipeline.derived_header import to_bytes
from worker.pipeline.report.document import build_report

COUNT = 24
DECISION = Path(__file__).parents[2] / "docs/decisions/0004-sr-and-sc.md"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def results() -> Sequence[VariedResult]:
    return [varied_result(number) for number in range(COUNT)]


@pytest.fixture(scope="module")
def folder(results: Sequence[VariedResult], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("validated")
    run.write_objects(results, folder)
    return folder


def test_the_varied_results_use_every_source_patient_and_hip() -> None:
    assert max(map(len, (SOURCES, HIPS, NAMES, HEADERS, HISTORIES))) <= COUNT


@pytest.mark.servers
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("validator", run.VALIDATORS)
@pytest.mark.covers("R12")
def test_validator_finds_no_error_and_no_unknown_warning(validator: str, folder: Path) -> None:
    summary = run.run_validator(validator, sorted(folder.glob("*.dcm")))

    assert summary.objects >= 2 * COUNT
    assert summary.errors == ()
    assert summary.unknown_warnings == ()


@pytest.fixture(scope="module")
def uncertain() -> VariedResult:
    """Two graded hips and a lumbar spine of uncertain level."""
    case = "both hips and a spine of uncertain level"
    return VariedResult(case, CASES[case](), (), parametric_map=False)


@pytest.mark.servers
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("validator", run.VALIDATORS)
def test_validator_accepts_a_spine_of_uncertain_level(
    validator: str, uncertain: VariedResult, tmp_path: Path
) -> None:
    summary = run.run_validator(validator, run.write_objects([uncertain], tmp_path))

    assert summary.objects == 4
    assert summary.errors == ()
    assert summary.unknown_warnings == ()


def test_cornerstone_reads_a_spine_of_uncertain_level(
    uncertain: VariedResult, tmp_path: Path
) -> None:
    run.write_objects([uncertain], tmp_path)

    assert run.check_cornerstone([uncertain], tmp_path).errors == ()


@pytest.mark.parametrize(
    "check",
    [
        run.check_report_rules,
        run.check_rebuild,
        run.check_encoder_version,
        run.check_cornerstone,
    ],
)
def test_our_own_rules_hold(
    check: Callable[[Sequence[VariedResult], Path], run.Summary],
    results: Sequence[VariedResult],
    folder: Path,
) -> None:
    summary = check(results, folder)

    assert summary.objects >= 2 * COUNT
    assert summary.errors == ()


def test_every_known_warning_is_in_the_decision_record() -> None:
    page = DECISION.read_text()
    reasons = [why for known in KNOWN_WARNINGS.values() for why in known.values()]

    assert [why for why in reasons if why not in page] == []


def set_invalid_completion_flag(sr: Dataset) -> None:
    sr.CompletionFlag = "DONE"


def set_long_code(sr: Dataset) -> None:
    code = named(sr, "121071")[0].ConceptCodeSequence[0]
    code["CodeValue"] = DataElement("CodeValue", "SH", "1" * 17, validation_mode=config.IGNORE)


def remove_unit(sr: Dataset) -> None:
    del named(sr, "112181")[0].MeasuredValueSequence[0].MeasurementUnitsCodeSequence


def set_wrong_side(sr: Dataset) -> None:
    named(groups(sr)[0], "272741003")[0].ConceptCodeSequence[0].CodeValue = "17621005"


def set_wrong_relationship(sr: Dataset) -> None:
    named(sr, "121071")[0].RelationshipType = "HAS PROPERTIES"


def remove_observer_uid(sr: Dataset) -> None:
    sr.ContentSequence = [
        item for item in sr.ContentSequence if item not in named(sr, "121012")
    ]


DCIODVFY_FAULTS: tuple[Callable[[Dataset], object], ...] = (
    set_invalid_completion_flag,
    lambda sr: setattr(sr, "VerificationFlag", "VERIFIED"),
    lambda sr: delattr(sr, "CurrentRequestedProcedureEvidenceSequence"),
    lambda sr: delattr(sr, "SeriesNumber"),
    remove_unit,
    set_long_code,
)
PIXELMED_FAULTS = (set_wrong_side, set_wrong_relationship, remove_observer_uid)
TABLE_FAULTS: tuple[Callable[[Dataset], object], ...] = (
    lambda sr: delattr(sr, "StudyInstanceUID"),
    lambda sr: delattr(sr, "SeriesNumber"),
    lambda sr: setattr(sr, "Rows", 5),
)


@pytest.mark.parametrize(
    ("validator", "faults"),
    [
        ("dciodvfy", DCIODVFY_FAULTS),
        ("PixelMed", PIXELMED_FAULTS),
        ("dicom-validator", TABLE_FAULTS),
    ],
    ids=["dciodvfy", "PixelMed", "dicom-validator"],
)
def test_validator_finds_seeded_faults(
    validator: str, faults: Sequence[Callable[[Dataset], object]], tmp_path: Path
) -> None:
    """PixelMed 2025 reports a wrong side by a warning, which has no known reason."""
    paths = []
    for number, add_fault in enumerate(faults):
        broken = deepcopy(built("both hips")[2])
        add_fault(broken)
        paths.append(tmp_path / f"{number}.dcm")
        paths[-1].write_bytes(to_bytes(broken))

    row = run.run_validator(validator, paths)

    assert {finding.path for finding in (*row.errors, *row.unknown_warnings)} == set(paths)


def move_region(sr: Dataset) -> None:
    """Move the first region by 10 pixels to the right."""
    region = named(groups(sr)[0], "111030")[0]
    region.GraphicData = [
        value + 10 * (index % 2 == 0) for index, value in enumerate(region.GraphicData)
    ]


def select_from_another_image(sr: Dataset) -> None:
    source = named(groups(sr)[0], "111030")[0].ContentSequence[0]
    source.ReferencedSOPSequence[0].ReferencedSOPInstanceUID += ".1"


def remove_region(sr: Dataset) -> None:
    group = groups(sr)[0]
    regions = named(group, "111030")
    group.ContentSequence = [item for item in group.ContentSequence if item not in regions]


@pytest.mark.parametrize(
    ("add_fault", "words"),
    [
        (move_region, "mm from where it was drawn"),
        (select_from_another_image, "not read"),
        (remove_region, "not read"),
    ],
)
def test_cornerstone_finds_seeded_faults(
    add_fault: Callable[[Dataset], object], words: str, tmp_path: Path
) -> None:
    results = [varied_result(0)]
    for path in run.write_objects(results, tmp_path):
        if path.name.endswith(".sr.dcm"):
            broken = dcmread(path)
            add_fault(broken)
            broken.save_as(path)

    row = run.check_cornerstone(results, tmp_path)

    assert {finding.path.name for finding in row.errors} == {"000.sr.dcm"}
    assert any(words in finding.text for finding in row.errors)


def test_dcmqi_finds_a_number_that_readers_lose(tmp_path: Path) -> None:
    broken = deepcopy(built("both hips")[2])
    numbers = (item for item in groups(broken)[0].ContentSequence if item.ValueType == "NUM")
    next(numbers).RelationshipType = "HAS CONCEPT MOD"
    path = tmp_path / "0.dcm"
    path.write_bytes(to_bytes(broken))

    assert {finding.path for finding in run.run_validator("dcmqi", [path]).errors} == {path}


@pytest.mark.servers
@pytest.mark.parametrize(
    "case", ["both normal, model of a site", "both hips", "axial", "spine without hips"]
)
def test_a_usual_report_is_short_as_dsr2html_prints_it(case: str, tmp_path: Path) -> None:
    """Main text, without the table of the header, small print and annexes."""
    report, page = tmp_path / "sr.dcm", tmp_path / "sr.html"
    if case == "spine without hips":
        spine = make_spine_screening()
        sr = build_report(spine, build_captures(spine, at=AT), at=AT)
    else:
        sr = built(case)[2]
    report.write_bytes(to_bytes(sr))
    run_program([require_tool("dsr2html", "dcmtk"), "+Cm", report, page])
    text = page.read_text("utf-8")
    main = text[text.index("<h1>Imaging") : text.index("<h1>Annex")]
    words = re.sub("<[^>]+>", " ", re.sub("<small>.*?</small>", " ", main, flags=re.S)).split()

    assert words[3] == "Impression:"
    assert len(words) < 350
