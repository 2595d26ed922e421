# Data files of this floor that are built into the binary.
