"""Archives of stations judged again by a new bundle: what would change, before any station takes it.

`survey` (archives.py) finds every file of the archives, `Plan` (plan.py) sorts them into parts and is kept
first, so that a run that was cut goes on. One pure function makes rows of a part (again.py): in this process
or in several (workers.py), or on Ray Data (on_ray.py). The run (run.py) alone writes: each part is a Parquet
file, whole or not there (store.py). `report_of` (report.py, pure) says what would change, words.py says it to
people.
"""
