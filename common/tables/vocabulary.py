"""Accepted words for sex, side and missing values, after ``normalize``.

The lists are closed: another word is an error, because a guess by the first letter reads
``Lumbar`` as left and ``Mujer`` (Spanish: woman) as male.
"""

from typing import Literal

Sex = Literal["F", "M"]
Side = Literal["L", "R"]

MISSING = frozenset({"", "na", "n/a", "nan", "nat", "null", "none", "-", "?"})

# English, German, French, Spanish, Italian, Portuguese, Dutch, Swedish, Polish, Turkish,
# Russian, Korean, Chinese and Japanese.
_FEMALE = """f female woman w weiblich frau femme féminin féminine feminin mujer femenino
    femenina femmina femminile donna mulher feminino feminina vrouw vrouwelijk kvinna kobieta
    kadın ж женский женщина 여 여자 여성 女 女性"""
_MALE = """m male man männlich maennlich mann homme masculin masculino varón varon hombre
    h maschio maschile uomo homem mannelijk mężczyzna erkek м
    мужской мужчина 남 남자 남성 男 男性"""
SEXES: dict[str, Sex] = {
    **dict.fromkeys(_FEMALE.split(), "F"),
    **dict.fromkeys(_MALE.split(), "M"),
}

_LEFT = """l left lt links linke linker gauche izquierda izquierdo sinistra sinistro esquerda
    esquerdo vänster lewy lewa sol левый левая 좌 좌측 왼쪽 左 左側"""
_RIGHT = """r right rt rechts rechte rechter droite droit derecha derecho destra destro direita
    direito höger prawy prawa sağ правый правая 우 우측 오른쪽 右 右側"""
SIDES: dict[str, Side] = {
    **dict.fromkeys(_LEFT.split(), "L"),
    **dict.fromkeys(_RIGHT.split(), "R"),
}
_SITES = """hip femur femoral neck total proximal hüfte oberschenkel schenkelhals hanche
    fémur col cadera anca collo quadril heup 고관절 대퇴"""
SITE_WORDS = frozenset(_SITES.split())
"""Words that may stand beside a side, as in ``left hip``."""

AGE_UNITS = {"세": "Y", "살": "Y", "岁": "Y", "歳": "Y", "años": "Y", "anos": "Y", "лет": "Y"}
MONTHS = dict(
    zip(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"),
        range(1, 13),
        strict=True,
    )
)
