"""DIMSE: who may associate, messages from the socket to the disk, answers."""
