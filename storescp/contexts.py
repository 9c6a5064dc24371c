"""Presentation contexts of the Storage SCP. Each one costs time in every association."""

from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.sop_class import (
    CTImageStorage,
    EnhancedCTImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
    StorageCommitmentPushModel,
    Verification,
)

SOP_CLASSES = (
    CTImageStorage,
    EnhancedCTImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
)
TRANSFER_SYNTAXES = [
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,  # retired, still sent by some devices
    JPEGLosslessSV1,
    JPEGLossless,
    JPEGLSLossless,
    JPEGLSNearLossless,
    JPEG2000Lossless,
    JPEG2000,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    HTJ2K,
    RLELossless,
]


class Contexts(list[PresentationContext]):
    """A list that all associations share without a copy; they only read it.

    pynetdicom deep-copies it for each association, which takes as long as three instances.
    """

    def __deepcopy__(self, memo: object) -> "Contexts":
        return self


def supported_contexts() -> Contexts:
    """Return Verification, Storage Commitment in both roles, and CT that the worker decodes."""
    commitment = build_context(StorageCommitmentPushModel)
    # PS3.4 J.3.3: a PACS that sends a report requests the association as SCP.
    commitment.scu_role = commitment.scp_role = True
    return Contexts(
        (
            build_context(Verification),
            commitment,
            *(build_context(uid, TRANSFER_SYNTAXES) for uid in SOP_CLASSES),
        )
    )
