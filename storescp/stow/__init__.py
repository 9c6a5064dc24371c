"""STOW-RS (PS3.18 10.5): the other door, into the same spool."""
