"""Cloud saves on this device: where a game's saves lie, how they are packed, and what a sync does."""
