"""The doctor: what is wrong in the room, and the command that mends it (doc/design/doctor.md)."""
