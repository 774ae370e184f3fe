# A simulator of the NVIDIA driver that runs PTX on the CPU, for tests: see README.md. It knows nothing of the rest of
# native/, and the rest only its driver's functions, which are found at run time. Included by ../CMakeLists.txt.
set(simulator ${CMAKE_CURRENT_LIST_DIR})
lorikeet_headers(lorikeet_simulator_headers simulator)
file(GLOB simulator_ptx_sources CONFIGURE_DEPENDS ${simulator}/ptx/*.cc)
file(GLOB simulator_machine_sources CONFIGURE_DEPENDS ${simulator}/machine/*.cc)
add_library(lorikeet_simulator STATIC ${simulator_ptx_sources} ${simulator_machine_sources})
target_link_libraries(lorikeet_simulator PUBLIC lorikeet_simulator_headers)
# Only the machine is in a hurry: the rest shall be built quickly.
set_source_files_properties(${simulator_ptx_sources} PROPERTIES COMPILE_OPTIONS "-O1")
# It runs where it was built, and its loops over 32 lanes want wide vectors and a fused multiply-add.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|amd64")
  set_source_files_properties(${simulator_machine_sources} PROPERTIES COMPILE_OPTIONS "-O2;-ftree-vectorize;-march=native")
  set_source_files_properties(${simulator}/machine/rounded.cc PROPERTIES COMPILE_OPTIONS "-O2;-march=native;-frounding-math")
else()
  set_source_files_properties(${simulator}/machine/rounded.cc PROPERTIES COMPILE_OPTIONS "-frounding-math")
endif()

# libcuda_sim.so: the cu* functions alone can be seen from outside.
file(GLOB simulator_driver_sources CONFIGURE_DEPENDS ${simulator}/driver/*.cc)
if(simulator_driver_sources)
  set_source_files_properties(${simulator_driver_sources} PROPERTIES COMPILE_OPTIONS "-O1")
  add_library(cuda_sim SHARED ${simulator_driver_sources})
  set_target_properties(cuda_sim PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
  target_link_libraries(cuda_sim PRIVATE lorikeet_simulator)
endif()

# The tests find their kernels (test/kernels/*.ptx) and the library by paths of this build.
file(GLOB simulator_test_sources CONFIGURE_DEPENDS ${simulator}/test/*.cc)
set_source_files_properties(${simulator_test_sources} PROPERTIES COMPILE_OPTIONS "-O0")
add_executable(lorikeet_simulator_test ${simulator_test_sources} ${CMAKE_CURRENT_SOURCE_DIR}/test/main.cc)
target_include_directories(lorikeet_simulator_test SYSTEM PRIVATE ${doctest_include})
target_compile_definitions(lorikeet_simulator_test PRIVATE
  SIMULATOR_KERNELS="${simulator}/test/kernels" SIMULATOR_DRIVER="${CMAKE_BINARY_DIR}/libcuda_sim.so")
target_link_libraries(lorikeet_simulator_test PRIVATE lorikeet_simulator ${CMAKE_DL_LIBS})
if(TARGET cuda_sim)
  add_dependencies(lorikeet_simulator_test cuda_sim)
endif()
add_executable(lorikeet_simulator_bench EXCLUDE_FROM_ALL ${simulator}/bench/bench.cc)
target_compile_definitions(lorikeet_simulator_bench PRIVATE SIMULATOR_KERNELS="${simulator}/test/kernels")
target_link_libraries(lorikeet_simulator_bench PRIVATE lorikeet_simulator)
