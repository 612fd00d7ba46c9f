"""The edge: bytes in, verbs of the core; replies and says of the core, bytes out. Siblings never import each other."""
