# rf_gpu_objects(LIBRARY TARGETS): src/gpu/kernels/*.hip as code objects for each target, compressed and embedded in
# LIBRARY, with a report of what each kernel uses. No vendor's headers or libraries are needed, only clang and lld.

set(RF_GPU_ALL gfx906 gfx908 gfx90a gfx942 gfx950 gfx1030 gfx1100 gfx1101 gfx1102 gfx1103 gfx1150 gfx1151 gfx1200
  gfx1201 gfx9-generic gfx10-1-generic gfx10-3-generic gfx11-generic gfx12-generic ptx80 ptx90)

# What this machine has, as the kernel drivers tell.
function(rf_gpu_found out)
  set(found)
  file(GLOB nodes /sys/class/kfd/kfd/topology/nodes/*/properties)
  foreach(node ${nodes})
    file(READ ${node} text)
    if(text MATCHES "gfx_target_version ([0-9]+)" AND CMAKE_MATCH_1 GREATER 0)
      # 110001 is gfx1101, 90010 is gfx90a.
      math(EXPR major "${CMAKE_MATCH_1} / 10000")
      math(EXPR minor "${CMAKE_MATCH_1} / 100 % 100")
      math(EXPR step "${CMAKE_MATCH_1} % 100")
      string(SUBSTRING "0123456789abcdef" ${step} 1 step)
      list(APPEND found gfx${major}${minor}${step})
    endif()
  endforeach()
  if(EXISTS /proc/driver/nvidia/version OR EXISTS /dev/nvidiactl)
    list(APPEND found ptx80 ptx90)
  endif()
  list(REMOVE_DUPLICATES found)
  set(${out} ${found} PARENT_SCOPE)
endfunction()

# Compiles one kernel file for one target to OUTPUT.
function(rf_gpu_object source target output)
  set(common -std=c++20 -O3 -I${PROJECT_SOURCE_DIR}/src -ffp-contract=off -Wall -Wextra -Werror -Wno-unused-command-line-argument)
  if(target MATCHES "^ptx([0-9]+)$")
    set(flags -x cuda -nocudainc -nocudalib --cuda-gpu-arch=sm_${CMAKE_MATCH_1} --cuda-device-only
      --cuda-feature=+ptx80 -Xclang -target-feature -Xclang +ptx80 -Wno-unknown-cuda-version -S)
  else()
    set(version 5)
    if(target MATCHES "generic")
      set(version 6)
    endif()
    set(flags -x hip -nogpuinc -nogpulib --offload-arch=${target} --offload-device-only --no-gpu-bundle-output
      -mcode-object-version=${version})
  endif()
  file(GLOB headers CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/gpu/kernels/*.h ${PROJECT_SOURCE_DIR}/src/tensor/formats/*.h)
  add_custom_command(OUTPUT ${output}
    COMMAND ${RF_GPU_CLANG} ${flags} ${common} -c ${source} -o ${output}
    DEPENDS ${source} ${headers} VERBATIM COMMENT "Kernels for ${target}: ${output}")
endfunction()

function(rf_gpu_objects library wanted)
  set(targets ${wanted})
  if(wanted STREQUAL auto)
    rf_gpu_found(targets)
  elseif(wanted STREQUAL all)
    set(targets ${RF_GPU_ALL})
  endif()
  find_program(RF_GPU_CLANG NAMES clang++-22 clang++-21 clang++-20 clang++-19 PATHS /opt/rocm/llvm/bin)
  find_program(RF_ZSTD zstd)
  if(targets AND NOT (RF_GPU_CLANG AND RF_ZSTD))
    message(WARNING "GPU kernels need clang, lld and zstd, which scripts/setup --gpu installs: built without")
    set(targets)
  endif()
  set(known)
  foreach(target ${targets})  # those that this clang knows
    if(NOT target MATCHES "^ptx")
      execute_process(COMMAND ${RF_GPU_CLANG} --target=amdgcn-amd-amdhsa -mcpu=${target} -x c -c /dev/null -o /dev/null
        RESULT_VARIABLE unknown OUTPUT_QUIET ERROR_QUIET)
      if(NOT unknown EQUAL 0)
        message(STATUS "GPU target ${target}: not known to ${RF_GPU_CLANG}")
        continue()
      endif()
    endif()
    list(APPEND known ${target})
  endforeach()
  message(STATUS "GPU targets: ${known}")

  set(folder ${CMAKE_CURRENT_BINARY_DIR}/objects)
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/gpu/kernels/*.hip)
  set(table "// The code objects of this build.\n#include \"gpu/embedded.h\"\n\n")
  set(rows)
  set(packed)
  set(objects)
  foreach(target ${known})
    foreach(source ${sources})
      get_filename_component(family ${source} NAME_WE)
      set(object ${folder}/${target}/${family}.o)
      file(MAKE_DIRECTORY ${folder}/${target})
      rf_gpu_object(${source} ${target} ${object})
      add_custom_command(OUTPUT ${object}.zst COMMAND ${RF_ZSTD} -q -f -19 ${object} -o ${object}.zst DEPENDS ${object} VERBATIM)
      list(APPEND packed ${object}.zst)
      if(NOT target MATCHES "^ptx")
        list(APPEND objects ${object})
      endif()
      string(MAKE_C_IDENTIFIER "rf_object_${target}_${family}" symbol)
      string(APPEND table "asm(\".section .rodata\\n.balign 16\\n.globl ${symbol}\\n${symbol}:\\n.incbin \\\"${object}.zst\\\"\\n\"\n"
        "    \".globl ${symbol}_end\\n${symbol}_end:\\n.byte 0\\n.previous\");\n"
        "extern \"C\" const char ${symbol}[], ${symbol}_end[];\n")
      string(APPEND rows "      {\"${target}\", \"${family}\", ${symbol}, ${symbol}_end},\n")
    endforeach()
  endforeach()
  string(APPEND table "\nstd::span<const rf::gpu::EmbeddedObject> rf::gpu::embedded_objects() {\n")
  if(rows)
    string(APPEND table "  static const EmbeddedObject all[] = {\n${rows}  };\n  return all;\n}\n")
  else()
    string(APPEND table "  return {};\n}\n")
  endif()
  file(CONFIGURE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/embedded.cpp CONTENT "${table}" @ONLY)
  set_source_files_properties(${CMAKE_CURRENT_BINARY_DIR}/embedded.cpp PROPERTIES OBJECT_DEPENDS "${packed}")
  target_sources(${library} PRIVATE ${CMAKE_CURRENT_BINARY_DIR}/embedded.cpp)

  if(objects)
    find_package(Python3 REQUIRED COMPONENTS Interpreter)
    add_custom_command(OUTPUT ${folder}/report.md
      COMMAND ${Python3_EXECUTABLE} ${PROJECT_SOURCE_DIR}/tools/gpu_report ${folder} ${folder}/report.md
      DEPENDS ${objects} ${PROJECT_SOURCE_DIR}/tools/gpu_report VERBATIM
      COMMENT "Registers, LDS and spills of each kernel: ${folder}/report.md")
    add_custom_target(gpu_report ALL DEPENDS ${folder}/report.md)
  endif()
endfunction()
