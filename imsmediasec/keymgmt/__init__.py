"""Key management, one file a method: what to offer, what to answer, how to complete."""
