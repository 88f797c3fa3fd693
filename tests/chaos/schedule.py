"""What will go wrong, and when: drawn from the seed alone, before anything runs. The same seed, time and
kinds of faults give the same schedule, whatever the machine does."""

import random

TWO_AT_ONCE = 0.25  # of the steps


class Step:
    """One or two faults that begin together, last for `hold` seconds and are healed, then a rest."""

    def __init__(self, faults, hold, rest):
        self.faults = faults  # [(kind, parameters)]
        self.hold = hold
        self.rest = rest

    def described(self):
        return {
            "faults": [{"kind": kind, **parameters} for kind, parameters in self.faults],
            "hold_s": round(self.hold, 3),
            "rest_s": round(self.rest, 3),
        }


def draw(seed, seconds, kinds):
    """Steps that last about `seconds` in all. `kinds` maps names to fault classes."""
    source = random.Random(seed)
    names = sorted(kinds)
    steps = []
    left = seconds
    # Each kind once before any comes again: a short run meets all of them.
    deck = []
    while left > 0:
        if not deck:
            deck = names[:]
            source.shuffle(deck)
        chosen = [deck.pop()]
        if len(names) > 1 and source.random() < TWO_AT_ONCE:
            chosen.append(source.choice([name for name in names if name != chosen[0]]))
        faults = [(name, kinds[name].draw(source)) for name in chosen]
        hold = max(source.uniform(*kinds[name].HOLD_S) for name in chosen)
        rest = source.uniform(0.3, 2.0)
        steps.append(Step(faults, hold, rest))
        left -= hold + rest
    return steps
