"""The source PACS: how many instances it counts, and how missing ones are fetched."""
