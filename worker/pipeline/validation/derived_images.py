"""Recognition of derived images whose values are not those of CT slices.

Sources, in order: Image Type and Frame Type, Volume Based Calculation Technique, derivation
codes and description, and as the last resort the series description. Averages, multiplanar
reformats and weighted sums of two energies (113097, DCM) keep the HU of tissue and are
accepted.
"""

import re
from collections.abc import Sequence

from pydicom import Dataset

from worker.pipeline import header_values
from worker.pipeline.reasons import Reason, ReasonCode, RuleResult
from worker.pipeline.validation.image_texts import (
    ImageTexts,
    states,
    texts_of_each,
    without_accents,
)

# Chosen, not measured: the paper's reformats are 2 to 4 mm thick.
MAX_SLICE_THICKNESS_MM = 10.0

MAX_IP, MIN_IP = "maximum intensity projection", "minimum intensity projection"
PROJECTION, VOLUME, SURFACE = "intensity projection", "volume rendering", "surface rendering"
CURVED, SEGMENTED = "curved reformat", "segmentation"
SUBTRACTED, ARITHMETIC = "subtraction", "pixel arithmetic"
PERFUSION = "perfusion map"
NO_CONTRAST, NO_CALCIUM = "virtual non-contrast image", "virtual non-calcium image"
MATERIAL, ATOMIC_NUMBER = "material map", "effective atomic number map"
ELECTRONS, URIC_ACID = "electron density map", "uric acid map"
BLENDED = "non-linear blend of two energies"

# Values of Image Type: multi-energy images (PS3.3 C.8.15.2.1.1.5), derived pixel contrast
# (PS3.3 C.8.16.1.4).
TERMS = {
    "MAT_SPECIFIC": MATERIAL, "MAT_FRACTIONAL": MATERIAL, "MAT_VALUE_BASED": MATERIAL,
    "MAT_REMOVED": "material-removed image", "MAT_MODIFIED": "material-modified image",
    "EFF_ATOMIC_NUM": ATOMIC_NUMBER, "ELECTRON_DENSITY": ELECTRONS,
    "MAXIMUM": MAX_IP, "MINIMUM": MIN_IP, "MASKED": SEGMENTED, "SUBTRACTION": SUBTRACTED,
    "DIVISION": ARITHMETIC, "MULTIPLICATION": ARITHMETIC, "STD_DEVIATION": ARITHMETIC,
}  # fmt: skip
# Words of a value of Image Type ("MAXIMUM 5MM", "DE_WATER").
WORDS = {
    "MAXIMUM": MAX_IP, "MINIMUM": MIN_IP, "VR": VOLUME, "SUBTRACTED": SUBTRACTED,
    "WATER": MATERIAL, "HAP": MATERIAL, "IOD": MATERIAL, "JOD": MATERIAL, "IODE": MATERIAL,
    "YODO": MATERIAL, "VOLREN": VOLUME,
}  # fmt: skip
# Parts of such words ("THICKMIP", "IODINE_MAP").
STEMS = {
    "VNCA": NO_CALCIUM, "BONEMARROW": NO_CALCIUM, "VNC": NO_CONTRAST, "MINIP": MIN_IP,
    "MAXIP": MAX_IP, "MIP": MAX_IP,
    "RAYSUM": PROJECTION, "VRT": VOLUME, "IODINE": MATERIAL, "ZEFF": ATOMIC_NUMBER,
}  # fmt: skip
# Volume Based Calculation Technique (PS3.3 C.8.16.2).
TECHNIQUES = {
    "MAX_IP": MAX_IP, "MIN_IP": MIN_IP, "VOLUME_RENDER": VOLUME, "SURFACE_RENDER": SURFACE,
    "CURVED_MPR": CURVED,
}  # fmt: skip
# PS3.16 CID 7203.
CODES = {
    "113048": MAX_IP, "113051": MIN_IP, "113062": SUBTRACTED, "113073": CURVED,
    "113074": VOLUME, "113075": SURFACE, "113076": SEGMENTED, "113078": MAX_IP,
    "113079": MIN_IP, "129104": PERFUSION,
    "113046": ARITHMETIC, "113047": SEGMENTED, "113053": ARITHMETIC,
}  # fmt: skip

