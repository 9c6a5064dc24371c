"""Covered: maps, projections and slabs by each source, and valid images that resemble them.
Not covered: monoenergetic images (test_monoenergetic)."""

import time
from pathlib import Path

import pytest
from pydicom import Dataset

from tests.support import enhanced_ct
from tests.support.ct_volume import ct_headers
from tests.support.enhanced_ct import images_of, noise
from tests.support.rule_results import rejection
from worker.pipeline import load
from worker.pipeline.reasons import ReasonCode
from worker.pipeline.results import Rejected
from worker.pipeline.validation.derived_images import derived_image
from worker.pipeline.volume import Series


def reason_of(**elements: object) -> str | None:
    """Return the text of the reason; None where the images are accepted."""
    reason = rejection(derived_image(ct_headers(12, **elements)))  # type: ignore[arg-type]
    if reason is None:
        return None
    assert reason.code is ReasonCode.NOT_CT
    return reason.text


def code(value: str, scheme: str = "DCM") -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, "meaning"
    return item


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["DERIVED", "PRIMARY", "AXIAL", "MAT_REMOVED"], "material-removed image"),
        (["ORIGINAL", "PRIMARY", "AXIAL", "MAT_SPECIFIC"], "material map"),
        (["DERIVED", "PRIMARY", "AXIAL", "MAT_FRACTIONAL"], "material map"),
        (["DERIVED", "PRIMARY", "AXIAL", "MAT_MODIFIED"], "material-modified image"),
        (["DERIVED", "PRIMARY", "AXIAL", "MAT_VALUE_BASED"], "material map"),
        (["ORIGINAL", "PRIMARY", "AXIAL", "EFF_ATOMIC_NUM"], "effective atomic number map"),
        (["ORIGINAL", "PRIMARY", "AXIAL", "ELECTRON_DENSITY"], "electron density map"),
        (["DERIVED", "SECONDARY", "REFORMATTED", "MIP THICK"], "maximum intensity projection"),
        (["DERIVED", "SECONDARY", "REFORMATTED", "MAXIMUM"], "maximum intensity projection"),
        (["DERIVED", "SECONDARY", "THIN_MIP"], "maximum intensity projection"),
        (["DERIVED", "SECONDARY", "THICKMIP5"], "maximum intensity projection"),
        (["DERIVED", "SECONDARY", "AXIAL", "SPECTRALVNC"], "virtual non-contrast image"),
        (["DERIVED", "SECONDARY", "MAX_IP"], "maximum intensity projection"),
        (["DERIVED", "SECONDARY", "MINIP"], "minimum intensity projection"),
        (["DERIVED", "SECONDARY", "AXIAL", "MINIMUM"], "minimum intensity projection"),
        (["DERIVED", "SECONDARY", "RAYSUM"], "intensity projection"),
        (["DERIVED", "SECONDARY", "VRT"], "volume rendering"),
        (["DERIVED", "SECONDARY", "VOLUME RENDERING"], "volume rendering"),
        (["DERIVED", "SECONDARY", "SSD"], "surface rendering"),
        (["DERIVED", "SECONDARY", "CPR"], "curved reformat"),
        (["DERIVED", "SECONDARY", "AXIAL", "DE_VNC"], "virtual non-contrast image"),
        (["DERIVED", "SECONDARY", "AXIAL", "DE_IODINE"], "material map"),
        (["DERIVED", "SECONDARY", "AXIAL", "DE_JOD"], "material map"),
        (["DERIVED", "SECONDARY", "AXIAL", "DE_BONEMARROW"], "virtual non-calcium image"),
        (["DERIVED", "SECONDARY", "VOLREN"], "volume rendering"),
        (["DERIVED", "PRIMARY", "VOLUME", "SUBTRACTION"], "subtraction"),
        (["DERIVED", "PRIMARY", "VOLUME", "STD_DEVIATION"], "pixel arithmetic"),
        (["DERIVED", "PRIMARY", "PERFUSION"], "perfusion map"),
    ],
)
@pytest.mark.covers("H6")
def test_image_type_names_a_derived_image(values: list[str], kind: str) -> None:
    text = reason_of(ImageType=values)

    assert text is not None
    assert text.startswith(f"No CT values of slices in 12 of 12 images: {kind} (Image Type")


