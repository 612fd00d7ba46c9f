"""Several ahd processes on one real Redis, with real clients."""
