"""UUID-derived UIDs (PS3.5 B.2): the same content has the same UID, changed content never."""

import hashlib
import uuid

from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import UID

from worker.pipeline.results import ModelInfo

ENCODER_VERSION = "4"
"""Raise it with every change of what SR and SC look like: it goes into every digest."""

NAMESPACE = uuid.UUID("5a9e2c1e-6d0b-4b43-9f3b-0d6f5c2a7e11")


def derive_uid(role: str, *parts: str) -> UID:
    """``2.25.`` + UUIDv5 of a role and what tells its instances apart."""
    return UID(f"2.25.{uuid.uuid5(NAMESPACE, chr(31).join((role, *parts))).int}")


def tracking_uid(study_instance_uid: str, side: str, region: str) -> UID:
    """Names one region of one patient's study over all models, encoders and revisions."""
    return derive_uid("tracking", study_instance_uid, side, region)


def device_uid(model: ModelInfo) -> UID:
    """Names the algorithm, as IHE AIR wants it in SR and contributing equipment."""
    return derive_uid("device", model.name, model.version, model.sha256)


IMPLEMENTATION_CLASS_UID = derive_uid("implementation")
CODING_SCHEME_UID = derive_uid("coding scheme")


def content_digest(ds: Dataset) -> str:
    """SHA-256 of a data set in Explicit VR Little Endian, salted with the encoder version.

    The caller leaves out what must not count: clock values and the object's own UIDs.
    """
    encoded = DicomBytesIO()
    encoded.is_little_endian, encoded.is_implicit_VR = True, False
    write_dataset(encoded, ds)
    return hashlib.sha256(ENCODER_VERSION.encode() + b"\0" + encoded.getvalue()).hexdigest()
