# SPDX-License-Identifier: Apache-2.0
#
# weir_add_library(<name> SOURCES ... [LINK ...])     weir::<name>, from userspace/
# weir_add_test(<name> LABEL unit|bpf|system SOURCES ... [LINK ...] [TIMEOUT s])
#
# Warnings are errors in both; sanitizers are on where WEIR_SANITIZE is.

add_library(weir_options INTERFACE)
target_compile_options(weir_options INTERFACE
  -Wall -Wextra -Wconversion -Wshadow -Wold-style-cast -Wnon-virtual-dtor -Werror)
# Includes start at userspace/ ("plan/plan.hpp") and include/ ("weir/abi.h").
target_include_directories(weir_options INTERFACE
  "${PROJECT_SOURCE_DIR}/userspace" "${PROJECT_SOURCE_DIR}/include")
# ASan is on in the tests' own code too; UBSan is not, which would double the time that it takes to
# compile it, most of it Catch2's.
define_property(TARGET PROPERTY WEIR_UBSAN INITIALIZE_FROM_VARIABLE DEFAULT_WEIR_UBSAN)
set(DEFAULT_WEIR_UBSAN ON)
if(WEIR_SANITIZE)
  target_compile_options(weir_options INTERFACE
    -fsanitize=address -fno-sanitize-recover=all -fno-omit-frame-pointer
    $<$<BOOL:$<TARGET_PROPERTY:WEIR_UBSAN>>:-fsanitize=undefined>)
  target_link_options(weir_options INTERFACE -fsanitize=address,undefined)
endif()

find_program(WEIR_CCACHE ccache)
if(WEIR_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${WEIR_CCACHE}" CACHE STRING "compiler launcher")
endif()

function(weir_add_library name)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "" "" "SOURCES;LINK")
  add_library(weir_${name} STATIC ${ARG_SOURCES})
  add_library(weir::${name} ALIAS weir_${name})
  target_link_libraries(weir_${name} PUBLIC weir_options fmt::fmt ${ARG_LINK})
endfunction()

function(weir_add_test name)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "" "LABEL;TIMEOUT" "SOURCES;LINK")
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE
    weir_options weir_test_main weir_test_conformance ${ARG_LINK})
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABEL}" TIMEOUT ${ARG_TIMEOUT}
                       SKIP_RETURN_CODE 77)
endfunction()
