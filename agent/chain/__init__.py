"""The chain of records made provable: its end is signed, and anybody can check a range of it."""
