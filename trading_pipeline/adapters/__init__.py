"""Touch the world: one outside thing each; none knows another."""
