# Benchmark programs, each named after its file.
