"""What Prometheus is told: what happened since the start is counted, what is there is read off the cache."""
