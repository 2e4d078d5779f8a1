"""Attempts and conversions over OSS, killed after each single operation of the store in turn."""
