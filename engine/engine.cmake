# What the engine's build needs beyond its sources: per-file flags of the CPU kernels.
