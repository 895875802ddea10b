"""The variables of a network: shared, averaged and decayed."""
