"""IronBucket: S3 on your own machines. The layers, left to right, are listed in docs/architecture.md."""

__version__ = "0.1.0"
