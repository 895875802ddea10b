"""What the studies share: one engine from arms and seeds to tables."""
