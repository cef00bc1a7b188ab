"""``sss predict`` and ``sss suggest``: scans from files, folders and buckets, judged one by one."""
