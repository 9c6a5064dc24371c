"""Simulated anatomy: each module describes one region as parts to paint, in mm and HU.

``frames`` places body, pelvis and femurs in patient coordinates; the other modules use it.
"""
