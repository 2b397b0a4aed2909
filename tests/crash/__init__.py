"""The log on a simulated disk: power cuts at every point, and faults of every operation."""
