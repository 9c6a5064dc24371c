"""Code shared by the services: settings, logging, metrics, TLS, spool, DICOM networking."""
