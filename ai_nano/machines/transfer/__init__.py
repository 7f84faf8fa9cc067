"""A model's files on their way to a machine: one interface, two peers (doc/design/transfers.md)."""
