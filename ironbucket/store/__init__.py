"""The store: payload files, and the index over them. Knows versions and buckets, but not what a change means."""
