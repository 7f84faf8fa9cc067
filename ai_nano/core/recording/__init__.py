"""How a camera is asked for its frames, and which of them are due."""
