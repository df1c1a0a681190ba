# find_package(schurscope) defines schurscope::schurscope: the headers, and what they need.

# The package cmeel-eigen keeps Eigen's headers one folder below site-packages: the one where pip put
# this file, or another that is searched.
set(schurscope_eigen_hints ${CMAKE_CURRENT_LIST_DIR}/../.. ${CMAKE_PREFIX_PATH})
list(TRANSFORM schurscope_eigen_hints APPEND /cmeel.prefix)
find_package(Eigen3 3.4 QUIET NO_MODULE HINTS ${schurscope_eigen_hints})
unset(schurscope_eigen_hints)
if(NOT Eigen3_FOUND)
  set(schurscope_FOUND FALSE)
  set(schurscope_NOT_FOUND_MESSAGE
    "schurscope's headers need those of Eigen 3.4, which are not found. Install them where schurscope "
    "is (pip install \"cmeel-eigen>=3.4,<4\"), or from the system (libeigen3-dev), or set Eigen3_DIR.")
  string(CONCAT schurscope_NOT_FOUND_MESSAGE ${schurscope_NOT_FOUND_MESSAGE})
  return()
endif()

include(CMakeFindDependencyMacro)
find_dependency(Threads)
include(${CMAKE_CURRENT_LIST_DIR}/schurscope-targets.cmake)
