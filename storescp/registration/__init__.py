"""From instances on disk to a series on record: which is complete, and since when."""
