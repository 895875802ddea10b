"""How many steps of an attack make a piece."""

# How long a piece of an attack should take, in seconds: short enough to be
# interrupted and shown, long enough for its overhead not to count.
SECONDS = 2.0
# An attack is looked at this often at least, to leave out what is done, unless
# the pieces would be shorter than this, in seconds.
FEWEST_PIECES = 20
SHORTEST = 0.1


class Pace:
    """The number of steps that take about `SECONDS`, found while they are made.

    Args:
        num_steps: int. How many steps the attack makes at most.
    """

    def __init__(self, num_steps):
        self.num_steps = num_steps
        self._most = max(1, -(-num_steps // FEWEST_PIECES))
        # How many steps the next piece makes, and how many pieces were made.
        self.steps, self.pieces = 1, 0
        # Seconds, and images times steps, of all pieces but the first one.
        self._seconds = self._image_steps = 0.0

    @property
    def seconds(self):
        """Seconds for a step of an image; NaN if it is not known yet."""
        if not self._image_steps:
            return float("nan")
        return self._seconds / self._image_steps

    def note(self, seconds, images):
        """Takes a piece into account.

        Args:
            seconds: float. How long it took.
            images: int. How many images it was made on.
        """
        self.pieces += 1
        # The first piece is longer: it makes the graph.
        if self.pieces == 1:
            return
        self._seconds += seconds
        self._image_steps += self.steps * images
        wanted, shortest = (
            int(self.steps * length / max(seconds, 1e-6))
            for length in (SECONDS, SHORTEST)
        )
        most = min(max(self._most, shortest), self.num_steps)
        self.steps = min(max(wanted, 1), 4 * self.steps, most)
