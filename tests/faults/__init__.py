"""Real faults: killed processes, lost power, full disks, damaged files, hostile clients."""
