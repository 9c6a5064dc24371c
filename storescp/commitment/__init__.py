"""Storage Commitment (PS3.4 Annex J): asked of us by senders, reported to us by PACS."""
