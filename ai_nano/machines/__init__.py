"""The other computers: connection, host keys, transfer, remote jobs, programs. The only package that imports paramiko;
its exceptions become the project's own here."""
