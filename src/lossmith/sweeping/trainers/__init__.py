"""How the runs of a sweep are trained, a module for each backend."""
