"""One instance, from its first byte to a durable file and a status."""
