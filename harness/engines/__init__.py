"""Stand-ins of all four engines on real sockets, with scripted faults."""
