"""Geometry of the simulator: signed distances, random fields and layers on open grids."""
