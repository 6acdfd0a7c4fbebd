"""From a number to the charges it is made of."""
