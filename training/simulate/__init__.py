"""Simulated CT of the abdomen and pelvis with known truth.

``cohort``      who: patients with T-scores and demographics as in the paper's Table 1
``density``     from a T-score to bone mineral density, attenuation and cortical thickness
``subject``     one patient: body, pelvis, hips, pose, condition, sampled from a generator
``shapes``, ``texture``   signed distances and random fields on open grids
``frames``      where body, pelvis and femurs lie in patient coordinates
``femur``, ``pelvis``, ``trunk``, ``muscles``, ``organs``, ``body``, ``implants``   anatomy
``acquisition`` one series: grid, thickness, kernel, tube voltage, noise
``scanner``     ``render``: anatomy → HU, any slice alone
``truth``       what a finder and a model should say
``series``      DICOM files; ``invalid`` the series that must be rejected

What is physics, what is published and what is invention: docs/decisions/0003-simulator.md.
"""
