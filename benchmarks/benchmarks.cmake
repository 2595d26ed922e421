# Benchmark programs, each named after its file.

# The stand-in for hosted upstreams that deploy/quickstart and the end-to-end tests use.
file(GLOB sim_sources CONFIGURE_DEPENDS benchmarks/upstream_sim/*.cc)
add_executable(sluice-upstream-sim ${sim_sources})
target_link_libraries(sluice-upstream-sim PRIVATE engine Boost::headers simdjson::simdjson)
