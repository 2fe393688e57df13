# SPDX-License-Identifier: Apache-2.0
#
# weir_add_mutant(<name> SOURCE <file.bpf.c> HEADER <lib/x.h> FROM <text> TO <text>)
#
# weir::bpf::<name>: a program of bpf/ built from a copy of its sources in which one piece of text,
# which must be there exactly once, is another. For tests that the code is what they believe it is.
# No text may hold a semicolon.

function(weir_add_mutant name)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "" "SOURCE;HEADER;FROM;TO" "")
  set(copy "${CMAKE_CURRENT_BINARY_DIR}/mutants/${name}")
  file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/bpf/*.c" "${PROJECT_SOURCE_DIR}/bpf/lib/*.h")
  add_custom_command(
    OUTPUT "${copy}/${ARG_SOURCE}"
    COMMAND "${CMAKE_COMMAND}" "-DOF=${PROJECT_SOURCE_DIR}/bpf" "-DCOPY=${copy}" "-DHEADER=${ARG_HEADER}"
            "-DFROM=${ARG_FROM}" "-DTO=${ARG_TO}" -P "${PROJECT_SOURCE_DIR}/cmake/mutate.cmake"
    DEPENDS ${sources} "${PROJECT_SOURCE_DIR}/cmake/mutate.cmake"
    VERBATIM)
  weir_add_bpf(${name} SOURCE "${copy}/${ARG_SOURCE}")
endfunction()
