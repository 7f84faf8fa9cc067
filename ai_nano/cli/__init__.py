"""The workflow on a terminal. Imports no Qt; heavy parts only when a command needs them."""
