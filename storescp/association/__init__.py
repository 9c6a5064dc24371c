"""DICOM associations: admission, messages from the socket to the disk, responses."""
