"""One module a command, with `add_arguments(parser)` and `run(arguments) -> exit code`; the table is in ahd.cli."""
