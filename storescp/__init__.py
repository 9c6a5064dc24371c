"""The door: DICOM in, durable on disk, registered, queued."""