_MATERIAL = r"(?:iodine|water|calcium|hap|fat|blood|iron|gadolinium|uric acid)"
_MAP = r"(?:maps?|karte|mapa|density|dichte|overlay|images?|bild|uptake|fraction|quant\w*)"
# "Vue" is French for a view.
_FRENCH_VIEW = (
    r"(?:coronale|axiale|sagittale|frontale|generale|du|en|d(?= ?')"
    r"|de (?:face|profil|dos|la|l'))"
)
# Words beside the name of iodine alone.
_PLAIN = r"(?:de|dect|dual~energy|spectral|cor|coronal|ax|axial|tra|mm|\d(?:[.,]\d+)?)"
_WITHOUT = r"(?:non|sans|sin|senza|sem|ohne|without)"
_NO_MIP = r"(?:hospital|clinic|cent(?:er|re)|institut|university|study|trial)"
_REMOVED = r"(?:removed|removal|suppress\w*|subtract\w*)"
# Resuscitation, and not a curved reformat.
_BEFORE_CPR = "".join(
    rf"(?<!{word})"
    for word in (
        "post ", "post-", "after ", "nach ", "during ", "under ", "s/p ", "apres ",
        "bystander ", "prolonged ", "following ", "ongoing ", "received ", "with ", "arrest ",
        "arrest, ", "manual ", "mechanical ", "despite ", "no ", "had ",
    )
)  # fmt: skip
_AFTER_CPR = (
    r"(?:(?:un)?success\w*|perform\w*|attempt\w*|surviv\w*|ongoing|in progress|injur\w*|trauma"
    r"|rib|ribs|fract\w*|started|stopped|terminated|done|given|rosc|resus\w*|and rosc"
    r"|(?:for |x |of |~)*\d+ ?(?:min\w*|hours?|h|x|cycles?|rounds?|times))(?![a-z])"
)
# An operation on a segment, or an anomaly of vertebrae.
_SEGMENT_OF_BODY = (
    r"(?:\w+ )?(?:\w*ectom\w*|resect\w*|fract\w*|fusion|osteotom\w*|transplant\w*|graft\w*"
    r"|transport|instrument\w*|anomal\w*|defects?|failures?|disorder\w*)(?![a-z])"
)


def _pattern(text: str) -> re.Pattern[str]:
    """Compile a pattern: ``~`` is a joint between words, the match begins a word."""
    return re.compile(rf"(?<![a-z])(?:{without_accents(text).replace('~', r'[ ./-]*')})")


PATTERNS = {
    NO_CALCIUM: _pattern(
        rf"vnca(?![a-z])|non~calcium|calcium~(?:{_REMOVED}|{_MAP}(?![a-z]))|pure~lumen"
        r"|ca~?supp(?:ress\w*)?(?![a-z])"
    ),
    NO_CONTRAST: _pattern(
        rf"vn[ci](?![a-z])|virtu[ae]\w*~(?:{_WITHOUT}(?![a-z])|non|un|nativ|plain|blanc)"
        rf"|(?:nativ\w*|unenhanced|{_WITHOUT}~(?:contrast\w*|injection|km|mdc))~virtu[ae]l"
        rf"|(?:iodine|contrast)~{_REMOVED}"
        rf"|vue(?![a-z])(?! {_FRENCH_VIEW}(?![a-z]))(?! pacs)"
    ),
    MATERIAL: _pattern(
        rf"(?:iod[eino]*|jod|yodo)~{_MAP}(?![a-z])"
        rf"|(?<!.)(?:{_PLAIN}~)*(?:iodine|iodio|iod[eo]?|jod|yodo)(?:~{_PLAIN})*(?!.)"
        r"|contrast~enhanced~structures"
        r"|iodine~(?:no~water|concentration(?! ?\d)|[(\[] ?mg)"
        rf"|(?:carte|mapa|mappa|map)~(?:de |d'|of )?(?:iod|yodo)|iomap|(?:lung)?pbv(?![a-z])"
        r"|(?:contrast|stone|gout)~(?:analysis~)?maps?(?![a-z])"
        rf"|{_MATERIAL} ?\( ?{_MATERIAL} ?\)|(?:water|fat)~{_MAP}(?![a-z])"
        rf"|(?:md|gsi)~{_MATERIAL}(?![a-z])"
        r"|material~(?:density|decomposition|maps?|specific)|k~edge"
    ),
    ATOMIC_NUMBER: _pattern(
        r"z~eff(?:ective)?(?![a-z])|eff(?:ective)?~(?:z(?![a-z])|atomic)|rho~z(?![a-z])"
    ),
    BLENDED: _pattern(r"optimum~contrast|non~linear~blend"),
    ELECTRONS: _pattern(r"electron~density|rho~e(?![a-z])|elektronendichte"),
    URIC_ACID: _pattern(r"uric~acid|urate(?![a-z])"),
    MIN_IP: _pattern(
        r"mnip|(?<!\d)(?<!\d )min~ips?(?![a-z])|min(?:imum|\.)?~(?:intensit|projection)"
    ),
    MAX_IP: _pattern(
        rf"(?:thick|thin|slab|cor|ax|tra|mm)?mips?(?![a-z])(?! {_NO_MIP})|max~ips?(?![a-z])"
        r"|max(?:imum|imale?)?~(?:intensit|projection)"
    ),
    PROJECTION: _pattern(r"intensit\w*~proje|projection image|ray~sum"),
    VOLUME: _pattern(
        r"volume~render|vrt(?![a-z])|(?:3d~vr|vr~3d)(?![a-z])|cinematic~render|3d~render"
    ),
    SURFACE: _pattern(
        r"surface~(?:render|shaded|display)|shaded~surface|ssd(?![a-z])(?!~\d(?!d))"
    ),
    CURVED: _pattern(
        rf"curved~(?:mpr|planar|reform|multi)|{_BEFORE_CPR}cpr(?![a-z])(?!~{_AFTER_CPR})"
    ),
    SEGMENTED: _pattern(
        rf"(?<!failure of )(?<!vertebral )segment(?:ed|ation)(?![a-z])(?!~{_SEGMENT_OF_BODY})"
        r"|bone~remov"
    ),
    SUBTRACTED: _pattern(r"su[bs]s?tract(?:ed|ion)(?![a-z])|subtraktion|soustraction"),
    PERFUSION: _pattern(r"perfusion(?![a-z])|blood~(?:flow|volume)~maps?"),
}

