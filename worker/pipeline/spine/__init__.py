"""Lumbar spine: canal, discs, levels and trabecular regions, by geometry (0040)."""
