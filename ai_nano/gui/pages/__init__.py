"""One page for each of the eight steps, and those that come before the first."""
