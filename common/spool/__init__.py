"""The spool: files of received instances and of results."""
