"""The operator: pure plans by tables, manifests by golden files, the whole on a real API server."""
