"""Covered: series descriptions in several languages that name a map, projection or rendering,
and descriptions that resemble them.
"""

import pytest

from tests.support.rule_results import derived_reason


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
    assert derived_reason(SeriesDescription=description) == (
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
        text = derived_reason(SpecificCharacterSet="ISO_IR 192", SeriesDescription=description)
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
    assert derived_reason(SeriesDescription=description) is None
