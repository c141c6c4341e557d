"""What tests need to run real processes, send raw requests and break disks. See each module's head."""
