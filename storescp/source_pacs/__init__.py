"""The source PACS: query its instance counts and fetch missing instances."""