@pytest.mark.parametrize(
    "values",
    [
        ["ORIGINAL", "PRIMARY", "AXIAL"],
        ["DERIVED", "SECONDARY", "REFORMATTED", "AVERAGE"],
        ["DERIVED", "PRIMARY", "MPR", "CSA MPR"],
        ["DERIVED", "SECONDARY", "MPR", "CSA RESAMPLED"],
        ["DERIVED", "PRIMARY", "AXIAL", "CT_SOM5 SPI DUAL"],
        ["DERIVED", "PRIMARY", "AXIAL", "ENERGY_PROP_WT"],
        ["DERIVED", "PRIMARY", "AXIAL", "M_0.5"],
        ["DERIVED", "PRIMARY", "VOLUME", "MEAN"],
        ["DERIVED", "PRIMARY", "VOLUME", "RESAMPLED"],
        ["DERIVED", "PRIMARY", "AXIAL", "JP2K LOSSY 6:1"],
        "AXIAL",
        None,
    ],
)
def test_image_types_with_the_values_of_slices_are_accepted(values: object) -> None:
    assert reason_of(ImageType=values, MultienergyCTAcquisition="YES") is None


@pytest.mark.parametrize(
    ("description", "kind"),
    [
        ("VNC 4.0", "virtual non-contrast image"),
        ("DE_Abdomen_VNC_Br40", "virtual non-contrast image"),
        ("Virtual non-contrast", "virtual non-contrast image"),
        ("virtual unenhanced 3mm", "virtual non-contrast image"),
        ("Virtual Non Contrast cor", "virtual non-contrast image"),
        ("Virtuelle native 3 mm", "virtual non-contrast image"),
        ("Non contrast virtual", "virtual non-contrast image"),
        ("virtual sin contraste", "virtual non-contrast image"),
        ("sans injection virtuel", "virtual non-contrast image"),
        ("nativo virtuale", "virtual non-contrast image"),
        ("VUE cor 2.5", "virtual non-contrast image"),
        ("VUE DELAYED", "virtual non-contrast image"),
        ("VNCa bone marrow", "virtual non-calcium image"),
        ("Calcium Suppression Index 40", "virtual non-calcium image"),
        ("Iodine map 2.0", "material map"),
        ("Iodine_Density", "material map"),
        ("Jod", "material map"),
        ("DE Iodine COR 3.0", "material map"),
        ("Contrast-Enhanced Structures", "material map"),
        ("Iodine no Water", "material map"),
        ("Jodkarte", "material map"),
        ("Iodine [mg/ml]", "material map"),
        ("MD Iodine", "material map"),
        ("VNI 3mm", "virtual non-contrast image"),
        ("Contrast removed", "virtual non-contrast image"),
        ("PureLumen", "virtual non-calcium image"),
        ("CaSupp 50", "virtual non-calcium image"),
        ("DE_LungPBV", "material map"),
        ("Contrast map", "material map"),
        ("Stone analysis map", "material map"),
        ("Optimum Contrast 3.0", "non-linear blend of two energies"),
        ("SSD 3D", "surface rendering"),
        ("THICKMIP", "maximum intensity projection"),
        ("Carte d'iode", "material map"),
        ("Iodine(Water)", "material map"),
        ("HAP (Iodine)", "material map"),
        ("Z_Effective", "effective atomic number map"),
        ("Zeff", "effective atomic number map"),
        ("Rho/Z Abdomen", "effective atomic number map"),
        ("Electron Density", "electron density map"),
        ("Uric Acid", "uric acid map"),
        ("Cor MIP 6mm", "maximum intensity projection"),
        ("COR MIPS", "maximum intensity projection"),
        ("CorMIP", "maximum intensity projection"),
        ("10mmMIP", "maximum intensity projection"),
        ("non-contrast MIP", "maximum intensity projection"),
        ("max. intensity", "maximum intensity projection"),
        ("MinIP lung", "minimum intensity projection"),
        ("Intensity projection", "intensity projection"),
        ("3D VRT hip", "volume rendering"),
        ("Curved MPR aorta", "curved reformat"),
        ("Bone removal", "segmentation"),
        ("segmented liver", "segmentation"),
        ("LAD CPR 3 mm", "curved reformat"),
        ("cor CPR 1.0", "curved reformat"),
        ("Subtraction art-nat", "subtraction"),
        ("Perfusion BF", "perfusion map"),
    ],
)
def test_series_description_is_the_last_resort(description: str, kind: str) -> None:
    assert reason_of(SeriesDescription=description) == (
        f"No CT values of slices in 12 of 12 images: {kind} (Series Description)."
    )


