"""Search for proximal femurs in a volume.

``grid`` resamples the volume, ``heads`` finds candidate spheres, ``spheres`` fits them,
``necks`` and ``shafts`` (``sections``) score the bone that leaves a sphere, ``scoring`` joins
these scores, ``pairs`` selects the patient's hips, and ``planes`` cuts the plane that shows a
femur. ``worker.pipeline.select`` combines them.

The constants of each module are the fields of one frozen dataclass, with the unit in the name
and the source beside them: *anatomy* (adult range), *numerical*, *cost* (time or memory),
*0002* and *0034* (stated or measured in ``docs/decisions/0002-femur-finder.md`` and
``0034-real-femurs.md``); all others were *tuned* on the volumes of the first of them.
"""
