# What the engine's build needs beyond its sources: per-file flags of the CPU kernels.
set(kernel_flags -O3)
set(avx2_flags -mavx2 -mfma -mf16c)
# gcc 12's own AVX-512 header warns of registers it leaves unset on purpose.
set(avx512_flags ${avx2_flags} -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni
  -mprefer-vector-width=512 -Wno-uninitialized -Wno-maybe-uninitialized)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set_source_files_properties(engine/cpu/kernels_avx2.cc PROPERTIES COMPILE_OPTIONS
    "${kernel_flags};${avx2_flags}")
  set_source_files_properties(engine/cpu/kernels_avx512.cc PROPERTIES COMPILE_OPTIONS
    "${kernel_flags};${avx512_flags}")
endif()
set_source_files_properties(engine/cpu/kernels_portable.cc engine/cpu/packed_matrix.cc
  engine/model/quant.cc PROPERTIES COMPILE_OPTIONS "${kernel_flags}")

# The CUDA device: kernels by nvcc, the rest by the same compiler as everything else.
if(SLUICE_CUDA)
  file(GLOB cuda_sources CONFIGURE_DEPENDS engine/cuda/*.cc engine/cuda/*.cu)
  # wgmma and its like exist for sm_90a alone: never launched elsewhere, and never built for others.
  set(sm90a_sources ${cuda_sources})
  list(FILTER sm90a_sources INCLUDE REGEX "/(matmul|attend)_warpgroup[a-z0-9_]*\\.cu$")
  list(REMOVE_ITEM cuda_sources ${sm90a_sources})
  add_library(engine_sm90a OBJECT ${sm90a_sources})
  set_target_properties(engine_sm90a PROPERTIES CUDA_ARCHITECTURES 90a-real)
  target_link_libraries(engine_sm90a PRIVATE house)
  target_compile_options(engine_sm90a PRIVATE -Xcompiler=-Wall,-Wextra --expt-relaxed-constexpr)
  target_sources(engine PRIVATE ${cuda_sources} $<TARGET_OBJECTS:engine_sm90a>)
  # gcc takes WeightFormat::bf16 for a shadow of the type bf16.
  file(GLOB cuda_hosts CONFIGURE_DEPENDS engine/cuda/*.cc)
  set_source_files_properties(${cuda_hosts} PROPERTIES COMPILE_OPTIONS -Wno-shadow)
  target_link_libraries(engine PUBLIC CUDA::cudart_static)
  target_compile_options(engine PRIVATE
    $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wall,-Wextra --expt-relaxed-constexpr>)
endif()
target_compile_definitions(engine PUBLIC SLUICE_CUDA=$<BOOL:${SLUICE_CUDA}>)
