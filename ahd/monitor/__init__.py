"""What an operator asks: whether it lives, whether it is ready, and its metrics."""