@pytest.mark.parametrize(
    ("kind", "descriptions"),
    [
        ("maximum intensity projection", [
            "Maximum-Intensitäts-Projektion", "projection d'intensité maximale",
            "Projection maximale d'intensité", "proyección de máxima intensidad",
            "Proiezione massima intensità", "projeção de intensidade máxima",
            "maximale intensiteit projectie", "projekcja maksymalnej intensywności",
            "最大値投影", "最大密度投影", "최대강도투영",
        ]),
        ("minimum intensity projection", [
            "Minimum-Intensitäts-Projektion", "proyección de intensidad mínima", "最小値投影",
        ]),
        ("virtual non-contrast image", [
            "virtueel onversterkt", "wirtualne bez kontrastu", "虚拟平扫", "仮想非造影",
            "виртуальное неконтрастное",
        ]),
        ("virtual non-calcium image", ["calcium supprimé", "suppression du calcium"]),
        ("material map", [
            "Jodkonzentration", "carte d'iode", "cartographie iode", "imagen de yodo",
            "mappa di iodio", "mapa jodowa", "jodkarta", "densité de l'eau", "mapa de agua",
            "Wasserdichte", "Materialzerlegung", "décomposition en matériaux",
            "densidad material", "ヨードマップ", "碘图", "йодная карта",
        ]),
        ("effective atomic number map", [
            "Effektive Ordnungszahl", "numéro atomique effectif", "numero atomico efficace",
            "有效原子序数",
        ]),
        ("electron density map", ["densité électronique", "densità elettronica", "電子密度"]),
        ("uric acid map", ["Harnsäure", "acide urique", "ácido úrico"]),
        ("volume rendering", ["Volumenrendering", "rendu volumique", "renderizado de volumen"]),
        ("surface rendering", ["3D Oberfläche", "rendu surfacique"]),
        ("curved reformat", ["gekrümmte Reformation", "reconstrucción curva"]),
        ("subtraction", ["sustracción", "sottrazione", "subtração"]),
        ("segmentation", ["Segmentierung Knochen", "Knochenentfernung"]),
        ("perfusion map", ["Perfusionskarte", "Blutvolumen"]),
    ],
)  # fmt: skip
def test_series_description_in_another_language_names_a_map(
    kind: str, descriptions: list[str]
) -> None:
    for description in descriptions:
        text = reason_of(SpecificCharacterSet="ISO_IR 192", SeriesDescription=description)
        assert text is not None, description
        assert f"{kind} (Series Description)" in text, description


@pytest.mark.parametrize(
    "description",
    [
        "virtual colonoscopy", "colonoscopie virtuelle", "iodine contrast",
        "Abdomen con contrasto iodato", "TAP avec injection iode", "con contraste yodado",
        "densité osseuse", "Knochendichte", "densidad osea", "Wasser oral", "eau per os",
        "proyección coronal", "Volumen 3 mm", "Virtuelle Koloskopie", "Courbe", "Harnsteine",
        "Bassin sans contraste", "Abdomen senza mdc", "reconstrucción coronal", "骨盆 冠状位",
        "Jodkonzentration 350", "Maximilian", "Kalk", "segmenta", "骨盤 造影",
        "DE Abdomen jodhaltig",
        "M_0.5 iodine contrast", "Abdomen iodine contrast portal", "Iodine 350 mg/ml i.v.",
        "iodine concentration 370 portal", "DE_Abdomen_M_0.6_Br40", "Abdomen native",
        "non contrast 3mm", "Abdomen w/o contrast", "True non-contrast", "unenhanced",
        "Clip hip", "subtle fracture", "MIPS hospital", "Thin for MIP", "AX 1mm for 3D/MIP",
        "Abdomen 3mm, no MIP", "Vue coronale", "VUE AXIALE 3 mm", "Vue de face",
        "Calcium score", "CaScore 3.0", "post CPR abdomen", "SSD 100 planning",
        "Stone protocol", "ca supply", "contrast optimum 70 s",
        "Hypoperfusion bowel", "Segmental colitis", "subhepatic", "Cor MPR AVERAGE 3mm",
        "delayed 10 min IP", "water 500 ml oral", "Uricase study", "metal artifact iMAR",
        "CPR successful", "s/p CPR", "bystander CPR", "CPR 20 min", "CPR for 30 min, ROSC",
        "cardiac arrest, CPR", "CPR rib fractures", "CPR x 3 cycles", "segmented colectomy",
        "Segmented liver resection", "vertebral segmentation anomaly",
        "failure of segmentation",
        "Maximum dose", "Chest MD", "Abdomen no water", "Zeffirelli", "curved spine",
    ],
)  # fmt: skip
def test_descriptions_that_resemble_derived_images_are_accepted(description: str) -> None:
    assert reason_of(SeriesDescription=description) is None


