# find_package(schurscope) defines schurscope::schurscope: the headers, and what they need.

include(${CMAKE_CURRENT_LIST_DIR}/schurscope-eigen.cmake)
# The folder where pip put this one, and others that are searched.
schurscope_find_eigen(${CMAKE_CURRENT_LIST_DIR}/../.. ${CMAKE_PREFIX_PATH})
if(NOT Eigen3_FOUND)
  set(schurscope_FOUND FALSE)
  set(schurscope_NOT_FOUND_MESSAGE ${SCHURSCOPE_EIGEN_NOT_FOUND})
  return()
endif()

include(CMakeFindDependencyMacro)
find_dependency(Threads)
include(${CMAKE_CURRENT_LIST_DIR}/schurscope-targets.cmake)
