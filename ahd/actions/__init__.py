"""What an application offers: Python functions with a declared interface, found, checked and run."""
