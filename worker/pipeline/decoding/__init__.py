"""Bounded reading of DICOM files: encoding, header, frames, codestreams, stored values."""
