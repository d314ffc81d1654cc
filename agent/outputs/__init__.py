"""What the station moves: gates that reject parts. `schedule.py` decides when, `worker.py` has it done."""
