"""Side channels of the running device: power, emission, time."""
