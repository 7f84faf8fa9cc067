"""The eight steps, one file each, under the names that the user's guide gives them. They see Protocols (core/ports), never
paramiko or OpenCV."""
