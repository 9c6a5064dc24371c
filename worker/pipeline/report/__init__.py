"""The structured report: a TID 1500 document of a screening (PS3.16)."""
