# SPDX-License-Identifier: Apache-2.0
# cmake -DOF=<bpf/> -DCOPY=<dir> -DHEADER=<file in it> -DFROM=<text> -DTO=<text> -P mutate.cmake
file(COPY "${OF}/" DESTINATION "${COPY}")
file(READ "${OF}/${HEADER}" text)
string(REPLACE "${FROM}" "" without "${text}")
string(LENGTH "${text}" long)
string(LENGTH "${without}" short)
string(LENGTH "${FROM}" once)
math(EXPR removed "${long} - ${short}")
if(NOT removed EQUAL once)
  message(FATAL_ERROR "${HEADER}: '${FROM}' is not there exactly once")
endif()
string(REPLACE "${FROM}" "${TO}" text "${text}")
file(WRITE "${COPY}/${HEADER}" "${text}")
# Copied files keep their time, and so would never be newer than what they are made from.
file(GLOB sources "${COPY}/*.c")
file(TOUCH ${sources})
