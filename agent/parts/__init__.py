"""One verdict of a part that several cameras see.

`grouping.py` decides, purely, which views belong together and when nothing more is waited for; `verdict.py`
what they say together; `file.py` keeps both over any end of the process, and `parts.py` does it.
"""
