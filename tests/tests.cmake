# One Catch2 program a floor, plus the lints and the end-to-end tests. Every TEST_CASE is one ctest.
find_package(Catch2 2 REQUIRED)
include(Catch)
add_library(catch_main STATIC tests/catch_main.cc tests/catch_session.cc)
target_link_libraries(catch_main PUBLIC house Catch2::Catch2)
set_source_files_properties(tests/catch_session.cc PROPERTIES COMPILE_OPTIONS -O0)  # cheap to run

foreach(floor engine providers policies gateway)
  file(GLOB sources CONFIGURE_DEPENDS tests/${floor}/*.cc)
  if(sources)
    add_executable(${floor}_tests ${sources})
    # simdjson's own flags: without them its classes have another layout than in the libraries.
    target_link_libraries(${floor}_tests PRIVATE ${floor} catch_main simdjson::simdjson)
    target_compile_options(${floor}_tests PRIVATE -O1)
    target_compile_definitions(${floor}_tests PRIVATE SLUICE_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
    catch_discover_tests(${floor}_tests TEST_PREFIX "${floor}: ")
  endif()
endforeach()

# Threads and hostile bytes once more under sanitizers, beside the programs that are fast.
option(SLUICE_SANITIZED_TESTS "build parts of engine_tests with TSan and with ASan and UBSan" OFF)
if(SLUICE_SANITIZED_TESTS AND NOT SLUICE_SANITIZE)
  add_subdirectory(tests/sanitized)
endif()

# Programs that comparisons with other engines run; no tests themselves.
file(GLOB programs CONFIGURE_DEPENDS tests/engine/programs/*.cc)
foreach(source ${programs})
  get_filename_component(name ${source} NAME_WE)
  add_executable(${name} ${source})
  target_link_libraries(${name} PRIVATE engine)
endforeach()

file(GLOB lints CONFIGURE_DEPENDS tests/lint/*.py)
foreach(lint ${lints})
  get_filename_component(name ${lint} NAME_WE)
  add_test(NAME "lint: ${name}" COMMAND python3 ${lint} ${CMAKE_SOURCE_DIR})
endforeach()

file(GLOB e2e CONFIGURE_DEPENDS tests/e2e/test_*.py)
foreach(test ${e2e})
  get_filename_component(name ${test} NAME_WE)
  add_test(NAME "e2e: ${name}" COMMAND python3 ${test} ${CMAKE_BINARY_DIR})
  set_tests_properties("e2e: ${name}" PROPERTIES TIMEOUT 1400 SKIP_RETURN_CODE 77)
endforeach()

# The kernels against plain loops: skipped where there is no GPU.
if(SLUICE_CUDA)
  file(GLOB sources CONFIGURE_DEPENDS tests/cuda/*.cc)
  add_executable(cuda_tests ${sources} tests/cuda/lose_gpu.cu)
  target_link_libraries(cuda_tests PRIVATE engine catch_main)
  target_compile_options(cuda_tests PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-O1>)
  set_source_files_properties(${sources} PROPERTIES COMPILE_OPTIONS -Wno-shadow)  # see engine.cmake
  target_compile_definitions(cuda_tests PRIVATE SLUICE_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  # A GPU that is lost in a running gateway: benchmarks/gpu_check.
  add_library(lose_gpu_when MODULE tests/cuda/preload/lose_gpu_when.cc tests/cuda/lose_gpu.cu)
  set_target_properties(lose_gpu_when PROPERTIES PREFIX "")
  target_link_libraries(lose_gpu_when PRIVATE CUDA::cudart_static)
  target_include_directories(lose_gpu_when PRIVATE ${CMAKE_SOURCE_DIR})
  catch_discover_tests(cuda_tests TEST_PREFIX "cuda: " PROPERTIES SKIP_RETURN_CODE 77)

  # What launches are made of, for the shapes of real models: needs no GPU.
  file(GLOB plans CONFIGURE_DEPENDS tests/cuda/plans/*.cc)
  add_executable(cuda_plan_tests ${plans} tests/cuda/plans/kernels.cu)
  target_link_libraries(cuda_plan_tests PRIVATE engine catch_main)
  target_compile_options(cuda_plan_tests PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-O1>
    $<$<COMPILE_LANGUAGE:CUDA>:--expt-relaxed-constexpr>)
  set_source_files_properties(${plans} PROPERTIES COMPILE_OPTIONS -Wno-shadow)
  catch_discover_tests(cuda_plan_tests TEST_PREFIX "cuda plans: ")
endif()
