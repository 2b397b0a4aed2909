"""What a worker tells the server of itself, and what it is told through it."""
