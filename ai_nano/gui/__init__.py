"""The window: draws what the workflow and its events say. The only package that imports PyQt5."""
