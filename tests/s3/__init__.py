"""S3 as clients see it: every test here talks to a real process over a socket."""
