"""Simulated CT of the abdomen and pelvis with known truth.

``cohort_plan`` patients with T-scores and demographics as in the paper's Table 1
``subject``     one patient: body, pelvis, hips, pose, condition, sampled from a generator
``density``     from a T-score to bone mineral density, attenuation and cortical thickness
``geometry``    signed distances, random fields and layers on open grids
``anatomy``     bones, muscles, organs and implants as parts to paint, and their frames
``scene``       all parts of a subject in painting order
``acquisition`` one series: grid, thickness, kernel, tube voltage, noise
``scanner``     ``render``: anatomy → HU, for any single slice
``truth``       expected results of a femur finder and a model
``series``      DICOM files
``invalid``     series that must be rejected
``command``     ``python -m training simulate``

Which parts are physics, published or invented: docs/decisions/0003-simulator.md.
"""
