"""A candidate bundle proven on this machine before it serves, in a process of its own.

`Prover` (prover.py) is what the agent and `plumbline bundle prove` call: it starts the process (apart.py),
hears what it says (document.py), and decides by the settings (limits.py). The process (work.py, at the lowest
priority: low.py) opens the candidate on the engine that will serve and gives it the golden tiles
(candidate.py), then has candidate and incumbent judge the last frames of the archive (shadow.py), and keeps
the worst pictures for people (worst.py).
"""
