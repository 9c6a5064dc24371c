"""The review page: every route, every page, in a real browser."""
