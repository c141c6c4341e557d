"""The write-ahead log: records as lines, lines in segments, segments in streams. See docs/wal-format.md."""
