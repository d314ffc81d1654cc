"""GigE Vision and USB3 Vision cameras of any vendor, through Aravis.

Start reading at `camera.py`; `library.py` is the only file that knows how C is called, `session.py` the
only one that knows in which order.
"""
