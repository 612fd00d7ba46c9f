"""What the tests stand on: real processes on free ports of the loopback, and waiting with a deadline."""
