"""Side-channel traces: what they are, where they lie, where they come from. Nothing here attacks anything."""
