"""Damaged and senseless files of every kind: whatever is in them ends in a result or in one sentence, and soon."""
