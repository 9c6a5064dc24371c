"""The images of a screening: Secondary Capture and Parametric Map of the heat maps."""
