"""STOW-RS (PS3.18 10.5): stores into the same spool as C-STORE."""
