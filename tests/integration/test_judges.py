"""SR, SC and parametric map before judges that are not ours, on 24 varied results.

Any error fails, and any warning that ``tests.judge.finding`` has no reason for. The same on 200
results: ``python -m tests.judge --count 200`` (figures in ``docs/judges.md``).
Not covered: DICOM tables newer than the judges'.
"""

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from pathlib import Path

import pytest
from pydicom import DataElement, Dataset, config

from tests.judge import bench, programs, tables
from tests.judge.finding import KNOWN_WARNINGS, Finding
from tests.judge.varied import BEFORE, HEADERS, HIPS, NAMES, SOURCES, Result, varied
from tests.report_cases import built
from tests.report_rules import groups, named
from worker.pipeline.header import to_bytes

COUNT = 24
DECISION = Path(__file__).parents[2] / "docs/decisions/0004-sr-and-sc.md"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def results() -> Sequence[Result]:
    return [varied(number) for number in range(COUNT)]


@pytest.fixture(scope="module")
def folder(results: Sequence[Result], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("judged")
    bench.write(results, folder)
    return folder


def test_the_varied_results_meet_every_kind_of_source_patient_and_hip() -> None:
    assert max(map(len, (SOURCES, HIPS, NAMES, HEADERS, BEFORE))) <= COUNT


@pytest.mark.servers
@pytest.mark.timeout(600)
@pytest.mark.parametrize("judge", bench.JUDGES)
def test_judge_finds_no_error_and_no_unknown_warning(judge: str, folder: Path) -> None:
    row = bench.judged(judge, sorted(folder.glob("*.dcm")))

    assert row.objects >= 2 * COUNT
    assert row.errors == ()
    assert row.new_warnings == ()


@pytest.mark.parametrize("rule", [bench.by_our_rules, bench.rebuilt, bench.renamed])
def test_our_own_rules_hold(
    rule: Callable[[Sequence[Result], Path], bench.Row],
    results: Sequence[Result],
    folder: Path,
) -> None:
    row = rule(results, folder)

    assert row.objects >= 2 * COUNT
    assert row.errors == ()


def test_every_warning_that_stays_is_in_the_decision_record() -> None:
    page = DECISION.read_text()
    reasons = [why for known in KNOWN_WARNINGS.values() for why in known.values()]

    assert [why for why in reasons if why not in page] == []


def set_title(sr: Dataset) -> None:
    sr.CompletionFlag = "DONE"


def long_code(sr: Dataset) -> None:
    code = named(sr, "121071")[0].ConceptCodeSequence[0]
    code["CodeValue"] = DataElement("CodeValue", "SH", "1" * 17, validation_mode=config.IGNORE)


def no_unit(sr: Dataset) -> None:
    del named(sr, "112181")[0].MeasuredValueSequence[0].MeasurementUnitsCodeSequence


def wrong_side(sr: Dataset) -> None:
    named(groups(sr)[0], "272741003")[0].ConceptCodeSequence[0].CodeValue = "17621005"


def wrong_relationship(sr: Dataset) -> None:
    named(sr, "121071")[0].RelationshipType = "HAS PROPERTIES"


def no_observer_uid(sr: Dataset) -> None:
    sr.ContentSequence = [
        item for item in sr.ContentSequence if item not in named(sr, "121012")
    ]


SEEN_BY_DCIODVFY: tuple[Callable[[Dataset], object], ...] = (
    set_title,
    lambda sr: setattr(sr, "VerificationFlag", "VERIFIED"),
    lambda sr: delattr(sr, "CurrentRequestedProcedureEvidenceSequence"),
    lambda sr: delattr(sr, "SeriesNumber"),
    no_unit,
    long_code,
)
SEEN_BY_PIXELMED = (wrong_side, wrong_relationship, no_observer_uid)
SEEN_BY_THE_TABLES: tuple[Callable[[Dataset], object], ...] = (
    lambda sr: delattr(sr, "StudyInstanceUID"),
    lambda sr: delattr(sr, "SeriesNumber"),
    lambda sr: setattr(sr, "Rows", 5),
)


@pytest.mark.parametrize(
    ("judge", "faults"),
    [
        (programs.dciodvfy, SEEN_BY_DCIODVFY),
        (programs.pixelmed, SEEN_BY_PIXELMED),
        (tables.dicom_validator, SEEN_BY_THE_TABLES),
    ],
    ids=["dciodvfy", "PixelMed", "dicom-validator"],
)
def test_judge_sees_seeded_faults(
    judge: Callable[[Sequence[Path]], Iterator[Finding]],
    faults: Sequence[Callable[[Dataset], object]],
    tmp_path: Path,
) -> None:
    paths = []
    for number, seed in enumerate(faults):
        broken = deepcopy(built("both hips")[2])
        seed(broken)
        paths.append(tmp_path / f"{number}.dcm")
        paths[-1].write_bytes(to_bytes(broken))

    found = [finding for finding in judge(paths) if finding.is_error]

    assert {finding.path for finding in found} == set(paths)
