"""Tests, by concept; `tests.cluster` is the real Kubernetes that some of them need."""
