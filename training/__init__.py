"""Training of grading models: simulate, prepare, fit, evaluate, report and package.

``simulate``  CT series with known truth
``cohort``    data sets of labeled hips, from the simulator or from a site's own series
``fit``       training, calibration and measurement of one network
``evaluate``  figures with intervals, and the end-to-end evaluation
``report``    tables, figures, model card and model package

Crops are made by the preprocessing of ``worker.pipeline``.
"""
