"""The schedule of a run: which request is sent when. Seeded, and made before the first request."""
