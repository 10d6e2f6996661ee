"""MPI: a group of ranks under ``mpiexec``, on one machine or on many.

``backend``, ``rank_group`` and ``launch`` are the caller's side, which never loads MPI itself; ``rank`` is the program
that every rank runs, ``manager`` on rank 0 and ``worker`` on all others; ``protocol`` is what both sides know.
"""
