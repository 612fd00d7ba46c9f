"""What a message means: connections, rooms and verbs, with no I/O and nothing but the standard library."""
