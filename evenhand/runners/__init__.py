"""What runs: agents, workers, and the loop that plays a method."""
