"""ai_nano: record, train, export and run an image classifier on a Jetson Nano, step by step."""

__version__ = "0.1.0"
