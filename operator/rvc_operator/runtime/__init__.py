"""The thin shell around the plans: cache, work queue, writes to Kubernetes, calls to our pods."""
