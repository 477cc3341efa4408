"""What stands for CUDA graphs where there is no GPU: a step is not recorded but run again on the same fixed memory.

The bookkeeping (what is copied where, what makes a new recording, what is given up) is the real one. What a graph adds,
that nothing but memory is read when it is replayed, is tested on a device.
"""


class Repeater:
    """Counts recordings and repetitions."""

    def __init__(self):
        self.recordings = 0
        self.repetitions = 0

    def __call__(self, work):
        self.recordings += 1
        work()

        def repeat():
            self.repetitions += 1
            work()

        return repeat
