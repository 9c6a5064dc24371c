"""The path of one series, one module per step, pure: a folder of DICOM files and a model in,
frozen results out.

load → eligible → select → crop → classify (with explain) → grade → report, capture

``screen`` is the table of contents: it calls the steps in this order and times them.
Nothing here imports Celery, SQLAlchemy, pynetdicom or ``db``.
"""
