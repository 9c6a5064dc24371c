"""Receiver processes and their channel to the main process."""
