"""Command logs whose outcomes never change: an old log replays to the same bytes permanently."""
