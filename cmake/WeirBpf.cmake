# SPDX-License-Identifier: Apache-2.0
#
# weir_add_bpf(<name> SOURCE <file.bpf.c> [DEFINES <def>...])
#
# Compiles SOURCE for the BPF target and generates its skeleton. Link against
# weir::bpf::<name> to get `#include "<name>.skel.h"` and libbpf.
#
# A function and not a macro: a macro's variables leak into the caller, and two
# calls of libbpf-bootstrap's bpf_object() share one growing list of headers.

# The compiler of the BPF objects alone; scripts/test builds with the oldest and the newest.
find_program(WEIR_BPF_CLANG NAMES clang clang-22 clang-19 clang-14 clang-13 REQUIRED)
find_program(WEIR_BPFTOOL NAMES bpftool PATHS /usr/sbin /sbin REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(LIBBPF REQUIRED IMPORTED_TARGET libbpf>=1.1)

function(weir_add_bpf name)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "" "SOURCE" "DEFINES")
  if(NOT ARG_SOURCE OR ARG_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "weir_add_bpf(${name}): SOURCE is required; got '${ARGN}'")
  endif()

  cmake_path(ABSOLUTE_PATH ARG_SOURCE OUTPUT_VARIABLE source)
  set(object "${CMAKE_CURRENT_BINARY_DIR}/${name}.bpf.o")
  set(skeleton "${CMAKE_CURRENT_BINARY_DIR}/skel/${name}.skel.h")
  list(TRANSFORM ARG_DEFINES PREPEND "-D")

  add_custom_command(
    OUTPUT "${object}"
    COMMAND
      "${WEIR_BPF_CLANG}" -target bpf -mcpu=v3 -g -O2 -std=gnu17 -fno-strict-aliasing
      -Wall -Wextra -Werror -Wno-unused-parameter ${ARG_DEFINES}
      "-I${PROJECT_SOURCE_DIR}/include" "-I${PROJECT_SOURCE_DIR}/bpf"
      -isystem "/usr/include/${CMAKE_LIBRARY_ARCHITECTURE}"
      -MD -MF "${object}.d" -c "${source}" -o "${object}"
    DEPENDS "${source}"
    DEPFILE "${object}.d" # every header it includes, and no list kept by hand
    COMMENT "BPF  ${name}.bpf.o"
    VERBATIM)

  add_custom_command(
    OUTPUT "${skeleton}"
    COMMAND "${CMAKE_COMMAND}" -E make_directory "${CMAKE_CURRENT_BINARY_DIR}/skel"
    COMMAND "${WEIR_BPFTOOL}" gen skeleton "${object}" name "${name}_bpf" > "${skeleton}"
    DEPENDS "${object}"
    COMMENT "SKEL ${name}.skel.h"
    VERBATIM)

  add_library(weir_bpf_${name} INTERFACE)
  add_library(weir::bpf::${name} ALIAS weir_bpf_${name})
  # A target, since a rule for a file is known in its own directory only.
  add_custom_target(weir_bpf_${name}_skeleton DEPENDS "${skeleton}")
  add_dependencies(weir_bpf_${name} weir_bpf_${name}_skeleton)
  target_include_directories(weir_bpf_${name} SYSTEM INTERFACE "${CMAKE_CURRENT_BINARY_DIR}/skel")
  target_link_libraries(weir_bpf_${name} INTERFACE PkgConfig::LIBBPF)
endfunction()
