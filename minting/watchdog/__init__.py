"""A django-q2 cluster that heals.

``watchdog`` is ``manage.py qcluster`` itself; ``sentinel`` is its child and the parent of workers,
pusher and monitor, whose code is django-q2's. Rules:

- A cluster that lost a process unexpectedly is not trusted any more: the dead may have held a lock
  of the queue between them. All of it is ended and started again, which takes a second or two.
- Whatever ends a process of it is a signal, never a message over something shared.
- Nobody outlives a parent.
- What the dead held is free as soon as they are known to be gone.
"""
