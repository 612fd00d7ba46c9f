"""Socket.IO: the transport and what runs on it."""
