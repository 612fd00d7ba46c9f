"""What goes wrong in the world outside: each fault with the figure that an operator wants to know."""
