"""Hosts that behave like bare VMs, on one Debian machine, without a container engine or nested virtualisation.

Each host is a systemd-nspawn container that boots: systemd as PID 1, an address of its own on a bridge, a root file
system of its own (an overlay over a shared base, on a disk of its own where a size is given), SSH, a journal, a boot
id; and switches outside for its power, its cable, and the path to another host.

settings   where everything is kept, from the environment
base       the root file system that all hosts share: made once, cached
network    the bridge, cables, partitions
machine    one host: create, start, stop, cut power, destroy
__main__   the command line

Needs root, and Debian's systemd-container mmdebstrap nftables openssh-client iproute2 e2fsprogs.

What such a host does not have: memory and CPU limits (cgroup controllers), a clock of its own, network latency.
"""
