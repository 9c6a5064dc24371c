"""Screening of one CT series: DICOM files and a model in, frozen results out.

``screen`` calls the steps in this order and times them; each step is one module:

1. ``series_headers`` reads headers (``frames``, ``header_values``) and ``load`` sorts slices;
   ``images`` checks them before they are sorted, ``eligibility`` and ``stack`` afterwards.
2. ``load`` decodes pixels (``pixels``) into a coronal volume in HU (``reformat``);
   ``eligibility`` and ``quality`` check it.
3. ``select`` finds the femurs (``femurs``) and the plane that shows each best.
4. ``eligibility`` checks each hip (``metal``, ``field_of_view``, ``quality``).
5. ``crop`` cuts out what is shown and the model's input, parallel cuts through head and neck;
   ``neck`` (``neck_outline``) measures the attenuation of the femoral neck.
6. ``model`` classifies the cuts (``classify``, ``explain``) and computes one heat map.
7. ``warnings`` collects what a reader must know of a graded series (``acquisition``,
   ``contrast_warning``, ``motion``, ``heat_map``); ``grading`` gives the patient's grade.

``screen_study`` does this for a study: ``ranking`` orders its series by their headers, and
``compose`` makes one result of those that were screened.

The result becomes DICOM objects in ``report`` and ``capture``, which share
``derived_header``, ``plane_layout``, ``statements`` and ``previous``, and an entry of
``result.json`` in ``result_json``. Types: ``volume``, ``reasons``, ``rules``, ``results``.

Nothing here imports Celery, SQLAlchemy, pynetdicom, ``db`` or ``common``.
"""
