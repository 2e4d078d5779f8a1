"""Manifests of children as plain dicts: pure functions of voice and configuration, held by golden files."""
