"""The probes: each tries one group of properties and yields findings."""
