"""DICOM networking that both services share: addresses, associations, statuses, DICOMweb."""
