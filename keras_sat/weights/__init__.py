"""The weights of a network: shared by two networks, averaged and decayed."""
