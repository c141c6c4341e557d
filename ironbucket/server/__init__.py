"""The HTTP server: Bottle's WSGI application on a cheroot server with its own loop, parser and connections.

workers   master process: listening sockets, forks workers, restarts, signals, watchdog
httpd     one worker's server (a cheroot server): wires loop, pool, parser and application
loop      epoll: accepts, reads, serves what does not block, expires what is idle
pool      threads for what blocks: bodies, fsync, large answers
connection, parser, environ, body, response, sendfile: one request, from first byte to last
"""
