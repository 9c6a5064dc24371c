"""UUID-derived UIDs (PS3.5 B.2): equal content has equal UIDs, changed content other ones."""

import hashlib
import uuid

from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import UID

from worker.pipeline.results import ModelInfo

ENCODER_VERSION = "6"
"""Version of the encoding of SR and SC, part of every digest; raise it when either changes."""

NAMESPACE = uuid.UUID("5a9e2c1e-6d0b-4b43-9f3b-0d6f5c2a7e11")


def derive_uid(role: str, *parts: str) -> UID:
    """Return ``2.25.`` + UUIDv5 of a role and the parts that identify one instance of it."""
    return UID(f"2.25.{uuid.uuid5(NAMESPACE, chr(31).join((role, *parts))).int}")


def tracking_uid(study_instance_uid: str, side: str, region: str) -> UID:
    """Return the UID of one region of a study, the same for all models and revisions."""
    return derive_uid("tracking", study_instance_uid, side, region)


def device_uid(model: ModelInfo) -> UID:
    """Return the UID of the algorithm for SR and contributing equipment (IHE AIR)."""
    return derive_uid("device", model.name, model.version, model.sha256)


# The same as ``common.spool.part10``, which the pipeline may not import; a test compares them.
IMPLEMENTATION_CLASS_UID = UID("2.25.184154897819623480476398981052215016039")
CODING_SCHEME_UID = derive_uid("coding scheme")


def content_digest(ds: Dataset) -> str:
    """Return the SHA-256 of a data set in Explicit VR Little Endian, salted with its version.

    The caller leaves out what changes from run to run: clock values and the object's own UIDs.
    """
    encoded = DicomBytesIO()
    encoded.is_little_endian, encoded.is_implicit_VR = True, False
    write_dataset(encoded, ds)
    return hashlib.sha256(ENCODER_VERSION.encode() + b"\0" + encoded.getvalue()).hexdigest()
