"""`ahd console`: a client for people and scripts, for http(s) (Socket.IO) and for tcp:// and tls:// (lines)."""
