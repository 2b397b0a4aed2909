"""Real daemons, killed and starved: nothing that was acknowledged may be lost or come back."""
