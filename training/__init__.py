"""The school: simulate, prepare, fit, evaluate, report and package, by the worker's own
preprocessing."""
