"""Sessions against real servers: well-behaved ones and misbehaving ones."""
