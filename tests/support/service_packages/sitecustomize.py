"""Hide from service processes what only training has: Keras imports it where it is installed.

The images of the services have none of it either. Without it, ``import tensorflow`` takes 5.8 s
of CPU time instead of 9.5 s.
"""

import sys

for package in ("matplotlib", "pandas", "sklearn", "statsmodels"):
    sys.modules[package] = None  # type: ignore[assignment] # an import then raises ImportError
