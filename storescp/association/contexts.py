"""What the Storage SCP supports: few contexts, since each costs time in every association."""

from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
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
    ExplicitVRBigEndian,  # retired, and still sent
    JPEGLosslessSV1,
    JPEGLossless,
    JPEGLSLossless,
    JPEGLSNearLossless,
    JPEG2000Lossless,
    JPEG2000,
    RLELossless,
]


class Contexts(list[PresentationContext]):
    """One list for all associations, which only read it.

    pynetdicom copies it for each, in as much time as three instances take.
    """

    def __deepcopy__(self, memo: object) -> "Contexts":
        return self


def supported_contexts() -> Contexts:
    """Verification, Storage Commitment in both roles, and CT as the worker can decode it."""
    commitment = build_context(StorageCommitmentPushModel)
    # PS3.4 J.3.3: a PACS that reports to us has asked for the association, and is the SCP.
    commitment.scu_role = commitment.scp_role = True
    return Contexts(
        (
            build_context(Verification),
            commitment,
            *(build_context(uid, TRANSFER_SYNTAXES) for uid in SOP_CLASSES),
        )
    )
