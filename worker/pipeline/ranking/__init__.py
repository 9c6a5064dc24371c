"""Ranking of the series of a study from headers alone, before a pixel is decoded."""
