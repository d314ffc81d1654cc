"""The doctor's checks, one file for each family."""