_MOST, _LEAST = r"ma(?:x|ss|ks)(?:[iy]m\w*)?(?![a-z])", r"min(?:im\w*)?(?![a-z])"
_STRENGTH = r"(?:d'|de |di |da )?intens(?:it|id|yw)"
_OF = r"(?:d'|de |di |do |da |du |del |en |de l'|dell')?"
_FLUID = r"(?:iod[eio]*|jod\w{0,3}|yodo|agua|acqua|eau|wasser)(?![a-z])"
# The same in German, French, Spanish, Italian, Portuguese, Dutch, Swedish and Polish, without
# accents, and in Japanese, Chinese, Korean and Russian.
TRANSLATED = {
    NO_CALCIUM: _pattern(
        rf"[ck]al[cz]i(?:um|o)~(?:supprim\w*|frei)"
        rf"|(?:suppression|eliminacion|rimozione|remocao)~{_OF}calci"
    ),
    NO_CONTRAST: _pattern(
        r"virtueel~onversterkt|wirtualn\w*~(?:bez|nat|faza)"
        r"|虚拟(?:平扫|非增强)|虛擬平掃|仮想(?:非造影|単純)|가상~(?:비조영|조영~전)|виртуальн\w*~(?:не|без|нат)"
    ),
    MATERIAL: _pattern(
        rf"(?:jod|iod)(?:ium)?~(?:kaart|karta|konzentration(?! ?\d))|mapa jodowa"
        rf"|(?:cart[eo]\w*|map{{1,2}}a|imagen|densi(?:te|ta|dade?))~{_OF}{_FLUID}"
        r"|wasser~(?:karte|dichte|bild)|fett~wasser|fraction~(?:de )?graisse"
        rf"|material~(?:dichte|zerlegung)|(?:densi\w*|de[sz]?compos\w*|scomposiz\w*)~{_OF}materi"
        r"|ヨード~?(?:マップ|密度|画像)|碘(?:图|圖|密度|基|浓度图)|요오드~(?:맵|지도)|йодн\w*~карт"
        r"|物質(?:密度|弁別)|物质(?:密度|分离)"
    ),
    ATOMIC_NUMBER: _pattern(
        r"effektive~(?:ordnungszahl|z(?![a-z]))|numero~atomi[cq]"
        r"|有效原子序数|有效原子序數|実効原子番号|эффективн\w*~атомн"
    ),
    ELECTRONS: _pattern(r"densi\w*~(?:d')?ele?[ct]*tron|elektronendich|电子密度|電子密度"),
    URIC_ACID: _pattern(r"harnsaure|harnsaeure|acid[eo]~uri[cq]|urat(?:s|en)(?![a-z])|尿酸"),
    MIN_IP: _pattern(
        rf"{_LEAST}~{_STRENGTH}|intens(?:it|id|yw)\w*~{_LEAST}|最小(?:値|值|密度|强度|強度)~?投影"
    ),
    MAX_IP: _pattern(
        rf"{_MOST}~{_STRENGTH}|intens(?:it|id|yw)\w*~{_MOST}"
        r"|最大(?:値|值|密度|强度|強度|信号)~?投影|최대~(?:강도|밀도)|максимальн\w*~интенс"
    ),
    VOLUME: _pattern(
        rf"volumen~render|rend(?:u|er\w*)~{_OF}volum|ボリュームレンダ|容积(?:再现|重建)|体绘制"
    ),
    SURFACE: _pattern(
        rf"3d~oberflache|rend(?:u|er\w*)~{_OF}(?:surfac|superfic)|表面(?:再现|遮盖)"
    ),
    CURVED: _pattern(
        rf"gekrummte?~(?:re|mpr)|(?:reform\w*|re[ck]onstru\w*|ricostru\w*|mpr)~{_OF}"
        r"(?:courbe|curv[ao])(?![a-z])|曲面(?:重建|再構成)"
    ),
    SEGMENTED: _pattern(r"segmenta?(?:ierung|cion|zione|cao)|knochen~(?:entfern|segment)"),
    SUBTRACTED: _pattern(
        r"su[bs]?s?traccion|sottrazione|subtracao|odejmowanie|减影|サブトラクション"
    ),
    PERFUSION: _pattern(r"perfusions~(?:kart|bild)|blut~volumen|灌注|灌流"),
}


