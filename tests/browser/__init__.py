"""The page in a real headless Chromium, against a running exchange."""
