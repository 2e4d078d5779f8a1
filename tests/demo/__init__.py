"""The demo: real recordings, a real Kubernetes, two YAML files, a voice. `make demo` runs it."""