def derived_image(headers: Sequence[Dataset]) -> RuleResult:
    """Reject projections, renderings, thick slabs and the maps of a multi-energy scan."""
    known: dict[ImageTexts, str | None] = {}
    found = []
    for ds, texts in zip(headers, texts_of_each(headers), strict=True):
        if texts not in known:
            known[texts] = _kind_of(texts)
        found.append(_technique_of(ds) or known[texts])
    kinds = [kind for kind in found if kind is not None]
    if kinds:
        count = f"{len(kinds)} of {len(headers)} images"
        text = f"No CT values of slices in {count}: {kinds[0]}."
        return Reason(ReasonCode.NOT_CT, text)
    return _thick_slab(headers) or f"{len(headers)} images, no map or projection among them."


def _kind_of(texts: ImageTexts) -> str | None:
    """Return the kind of a derived image with the source that names it."""
    for term in texts.terms:
        if term in TERMS:
            return f"{TERMS[term]} (Image Type {term})"
    kind = _kind_of_words(texts.terms) or _described(texts.types, denied=False)
    if kind is not None:
        return f"{kind} (Image Type)"
    kind = next((CODES[code] for code in texts.codes if code in CODES), None)
    if kind is not None:
        return f"{kind} (Derivation Code Sequence)"
    kind = _described(texts.derivations)
    if kind is not None:
        return f"{kind} (Derivation Description)"
    kind = _described((texts.series,))
    return None if kind is None else f"{kind} (Series Description)"


def _kind_of_words(terms: Sequence[str]) -> str | None:
    words = [word for term in terms for word in re.split(r"[^A-Z0-9]+", term)]
    kinds = [WORDS[word] for word in words if word in WORDS]
    kinds += [kind for stem, kind in STEMS.items() if any(stem in word for word in words)]
    return next(iter(kinds), None)


def _described(texts: Sequence[str], *, denied: bool = True) -> str | None:
    """Return the first kind that a text names; ``denied``: a text may deny it."""
    for kind, pattern in (*PATTERNS.items(), *TRANSLATED.items()):
        if any(states(pattern, text) if denied else pattern.search(text) for text in texts):
            return kind
    return None


def _technique_of(ds: Dataset) -> str | None:
    technique = header_values.text_of(ds, "VolumeBasedCalculationTechnique").upper()
    if technique not in TECHNIQUES:
        return None
    return f"{TECHNIQUES[technique]} (Volume Based Calculation Technique {technique})"


def _thick_slab(headers: Sequence[Dataset]) -> Reason | None:
    stated = (header_values.number_of(ds, "SliceThickness") for ds in headers)
    thickest = max((mm for mm in stated if mm is not None), default=0.0)
    if thickest <= MAX_SLICE_THICKNESS_MM:
        return None
    limit = f"at most {MAX_SLICE_THICKNESS_MM:.0f} mm are accepted"
    return Reason(ReasonCode.NOT_CT, f"Thick slabs: slices of {thickest:.0f} mm, {limit}.")
