"""The contract that every loss goes through, whoever wrote it."""
