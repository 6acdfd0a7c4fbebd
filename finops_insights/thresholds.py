"""When a day is an anomaly. Apart from the detector, so that whoever tells readers needs no numerics."""

from typing import Final

SENSITIVITY: Final = 5.0
"""How many times its usual deviation a day has to be off. Measured: 4 triples the false alarms, 8 misses a sixth."""
MIN_AMOUNT: Final = 5.0
MIN_SHARE_OF_ACCOUNT: Final = 0.002
"""An alert costs somebody an hour: it has to be about 0.2 % of what the account costs in a day."""
MIN_SHARE: Final = 0.10
"""Of what was expected."""
