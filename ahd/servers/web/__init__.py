"""The web server: actions, files, the browser client, and the Tornado application that serves them."""
