"""Results in OHIF with Orthanc's DICOMweb, in Chromium: what a radiologist sees of them.

The study opens, the report loads without an error of the console and without the offer to load
it as measurements of the viewer, its outlines lie where they were drawn, every label can be
read, both pictures are shown. Screenshots are kept in ``build/ohif``. The adapters of
cornerstone and dcmqi run in ``test_validators``. Not covered: other versions of OHIF.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import pytest

from tests.support.ohif_server import require_viewers
from tests.support.servers import ROOT
from tests.validators.varied import varied_result
from tests.validators.viewer import ViewerSite, view, viewer_site

pytestmark = [pytest.mark.slow, pytest.mark.servers]

RESULTS = {
    0: "coronal, both hips",
    1: "hips and spine of one coronal series",
    2: "axial, left hip only",
    9: "axial, lumbar spine without hips",
    14: "axial, planes turned apart",
}
Faults = Mapping[str, Sequence[str]]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ViewerSite]:
    require_viewers()
    with viewer_site(tmp_path_factory.mktemp("orthanc"), ROOT / "build/ohif") as site:
        yield site


@pytest.fixture(scope="module", params=RESULTS, ids=RESULTS.get)
def faults(request: pytest.FixtureRequest, site: ViewerSite) -> Faults:
    """Faults by what was looked at, of one result."""
    found = defaultdict(list)
    number = request.param
    for kind, text in view(site, varied_result(number), f"{number:03d}"):
        found[kind].append(text)
    assert (site.shots / f"{number:03d}-sr.png").exists()
    return dict(found)


@pytest.mark.covers("R13")
def test_ohif_shows_the_result_where_it_was_found(faults: Faults) -> None:
    assert {kind: texts for kind, texts in faults.items() if kind != "labels"} == {}


def test_every_label_can_be_read(faults: Faults) -> None:
    assert faults.get("labels", ()) == ()
