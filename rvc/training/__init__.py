"""The epochs of a training, its checkpoints, and what it tells of itself on the way."""
