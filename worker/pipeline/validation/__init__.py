"""Rules for what may be graded: headers, stack of slices, pixels, geometry and hips."""
