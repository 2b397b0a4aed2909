"""How a worker is told what to do: pipelines in files, and options of the command line."""
