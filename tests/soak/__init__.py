"""Soak test: series or studies through the whole system while its processes are killed."""
