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

# LLVM's generic target for the generation of a card that it does not know by name, or nothing.
function(rf_gpu_generic target out)
  set(generic)
  if(target MATCHES "^gfx(11|12)")
    set(generic gfx${CMAKE_MATCH_1}-generic)
  elseif(target MATCHES "^gfx10([13])")
    set(generic gfx10-${CMAKE_MATCH_1}-generic)
  endif()
  set(${out} ${generic} PARENT_SCOPE)
endfunction()

# Whether the compiler knows it.
function(rf_gpu_known target out)
  set(unknown 0)
  if(NOT target MATCHES "^ptx")
    execute_process(COMMAND ${RF_GPU_CLANG} --target=amdgcn-amd-amdhsa -mcpu=${target} -nogpulib -x c -c /dev/null -o /dev/null
      RESULT_VARIABLE unknown OUTPUT_QUIET ERROR_QUIET)
  endif()
  if(unknown EQUAL 0)
    set(${out} TRUE PARENT_SCOPE)
  else()
    set(${out} FALSE PARENT_SCOPE)
  endif()
endfunction()

# Whether it is of version 19 or later; plain names may mean anything.
function(rf_gpu_clang_is_new valid clang)
  execute_process(COMMAND ${clang} -dumpversion OUTPUT_VARIABLE version ERROR_QUIET)
  if(NOT version VERSION_GREATER_EQUAL 19)
    set(${valid} FALSE PARENT_SCOPE)
  endif()
endfunction()

# Compiles one kernel file for one target to OUTPUT.
function(rf_gpu_object source target output)
  set(common -std=c++20 -O3 -I${PROJECT_SOURCE_DIR}/src -ffp-contract=off -Wall -Wextra ${RF_GPU_WERROR} -Wno-unused-command-line-argument)
  if(target MATCHES "^ptx([0-9]+)$")
    set(flags -x cuda -nocudainc -nocudalib --cuda-gpu-arch=sm_${CMAKE_MATCH_1} --cuda-device-only
      --cuda-feature=+ptx80 -Xclang -target-feature -Xclang +ptx80 -Wno-unknown-cuda-version -S)
  else()
    set(version 5)
    if(target MATCHES "generic")
      set(version 6)
      list(APPEND common -w)  # clang 19 warns of version 6; what else it has to say it says of the other targets
    endif()
    set(flags -x hip -nogpuinc -nogpulib --offload-arch=${target} --offload-device-only --no-gpu-bundle-output
      -mcode-object-version=${version})
  endif()
  file(GLOB headers CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/gpu/kernels/*.h ${PROJECT_SOURCE_DIR}/src/tensor/formats/*.h)
  add_custom_command(OUTPUT ${output}
    COMMAND ${RF_GPU_CACHE} ${RF_GPU_CLANG} ${flags} ${common} -c ${source} -o ${output}
    DEPENDS ${source} ${headers} VERBATIM COMMENT "Kernels for ${target}: ${output}")
endfunction()

function(rf_gpu_objects library wanted)
  set(targets ${wanted})
  if(wanted STREQUAL auto)
    rf_gpu_found(targets)
  elseif(wanted STREQUAL all)
    set(targets ${RF_GPU_ALL})
  endif()
  find_program(RF_GPU_CLANG NAMES clang++-22 clang++-21 clang++-20 clang++-19 clang++ PATHS /opt/rocm/llvm/bin
    VALIDATOR rf_gpu_clang_is_new)
  set(RF_GPU_WERROR)
  if(RF_GPU_CLANG MATCHES "-19$")
    set(RF_GPU_WERROR -Werror)  # the compiler that the kernels are kept clean for
  endif()
  find_program(RF_ZSTD zstd)
  # Objects are kept by what goes into them: another folder, or another branch, costs nothing.
  find_program(RF_CCACHE ccache)
  set(RF_GPU_CACHE)
  if(RF_CCACHE)
    set(RF_GPU_CACHE ${RF_CCACHE})
  endif()
  if(targets AND NOT (RF_GPU_CLANG AND RF_ZSTD))
    message(WARNING "GPU kernels need clang, lld and zstd, which scripts/setup --gpu installs: built without")
    set(targets)
  endif()
  set(known)
  foreach(target ${targets})
    rf_gpu_known(${target} is_known)
    if(NOT is_known AND NOT wanted MATCHES "^(auto|all)$")
      message(FATAL_ERROR "GPU target ${target}: not known to ${RF_GPU_CLANG}")
    elseif(NOT is_known)
      message(STATUS "GPU target ${target}: not known to ${RF_GPU_CLANG}")
      rf_gpu_generic(${target} target)
      if(wanted STREQUAL all OR NOT target)
        continue()
      endif()
    endif()
    list(APPEND known ${target})
  endforeach()
  list(REMOVE_DUPLICATES known)
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
  # A joined file would not depend on what this one includes.
  set_source_files_properties(${CMAKE_CURRENT_BINARY_DIR}/embedded.cpp PROPERTIES
    OBJECT_DEPENDS "${packed}" SKIP_UNITY_BUILD_INCLUSION ON)
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