@pytest.mark.parametrize(
    "value",
    [
        "113048", "113051", "113062", "113073", "113074", "113075", "113076", "113078",
        "113079", "129104",
    ],
)  # fmt: skip
def test_derivation_code_names_a_derived_image(value: str) -> None:
    text = reason_of(DerivationCodeSequence=[code("113040"), code(value)])

    assert text is not None
    assert text.endswith("(Derivation Code Sequence).")


@pytest.mark.parametrize(
    "item",
    [code("113072"), code("113097"), code("113040"), code("113085"), code("113078", "X")],
)
def test_reformats_and_weighted_sums_are_accepted_by_their_code(item: Dataset) -> None:
    assert reason_of(DerivationCodeSequence=[item]) is None


def test_derivation_description_is_read_and_not_quoted() -> None:
    text = reason_of(DerivationDescription="VNC of Miller^Jane")

    assert text is not None
    assert text.endswith("virtual non-contrast image (Derivation Description).")
    assert "Miller" not in text


@pytest.mark.covers("H6")
def test_one_map_among_the_images_is_enough() -> None:
    headers = ct_headers(12)
    headers[4].ImageType = ["DERIVED", "PRIMARY", "AXIAL", "EFF_ATOMIC_NUM"]

    reason = rejection(derived_image(headers))

    assert reason is not None
    assert "1 of 12 images" in reason.text


@pytest.mark.parametrize(
    ("mm", "accepted"), [(10, True), (10.1, False), (0, True), (30, False)]
)
def test_thick_slabs_are_no_slices(mm: float, accepted: bool) -> None:
    assert (reason_of(SliceThickness=mm) is None) == accepted


def test_malformed_values_are_ignored() -> None:
    malformed = {
        "ImageType": 1,
        "SeriesDescription": b"\xff\0MIX",
        "SliceThickness": "abc",
        "DerivationDescription": ["a", "b"],
    }

    assert reason_of(**malformed) is None


def test_texts_of_megabytes_are_cut() -> None:
    long = "for MIP " * 1_000_000
    start = time.monotonic()

    assert reason_of(SeriesDescription=long, DerivationDescription=long) is None
    assert reason_of(ImageType=["ORIGINAL", "PRIMARY"] * 100_000) is None
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("source", ["frame type", "image type", "derivation", "technique"])
def test_frames_of_enhanced_ct_are_recognized(
    tmp_path: Path, shared: bool, source: str
) -> None:
    def change(ds: Dataset) -> None:
        first = ds.SharedFunctionalGroupsSequence[0]
        groups = first if shared else ds.PerFrameFunctionalGroupsSequence[3]
        frame_type = Dataset()
        frame_type.FrameType = ["DERIVED", "PRIMARY", "VOLUME", "NONE"]
        if source == "image type":
            ds.ImageType = ["DERIVED", "PRIMARY", "VOLUME", "MAT_REMOVED"]
        elif source == "derivation":
            item = Dataset()
            item.DerivationDescription = "Virtual non-contrast"
            groups.DerivationImageSequence = [item]
        elif source == "technique":
            frame_type.VolumeBasedCalculationTechnique = "MAX_IP"
        else:
            frame_type.FrameType[3] = "MAT_REMOVED"
        del first.CTImageFrameTypeSequence
        groups.CTImageFrameTypeSequence = [frame_type]

    images = images_of(tmp_path / "single", noise())
    paths = enhanced_ct.write_enhanced(images, tmp_path, change=change)

    rejected = load.read_series(paths)

    assert isinstance(rejected, Rejected)
    assert rejected.reason.code is ReasonCode.NOT_CT
    every = shared or source == "image type"
    assert f"in {14 if every else 1} of 14 images" in rejected.reason.text


def test_plain_enhanced_ct_is_accepted(tmp_path: Path) -> None:
    images = images_of(tmp_path / "single", noise())

    assert isinstance(load.read_series(enhanced_ct.write_enhanced(images, tmp_path)), Series)
