"""Who a client is: tokens, what they say, how long they hold, and the rules of the file as the core asks them."""
