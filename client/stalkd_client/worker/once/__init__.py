"""A run over the lines of the standard input, without a server."""
