"""The S3 API: what a request means, who sent it, and how the answer looks on the wire."""
