"""Encoded data sets (PS3.5), read within limits and without decoding them."""
