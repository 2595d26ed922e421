# Benchmark programs, each named after its file.

# The stand-in for hosted upstreams that deploy/quickstart and the end-to-end tests use.
file(GLOB sim_sources CONFIGURE_DEPENDS benchmarks/upstream_sim/*.cc)
add_executable(sluice-upstream-sim ${sim_sources})
target_link_libraries(sluice-upstream-sim PRIVATE engine Boost::headers simdjson::simdjson)

# The kernels' speed beside the card's: one program a .cc file, which may use any .cu file there.
if(SLUICE_CUDA)
  file(GLOB bench_kernels CONFIGURE_DEPENDS benchmarks/engine_cuda/*.cu)
  add_library(bench_kernels STATIC ${bench_kernels})
  target_link_libraries(bench_kernels PUBLIC engine)
  file(GLOB bench_sources CONFIGURE_DEPENDS benchmarks/engine_cuda/*.cc)
  set_source_files_properties(${bench_sources} PROPERTIES COMPILE_OPTIONS -Wno-shadow)  # see engine.cmake
  foreach(source ${bench_sources})
    get_filename_component(name ${source} NAME_WE)
    add_executable(${name} ${source})
    target_link_libraries(${name} PRIVATE bench_kernels)
  endforeach()
endif()
