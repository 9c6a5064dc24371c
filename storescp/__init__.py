"""The door: DICOM in, durable on disk, registered, queued.

``association`` or ``stow`` → ``operation`` → ``reception`` → the spool → ``registration``.
"""
