"""What is behind the rooms and the cache; `memory` and `redis` under one contract (ahd.core.interfaces)."""
