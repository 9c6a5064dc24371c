"""Series whose headers name one person in several spellings, or two persons."""

from collections import Counter
from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from random import Random

from pydicom import Dataset
from pydicom.valuerep import PersonName

from tests.fuzz.routes import bounded
from tests.support.ct_factory import ct_series, write_files
from tests.support.ct_volume import alter as alter_text
from worker.pipeline.load import read_series
from worker.pipeline.reasons import ReasonCode
from worker.pipeline.results import Rejected

COUNT = 4
SYSTEMS = ("1.2.276.0.76.3", "1.2.276.0.76.4")
PERSON = {
    "PatientID": "A-4711",
    "IssuerOfPatientID": "HOSPITAL",
    "PatientName": "Müller^Jörg Karl^^Dr.",
    "PatientBirthDate": "19470403",
    "PatientSex": "M",
}
# Each attribute with other spellings of its value, and with values of other persons.
SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "PatientID": ("A-4711 ", " A-4711", "A-4711\0", ""),
    "IssuerOfPatientID": ("HOSPITAL ", " HOSPITAL", "Hospital", ""),
    "PatientName": (
        "MÜLLER^JÖRG KARL^^DR.", "müller^jörg karl^^dr.", "Müller^Jörg  Karl^^Dr.^",
        "Müller ^ Jörg Karl^ ^Dr.", "Mu\u0308ller^Jo\u0308rg Karl^^Dr.", "",
        "Muller^Jorg Karl^^Dr.", "Müller, Jörg-Karl",
        "Müller^Jörg Karl^^Dr.=", "Müller^Jörg Karl^^Dr.==", "Müller^Jörg Karl^^Dr.=山^太",
    ),
    "PatientBirthDate": ("1947.04.03", "1947-04-03", "19470403 ", "", "00000000", "unknown"),
    "PatientSex": ("m", "M ", "", "O", "U"),
}  # fmt: skip
OTHERS: Mapping[str, tuple[str, ...]] = {
    "PatientID": ("A-4712", "A4711", "a-4711", "4711", "A-47110"),
    "IssuerOfPatientID": ("HOSPITAL2", "CLINIC", "H"),
    "PatientName": (
        "Müller^Jürg Karl^^Dr.", "Müller^Jörg^^Dr.", "Meier^Eva", "X",
        "Jörg Karl^Müller^^Dr.",
    ),
    "PatientBirthDate": ("19470404", "1974.04.03", "1947-03-04", "20110505"),
    "PatientSex": ("F", "f"),
}  # fmt: skip

Change = Callable[[Random, Dataset], None]


def alter(ds: Dataset, keyword: str, value: str | None) -> None:
    """Set or remove a value, also one that is not valid."""
    name = keyword == "PatientName" and value is not None
    alter_text(ds, keyword, PersonName(value) if name else value)


def spelling(rng: Random, ds: Dataset) -> None:
    """Write one to five attributes in another spelling, or not at all."""
    for keyword in rng.sample(list(SPELLINGS), rng.randint(1, len(SPELLINGS))):
        value = rng.choice((*SPELLINGS[keyword], None))
        alter(ds, keyword, value)


def character_set(rng: Random, ds: Dataset) -> None:
    """Encode the name in another character set that describes it."""
    ds.SpecificCharacterSet = rng.choice(("ISO_IR 100", "ISO_IR 192", "ISO_IR 148", "GB18030"))


def other_person(rng: Random, ds: Dataset) -> None:
    """Name another person by one to five attributes, the rest in any spelling."""
    keywords = rng.sample(list(OTHERS), rng.randint(1, len(OTHERS)))
    spelling(rng, ds)
    for keyword in keywords:
        alter(ds, keyword, rng.choice(OTHERS[keyword]))


def other_system(rng: Random, ds: Dataset) -> None:
    """Name another system that issued the same ID, by its universal identifier."""
    item = Dataset()
    item.UniversalEntityID, item.UniversalEntityIDType = SYSTEMS[1], "ISO"
    ds.IssuerOfPatientIDQualifiersSequence = [item]


ONE: Mapping[str, Change] = {"spellings": spelling, "character sets": character_set}
TWO: Mapping[str, Change] = {"two persons": other_person, "two systems": other_system}


class IdentityMixes:
    """Small series in which one or more images name the person otherwise."""

    name = "identity mixes"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._images = ct_series(COUNT, size=2, SpecificCharacterSet="ISO_IR 192", **PERSON)
        for ds in self._images:
            item = Dataset()
            item.UniversalEntityID, item.UniversalEntityIDType = SYSTEMS[0], "ISO"
            ds.IssuerOfPatientIDQualifiersSequence = [item]
        self._paths = write_files(self._images, folder)
        self._files = [path.read_bytes() for path in self._paths]
        self.counts: Counter[str] = Counter()

    def feed(self, rng: Random) -> None:
        kind = rng.choice((*ONE, *TWO))
        changed = rng.sample(range(1, COUNT), rng.randint(1, COUNT - 1))
        for index in changed:
            ds = deepcopy(self._images[index])
            if kind in TWO and index != changed[0]:
                spelling(rng, ds)
            else:
                (ONE | TWO)[kind](rng, ds)
            write_files([ds], self._folder / "changed")
            (self._folder / "changed" / "0000.dcm").rename(self._paths[index])
        self.counts[kind] += 1
        with bounded(kind):
            series = read_series(self._paths)
        for index in changed:
            self._paths[index].write_bytes(self._files[index])
        code = series.reason.code if isinstance(series, Rejected) else None
        assert code == (ReasonCode.MIXED if kind in TWO else None), (
            f"{kind}: {series.reason if code else code}"
        )

    def end(self) -> None:
        assert [path.read_bytes() for path in self._paths] == self._files
